//! Grapheme clusters, and the columns that they take. Terminals don't agree on all of them: some count a cluster, some
//! its characters, and each by the Unicode of its day. Where a terminal counts otherwise than the layout, what is behind
//! moves, over the end of the line into the next one.

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use ratatui::buffer::{Buffer, CellWidth as _};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::domain::plain::HIDDEN;

/// Characters of a letter with all its accents. More of them are drawn over the lines above and below.
const MOST: usize = 8;

/// The clusters of a text, in its order.
pub fn clusters(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.graphemes(true)
}

/// Columns that a cluster takes in the layout.
#[must_use]
pub fn columns(cluster: &str) -> usize {
    match cluster.len() {
        1 => 1,
        _ => usize::from(cluster.cell_width()),
    }
}

/// Puts marks where terminals disagree, in as many columns as the layout took, so that what is around them stays.
pub fn mark_disputed(buffer: &mut Buffer) {
    let width = usize::from(buffer.area.width).max(1);
    for at in 0..buffer.content.len() {
        let Some(cell) = buffer.content.get(at).filter(|cell| is_disputed(cell.symbol())) else {
            continue;
        };
        let style = cell.style();
        let end_of_row = (at / width + 1) * width;
        let end = (at + columns(cell.symbol()).max(1)).min(end_of_row);
        for cell in buffer.content.get_mut(at..end).unwrap_or_default() {
            cell.reset();
            cell.set_char(HIDDEN).set_style(style);
        }
    }
}

/// True if terminals disagree on the columns of a cluster.
fn is_disputed(cluster: &str) -> bool {
    if cluster.len() == 1 {
        return false;
    }
    let each: usize = cluster.chars().map(|c| c.width().unwrap_or(0)).sum();
    each != cluster.width() || cluster.chars().count() > MOST || cluster.chars().any(is_disputed_character)
}

/// Regional indicators, modifiers and joiners of emoji, variation selectors, the keycap, and what no Unicode has yet.
fn is_disputed_character(c: char) -> bool {
    matches!(
        c,
        '\u{1f1e6}'..='\u{1f1ff}'
            | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{200d}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{e0100}'..='\u{e01ef}'
            | '\u{20e3}'
    ) || CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Unassigned
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    /// What is drawn of a text.
    fn drawn(text: &str) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, text, Style::new());
        mark_disputed(&mut buffer);
        buffer
            .content
            .iter()
            .map(ratatui::buffer::Cell::symbol)
            .collect::<String>()
            .trim_end()
            .to_owned()
    }

    #[test]
    fn what_terminals_disagree_on_is_marked_in_as_many_columns() {
        for (text, seen) in [
            ("a👍🏽b", "a\u{fffd}\u{fffd}b"),
            ("a🇩🇪b", "a\u{fffd}\u{fffd}b"),
            ("a👩\u{200d}💻b", "a\u{fffd}\u{fffd}b"),
            ("a1\u{fe0f}\u{20e3}b", "a\u{fffd}\u{fffd}b"),
            ("a❤\u{fe0f}b", "a\u{fffd}\u{fffd}b"),
            ("🏽b", "\u{fffd}\u{fffd}b"),
            ("a\u{378}b", "a\u{fffd}b"),
        ] {
            assert_eq!(drawn(text), seen, "{text}");
        }
        let piled = format!("ae{}b", "\u{301}".repeat(20));
        assert_eq!(drawn(&piled), "a\u{fffd}b");
    }

    #[test]
    fn letters_of_people_stay() {
        for text in [
            "e\u{301}o\u{308}",
            "Ệ",
            "E\u{323}\u{302}",
            "ع\u{64e}",
            "กำ",
            "한글",
        ] {
            assert_eq!(drawn(text).replace(' ', ""), text.replace(' ', ""), "{text}");
        }
        // Behind a wide letter the buffer has an empty cell.
        assert_eq!(drawn("日本😀"), "日 本 😀");
    }
}
