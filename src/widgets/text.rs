//! Text that fits: cut at a width, with an ellipsis, never in the middle of a character.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::clusters;
use crate::domain::plain::{is_hidden, plain};

/// `text` in at most `width` columns, with `…` where something was cut off.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    let text = seen(text);
    if columns(&text) <= width {
        return text.into_owned();
    }
    let mut fitted = String::new();
    let mut used = 0;
    for cluster in clusters::clusters(&text) {
        used += clusters::columns(cluster);
        if used > width.saturating_sub(1) {
            break;
        }
        fitted.push_str(cluster);
    }
    if width > 0 {
        fitted.push('…');
    }
    fitted
}

/// Text cut at its beginning, where its end says more.
#[must_use]
pub fn fit_start(text: &str, width: usize) -> String {
    let text = seen(text);
    if columns(&text) <= width {
        return text.into_owned();
    }
    let mut kept = Vec::new();
    let mut used = 1;
    for cluster in clusters::clusters(&text).rev() {
        used += clusters::columns(cluster);
        if used > width {
            break;
        }
        kept.push(cluster);
    }
    let ellipsis = (width > 0).then_some("…");
    ellipsis.into_iter().chain(kept.into_iter().rev()).collect()
}

/// How many columns a text takes.
#[must_use]
pub fn columns(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => clusters::clusters(&seen(text)).map(clusters::columns).sum(),
    }
}

/// Writes `text` at `(x, y)` as far as `area` reaches; gives the column after it. What can't be seen in it has a mark in
/// its place: a name with something hidden in it never looks like the one without.
pub fn put(buffer: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
    if y >= area.bottom() || x >= area.right() {
        return x;
    }
    let width = usize::from(area.right() - x);
    let (end, _) = buffer.set_stringn(x, y, fit(text, width), width, style);
    end
}

fn seen(text: &str) -> Cow<'_, str> {
    match text.contains(is_hidden) {
        true => Cow::Owned(plain(text)),
        false => Cow::Borrowed(text),
    }
}

/// `text` in lines of at most `width` columns, broken at spaces where there are any.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let mut word = word;
            while columns(&line) + usize::from(!line.is_empty()) + columns(word) > width {
                if line.is_empty() {
                    // A word longer than the line, such as a fingerprint: cut where it must be.
                    let (begins, rest) = word.split_at(first_columns(word, width));
                    lines.push(begins.to_owned());
                    word = rest;
                } else {
                    lines.push(std::mem::take(&mut line));
                }
                if word.is_empty() {
                    break;
                }
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// Length in bytes of what of `text` has room in so many columns: one cluster at least.
fn first_columns(text: &str, width: usize) -> usize {
    let (mut length, mut used) = (0, 0);
    for cluster in clusters::clusters(text) {
        used += columns(cluster);
        if used > width && length > 0 {
            break;
        }
        length += cluster.len();
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_hidden_in_a_text_is_seen_on_the_screen() {
        let area = Rect::new(0, 0, 30, 1);
        let mut buffer = Buffer::empty(area);
        put(
            &mut buffer,
            area,
            0,
            0,
            "Evil\u{1b}[2J\u{202e}CA\u{200b} …│",
            Style::new(),
        );
        let drawn: String = buffer
            .content()
            .iter()
            .map(ratatui::buffer::Cell::symbol)
            .collect();
        assert_eq!(drawn.trim_end(), "Evil\u{fffd}[2J\u{fffd}CA\u{fffd} …│");
    }

    proptest! {
        #[test]
        fn what_fits_is_never_wider(text in "\\PC{0,60}", width in 0usize..40) {
            prop_assert!(columns(&fit(&text, width)) <= width);
            prop_assert!(columns(&fit_start(&text, width)) <= width);
        }

        #[test]
        fn what_is_counted_is_what_is_drawn(text in "(\\PC|👍🏽|🇩🇪|👩\u{200d}💻|ﾊﾟ|e\u{301}){0,20}") {
            let area = Rect::new(0, 0, 200, 1);
            let mut buffer = Buffer::empty(area);
            let end = put(&mut buffer, area, 0, 0, &text, Style::new());
            prop_assert_eq!(usize::from(end), columns(&text));
        }

        #[test]
        fn no_wrapped_line_is_wider(text in "(\\PC|日|👍🏽){0,60}", width in 8usize..40) {
            for line in wrap(&text, width) {
                prop_assert!(columns(&line) <= width, "{}", line);
            }
        }

        #[test]
        fn wrapping_ends_and_loses_no_word(text in "[a-z ]{0,120}", width in 8usize..40) {
            let joined: String = wrap(&text, width).concat().split(' ').collect();
            let all: String = text.split(' ').collect();
            prop_assert_eq!(joined, all);
        }
    }
}
