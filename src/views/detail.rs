//! What all details share: labelled lines, sections, and a list at the end that the cursor moves in.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Row, palette};
use crate::domain::plain::plain_lines;
use crate::state::State;
use crate::state::cmd::Cmd;
use crate::widgets::heading::heading;
use crate::widgets::table::{self, Column, Line, Look};
use crate::widgets::text::{columns, put, wrap};
use crate::widgets::theme::Meaning;

/// One fact.
pub(super) struct Fact {
    /// What it is called.
    pub(super) label: &'static str,
    /// What it says.
    pub(super) text: String,
    /// What it means.
    pub(super) meaning: Meaning,
}

/// A plain fact.
pub(super) fn fact(label: &'static str, text: impl Into<String>) -> Fact {
    fact_that_means(label, text, Meaning::Plain)
}

/// A fact with a meaning. It may be in words of others, in which what can't be seen has a mark in its place.
pub(super) fn fact_that_means(label: &'static str, text: impl Into<String>, meaning: Meaning) -> Fact {
    Fact {
        label,
        text: plain_lines(&text.into()),
        meaning,
    }
}

/// A list below the facts.
pub(super) struct Below<'a> {
    /// Its title.
    pub(super) title: &'a str,
    /// Its columns.
    pub(super) columns: &'a [Column],
    /// Its rows.
    pub(super) rows: &'a [Row],
    /// What is said where there are none.
    pub(super) empty: &'a str,
}

/// Columns of the labels, with the space behind them; a longer one makes them wider.
const LABEL: u16 = 13;

/// Draws the facts in a frame and the list below them.
pub(super) fn draw(
    state: &State,
    area: Rect,
    buffer: &mut Buffer,
    title: &str,
    facts: &[Fact],
    below: &Below<'_>,
) {
    let palette = palette(state);
    let list = u16::try_from(below.rows.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2)
        .clamp(3, (area.height / 2).max(3))
        .min(area.height);
    let top = Rect {
        height: area.height - list,
        ..area
    };
    let query = (super::find(state.place().view).needs)(state).into_iter().next();
    let note = super::freshness(state, query.and_then(|query| state.data.get(&query)));
    let longest = facts.iter().map(|fact| columns(fact.label)).max().unwrap_or(0);
    let label = LABEL.max(u16::try_from(longest + 1).unwrap_or(LABEL));
    let width = usize::from(top.width.saturating_sub(label + 2));
    let lines: Vec<(&str, String, Meaning)> = facts
        .iter()
        .flat_map(|fact| {
            let wrapped = wrap(&fact.text, width);
            wrapped
                .into_iter()
                .enumerate()
                .map(|(index, line)| (if index == 0 { fact.label } else { "" }, line, fact.meaning))
        })
        .collect();
    let hidden = lines
        .len()
        .saturating_sub(usize::from(top.height.saturating_sub(1)));
    let scroll = usize::from(state.screen().scroll).min(hidden);
    let more = match hidden - scroll {
        0 => String::new(),
        n => format!("{n} more: {} ", state.keymap.key_of(Cmd::HalfDown)),
    };
    let note = format!("{more}{note}");
    let inner = heading(buffer, top, palette, title, (&note, Meaning::Warn), false);
    for (y, (name, text, meaning)) in (inner.y..inner.bottom()).zip(lines.iter().skip(scroll)) {
        put(buffer, inner, inner.x + 1, y, name, palette.style(Meaning::Dim));
        put(
            buffer,
            inner,
            inner.x + 1 + label,
            y,
            text,
            palette.style(*meaning),
        );
    }
    let bottom = Rect {
        y: area.y + top.height,
        height: list,
        ..area
    };
    let inner = heading(buffer, bottom, palette, below.title, ("", Meaning::Plain), true);
    if below.rows.is_empty() {
        put(
            buffer,
            inner,
            inner.x + 1,
            inner.y,
            below.empty,
            palette.style(Meaning::Dim),
        );
        return;
    }
    let screen = state.screen();
    let ids: Vec<&str> = below.rows.iter().map(|row| row.id.as_str()).collect();
    let line = |index: usize| {
        let row: &Row = below.rows.get(index)?;
        Some(Line {
            cells: row.cells.clone(),
            marked: screen.marks.contains(&row.id),
        })
    };
    let look = Look {
        palette,
        cursor: screen.cursor_index(0, &ids),
        bar: ids.iter().position(|id| Some(*id) == screen.settled.as_deref()),
        focused: true,
        headings: true,
        whole: state.look.whole_times,
    };
    table::draw(buffer, inner, below.columns, below.rows.len(), &line, &look);
}

/// Says why there is nothing to show.
pub(super) fn nothing(state: &State, area: Rect, buffer: &mut Buffer, query: &crate::state::query::Query) {
    let palette = palette(state);
    let text = match state.data.get(query).and_then(|loaded| loaded.trouble.as_ref()) {
        Some(problem) => problem.to_string(),
        None => "asking…".to_owned(),
    };
    let lines = wrap(&text, usize::from(area.width.saturating_sub(3)));
    for (y, line) in (area.y + 1..area.bottom()).zip(&lines) {
        put(buffer, area, area.x + 2, y, line, palette.style(Meaning::Dim));
    }
}
