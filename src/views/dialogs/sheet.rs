//! A dialog as a sheet: what is pinned above, one part in the middle that scrolls, what is pinned below. It is laid
//! out here for the room that there is; what is out of sight is counted in the heading of what scrolls.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use tui_textarea::TextArea;

use crate::widgets::frame::{dialog, frame};
use crate::widgets::text::{columns, fit, put, wrap};
use crate::widgets::theme::{Meaning, Palette};

/// Lines of what scrolls that are kept in sight, whatever is pinned.
const SCROLLS: usize = 3;
/// Columns of a field's value, where it says nothing else.
const VALUE: usize = 18;

/// One line.
pub(super) enum Line<'a> {
    /// Words.
    Text(String, Meaning),
    /// The heading of what follows, with a note at its right.
    Rule(&'static str, String),
    /// Fields side by side.
    Fields(Vec<FieldCell<'a>>),
}

/// One field.
pub(super) struct FieldCell<'a> {
    pub(super) label: String,
    pub(super) value: &'a TextArea<'static>,
    /// What it is set to, where that is chosen and not typed.
    pub(super) chosen: Option<&'a str>,
    pub(super) focused: bool,
    /// Columns that its value takes.
    pub(super) width: usize,
}

impl<'a> FieldCell<'a> {
    /// A field with room for what is typed or chosen.
    pub(super) fn new(
        label: &str,
        value: &'a TextArea<'static>,
        chosen: Option<&'a str>,
        focused: bool,
    ) -> Self {
        let typed = value.lines().first().map_or(0, |line| columns(line));
        let width = match chosen {
            Some(chosen) => columns(chosen) + 4,
            None => VALUE.max(typed + 1),
        };
        Self {
            label: label.to_owned(),
            value,
            chosen,
            focused,
            width,
        }
    }

    /// With the marker before it and the gap after it.
    fn columns(&self) -> usize {
        2 + columns(&self.label) + 1 + self.width + 2
    }
}

/// A sheet before it is laid out.
#[derive(Default)]
pub(super) struct Sheet<'a> {
    /// Pinned above, in the order of weight: the last of it scrolls where there is no room.
    pub(super) above: Vec<Line<'a>>,
    /// What scrolls.
    pub(super) scrolls: Vec<Line<'a>>,
    /// Its heading.
    pub(super) heading: &'static str,
    /// The line of what scrolls that stays in sight while nobody has scrolled.
    pub(super) follows: Option<usize>,
    /// Pinned below.
    pub(super) below: Vec<Line<'a>>,
    /// Put before the line of `below` at this index, where there is room.
    pub(super) proof: (usize, Vec<Line<'a>>),
    /// What the keys do.
    pub(super) foot: String,
    /// What scrolls it, said where something is out of sight.
    pub(super) scrolled_by: String,
}

impl<'a> Sheet<'a> {
    /// Adds words, in lines of at most `width` columns.
    pub(super) fn add(lines: &mut Vec<Line<'a>>, text: &str, width: usize, meaning: Meaning) {
        let wrapped = wrap(text, width).into_iter();
        lines.extend(wrapped.map(|line| Line::Text(line, meaning)));
    }

    /// The same with something in front of the first line, under which the others stand.
    pub(super) fn hang(lines: &mut Vec<Line<'a>>, mark: &str, text: &str, width: usize, meaning: Meaning) {
        let indent = columns(mark);
        let wrapped = wrap(text, width.saturating_sub(indent)).into_iter().enumerate();
        lines.extend(wrapped.map(|(index, line)| {
            let before = if index == 0 {
                mark.to_owned()
            } else {
                " ".repeat(indent)
            };
            Line::Text(format!("{before}{line}"), meaning)
        }));
    }

    /// What is pinned and what scrolls in `room` lines.
    fn fold(mut self, room: usize) -> Folded<'a> {
        let heading = |scrolls: &[Line<'_>]| usize::from(!scrolls.is_empty());
        let pinned = |it: &Self| it.above.len() + it.below.len() + heading(&it.scrolls);
        let (at, proof) = std::mem::take(&mut self.proof);
        if pinned(&self) + self.scrolls.len() + proof.len() <= room && at <= self.below.len() {
            self.below.splice(at..at, proof);
        }
        while self.above.len() > 1 && pinned(&self) + SCROLLS.min(self.scrolls.len()) > room {
            if let Some(line) = self.above.pop() {
                self.scrolls.insert(0, line);
                self.follows = self.follows.map(|at| at + 1);
            }
        }
        // Below is what is typed: its end stays.
        let too_many = (self.above.len() + self.below.len()).saturating_sub(room);
        self.below.drain(..too_many.min(self.below.len()));
        let left = room.saturating_sub(self.above.len() + self.below.len());
        let shown = left
            .saturating_sub(heading(&self.scrolls))
            .min(self.scrolls.len());
        Folded { sheet: self, shown }
    }
}

struct Folded<'a> {
    sheet: Sheet<'a>,
    /// How many lines of what scrolls are in sight.
    shown: usize,
}

impl Folded<'_> {
    /// How far it can be scrolled.
    fn hidden(&self) -> usize {
        self.sheet.scrolls.len() - self.shown
    }
}

/// The dialog's frame in `area`: below the header, as high as it needs to be.
fn room(area: Rect) -> Rect {
    let header = u16::from(area.height > 20);
    Rect {
        y: area.y + header,
        height: area.height - header,
        ..area
    }
}

/// Columns of text in a dialog on a screen of this size.
pub(super) fn text_width(area: Rect) -> usize {
    usize::from(area.width.min(100).saturating_sub(6))
}

/// How far `sheet` can be scrolled on a screen of this size.
pub(super) fn n_hidden(sheet: Sheet<'_>, area: Rect) -> usize {
    let lines = usize::from(room(area).height).saturating_sub(3);
    sheet.fold(lines).hidden()
}

/// Draws it.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    palette: Palette,
    title: (&str, &str, Meaning),
    sheet: Sheet<'_>,
    scroll: usize,
) {
    let area = room(area);
    let lines = usize::from(area.height).saturating_sub(3);
    let (mut foot, scrolled_by) = (sheet.foot.clone(), sheet.scrolled_by.clone());
    let folded = sheet.fold(lines);
    let (sheet, shown, hidden) = (&folded.sheet, folded.shown, folded.hidden());
    if hidden > 0 && !scrolled_by.is_empty() {
        foot = format!("{scrolled_by}, {foot}");
    }
    let n = sheet.above.len() + usize::from(!sheet.scrolls.is_empty()) + shown + sheet.below.len();
    let height = u16::try_from(n).unwrap_or(u16::MAX).saturating_add(3);
    let place = dialog(buffer, area, area.width.min(100), height.max(5));
    let (title, note, meaning) = title;
    let inner = frame(buffer, place, palette, title, (note, meaning), true);
    let body = Rect {
        height: inner.height.saturating_sub(1),
        ..inner
    };
    let follows = sheet.follows.map_or(0, |at| (at + 1).saturating_sub(shown));
    let first = if scroll == 0 { follows } else { scroll }.min(hidden);
    let seen = match hidden {
        0 => sheet.scrolls.len().to_string(),
        _ => format!("{}-{} of {}", first + 1, first + shown, sheet.scrolls.len()),
    };
    let heading = (!sheet.scrolls.is_empty()).then_some(Line::Rule(sheet.heading, seen));
    let middle = sheet.scrolls.iter().skip(first).take(shown);
    let all = sheet
        .above
        .iter()
        .chain(heading.as_ref())
        .chain(middle)
        .chain(&sheet.below);
    for (y, line) in (body.y..body.bottom()).zip(all) {
        draw_line(line, place, body, y, buffer, palette);
    }
    let y = inner.bottom().saturating_sub(1);
    put(buffer, inner, inner.x + 2, y, &foot, palette.style(Meaning::Dim));
}

fn draw_line(line: &Line<'_>, place: Rect, body: Rect, y: u16, buffer: &mut Buffer, palette: Palette) {
    match line {
        Line::Text(text, meaning) => {
            put(buffer, body, body.x + 2, y, text, palette.style(*meaning));
        }
        Line::Rule(heading, note) => rule(heading, note, place, y, buffer, palette),
        Line::Fields(cells) => {
            let mut x = body.x;
            for cell in cells {
                x = draw_field(cell, Rect { x, ..body }, y, buffer, palette);
            }
        }
    }
}

/// A line across the frame, with a heading at its left and a note at its right.
fn rule(heading: &str, note: &str, place: Rect, y: u16, buffer: &mut Buffer, palette: Palette) {
    let width = usize::from(place.width);
    let frame = palette.style(Meaning::Focus);
    put(
        buffer,
        place,
        place.x,
        y,
        &format!("├{}┤", "─".repeat(width.saturating_sub(2))),
        frame,
    );
    if heading.is_empty() {
        return;
    }
    let heading = format!(" {} ", fit(heading, width.saturating_sub(6)));
    let end = put(
        buffer,
        place,
        place.x + 1,
        y,
        &heading,
        palette.style(Meaning::Title),
    );
    let left = usize::from(place.right().saturating_sub(end));
    if !note.is_empty() && left > columns(note) + 5 {
        let x = place
            .right()
            .saturating_sub(u16::try_from(columns(note)).unwrap_or(0) + 4);
        put(
            buffer,
            place,
            x,
            y,
            &format!(" {note} "),
            palette.style(Meaning::Dim),
        );
    }
}

fn draw_field(cell: &FieldCell<'_>, area: Rect, y: u16, buffer: &mut Buffer, palette: Palette) -> u16 {
    let style = palette.style(if cell.focused { Meaning::Key } else { Meaning::Dim });
    let marker = if cell.focused { "> " } else { "  " };
    let x = put(
        buffer,
        area,
        area.x,
        y,
        &format!("{marker}{} ", cell.label),
        style,
    );
    let value = Rect {
        x,
        y,
        width: area
            .right()
            .saturating_sub(x)
            .min(u16::try_from(cell.width).unwrap_or(u16::MAX)),
        height: 1,
    };
    match (cell.chosen, cell.focused) {
        (Some(chosen), _) => {
            put(
                buffer,
                value,
                x,
                y,
                &format!("< {chosen} >"),
                palette.style(Meaning::Plain),
            );
        }
        (None, true) => cell.value.render(value, buffer),
        (None, false) => {
            let text = cell.value.lines().first().map(String::as_str).unwrap_or_default();
            let shown = fit(text, usize::from(value.width));
            let rest = usize::from(value.width).saturating_sub(columns(&shown));
            let x = put(buffer, value, x, y, &shown, palette.style(Meaning::Plain));
            put(
                buffer,
                value,
                x,
                y,
                &"_".repeat(rest),
                palette.style(Meaning::Dim),
            );
        }
    }
    value.right() + 2
}

/// Fields, as many side by side as there is room for.
pub(super) fn in_lines<'a>(cells: Vec<FieldCell<'a>>, width: usize) -> Vec<Line<'a>> {
    let mut lines: Vec<Vec<FieldCell<'a>>> = Vec::new();
    let mut used = 0;
    for cell in cells {
        let columns = cell.columns();
        match lines.last_mut().filter(|_| used + columns <= width + 2) {
            Some(line) => line.push(cell),
            None => {
                used = 0;
                lines.push(vec![cell]);
            }
        }
        used += columns;
    }
    lines.into_iter().map(Line::Fields).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(n: usize) -> Vec<Line<'static>> {
        (0..n)
            .map(|n| Line::Text(n.to_string(), Meaning::Plain))
            .collect()
    }

    fn folded(above: usize, scrolls: usize, below: usize, room: usize) -> (usize, usize, usize, usize) {
        let sheet = Sheet {
            above: texts(above),
            scrolls: texts(scrolls),
            below: texts(below),
            ..Sheet::default()
        };
        let folded = sheet.fold(room);
        let (sheet, hidden) = (&folded.sheet, folded.hidden());
        (sheet.above.len(), folded.shown, sheet.below.len(), hidden)
    }

    #[test]
    fn what_is_pinned_stays_and_what_scrolls_is_counted() {
        assert_eq!(folded(4, 6, 5, 20), (4, 6, 5, 0));
        assert_eq!(folded(4, 77, 5, 20), (4, 10, 5, 67));
        // Without room for both, the last that is pinned above scrolls too.
        assert_eq!(folded(14, 77, 5, 20), (11, 3, 5, 77));
        assert_eq!(folded(14, 0, 8, 20), (8, 3, 8, 3));
        // The first line above and what is typed below are the last to go.
        assert_eq!(folded(9, 9, 5, 4), (1, 0, 3, 17));
    }

    #[test]
    fn nothing_is_laid_out_beyond_its_room() {
        for room in 1..12 {
            for above in 0..12 {
                for below in 0..6 {
                    let (above, shown, below, hidden) = folded(above, 5, below, room);
                    let heading = usize::from(shown + hidden > 0 && shown > 0);
                    assert!(above + shown + below + heading <= room.max(1), "{room}");
                }
            }
        }
    }
}
