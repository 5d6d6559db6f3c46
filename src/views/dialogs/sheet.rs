//! A dialog as a sheet: what is pinned above, sections in the middle that scroll, what is pinned below. It is laid
//! out here for the room that there is. A heading counts the things that it names, and says how many are out of sight.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use tui_textarea::TextArea;

use super::fold::Folded;
use crate::widgets::frame::{dialog, frame};
use crate::widgets::text::{columns, fit, put, wrap};
use crate::widgets::theme::{Meaning, Palette};

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

/// Lines that belong together: what is said of one thing.
pub(super) type Thing<'a> = Vec<Line<'a>>;

/// Things under one heading.
#[derive(Default)]
pub(super) struct Section<'a> {
    pub(super) heading: &'static str,
    pub(super) things: Vec<Thing<'a>>,
}

/// Losses that stay in sight as long as there is room for them.
#[derive(Default)]
pub(super) struct Pinned<'a> {
    pub(super) things: Vec<Thing<'a>>,
    /// Hint about the key that shows the rest; empty where this is all.
    pub(super) more: String,
}

impl Pinned<'_> {
    /// Lines that it takes, its heading among them.
    pub(super) fn n_lines(&self) -> usize {
        1 + self.things.iter().map(Vec::len).sum::<usize>()
    }
}

/// A sheet before it is laid out.
#[derive(Default)]
pub(super) struct Sheet<'a> {
    /// Pinned above, a paragraph each, in the order of weight.
    pub(super) above: Vec<Thing<'a>>,
    /// So many of those stay there while anything else can give way; the first one always does.
    pub(super) kept: usize,
    /// The last of those in one line, for where there is no room for all of it.
    pub(super) short: Option<Thing<'a>>,
    /// Losses, once whole and then in fewer and fewer lines: the first form that fits is pinned. None where nothing is
    /// said of them.
    pub(super) losses: Vec<Pinned<'a>>,
    /// What scrolls.
    pub(super) sections: Vec<Section<'a>>,
    /// The thing of the first section that stays in sight while nobody has scrolled.
    pub(super) follows: Option<usize>,
    /// Known obstacles, pinned below; none where nothing is said of them.
    pub(super) in_the_way: Vec<Thing<'a>>,
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

    /// Adds text with something in front of its first line, under which the others stand.
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

    /// Words as one thing.
    pub(super) fn thing(text: &str, width: usize, meaning: Meaning) -> Thing<'a> {
        let mut lines = Vec::new();
        Self::add(&mut lines, text, width, meaning);
        lines
    }

    /// Text with something in front of its first line.
    pub(super) fn hung(mark: &str, text: &str, width: usize, meaning: Meaning) -> Thing<'a> {
        let mut lines = Vec::new();
        Self::hang(&mut lines, mark, text, width, meaning);
        lines
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

/// Bounds for scrolling a dialog: as far as there are lines, by a page at a time so that none is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrolling {
    /// Lines that are out of sight.
    pub most: usize,
    /// Lines that are in sight.
    pub page: usize,
    /// Lines before the sheet's own first section, which what has no room above it stands in front of.
    pub own: usize,
}

/// Bounds for scrolling `sheet` on a screen of this size.
pub(super) fn scrolling(sheet: Sheet<'_>, area: Rect) -> Scrolling {
    let lines = usize::from(room(area).height).saturating_sub(3);
    Folded::of(sheet, lines).scrolling()
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
    let folded = Folded::of(sheet, lines);
    if folded.scrolling().most > 0 && !scrolled_by.is_empty() {
        foot = format!("{scrolled_by}, {foot}");
    }
    let all = folded.lines(scroll);
    let height = u16::try_from(all.len()).unwrap_or(u16::MAX).saturating_add(3);
    let place = dialog(buffer, area, area.width.min(100), height.max(5));
    let (title, note, meaning) = title;
    let inner = frame(buffer, place, palette, title, (note, meaning), true);
    let body = Rect {
        height: inner.height.saturating_sub(1),
        ..inner
    };
    for (y, line) in (body.y..body.bottom()).zip(&all) {
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
