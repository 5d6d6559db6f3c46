//! A pane: its heading, with what is out of sight above and below, and a table of its rows; where there are none, why.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{chrome, find, freshness, palette, total};
use crate::state::State;
use crate::state::query::Query;
use crate::widgets::heading::heading;
use crate::widgets::table::{self, Column, Line, first_shown};
use crate::widgets::text::{columns, put, wrap};
use crate::widgets::theme::Meaning;
use crate::wire::page::{is_least, n_rows};

/// One pane of the open screen.
pub(super) struct Pane<'a> {
    /// What it is called.
    pub(super) title: &'a str,
    /// What its heading says behind the number of rows.
    pub(super) about: &'a str,
    /// Which pane.
    pub(super) index: usize,
    /// Its columns.
    pub(super) columns: &'a [Column],
    /// Whether they have headings.
    pub(super) headings: bool,
    /// What its rows are the answer to.
    pub(super) query: Option<&'a Query>,
    /// Said where there is no row.
    pub(super) empty: &'a str,
    /// How many of these rows are critical.
    pub(super) n_critical: &'a dyn Fn(Range<usize>) -> usize,
}

impl Pane<'_> {
    pub(super) fn draw(&self, state: &State, area: Rect, buffer: &mut Buffer) {
        let palette = palette(state);
        let screen = state.screen();
        let view = find(state.place().view);
        let rows = (view.rows)(state, self.index);
        let focused = screen.pane == self.index;
        let loaded = self.query.and_then(|query| state.data.get(query));
        let total = loaded
            .and_then(|loaded| loaded.value.as_ref())
            .map_or(rows.len(), |answer| total(answer, rows.len()));
        let cursor = screen.cursor_index(self.index, rows.ids());
        let height = usize::from(area.height.saturating_sub(1 + u16::from(self.headings)));
        let first = first_shown(cursor, height, rows.len());
        let last = rows.len().min(first + height);
        let above = self.out_of_sight('↑', 0..first, 0);
        let below = self.out_of_sight('↓', last..rows.len(), total.saturating_sub(rows.len()));
        let fresh = freshness(state, loaded);
        // The header says it of the whole screen.
        let is_said = loaded.is_none_or(|it| !it.kept) && chrome::says_age(state);
        let fresh = if is_said { String::new() } else { fresh };
        // The console's own findings are there before the platform's: their number isn't all of them yet.
        let is_asked = self.query.is_some()
            && !rows.is_empty()
            && loaded.is_none_or(|it| it.value.is_none() && it.trouble.is_none());
        let asked = if is_asked {
            "asking…".to_owned()
        } else {
            String::new()
        };
        let notes = [asked, fresh, above, below];
        let notes: Vec<&str> = notes
            .iter()
            .map(String::as_str)
            .filter(|it| !it.is_empty())
            .collect();
        let number = match (rows.is_empty(), total == rows.len()) {
            (true, _) => String::new(),
            (false, true) => format!(" {}", rows.len()),
            (false, false) => format!(" {} of {}", rows.len(), n_rows(counted(total))),
        };
        let note = notes.join("  ");
        let taken = 6 + if note.is_empty() { 0 } else { columns(&note) + 4 };
        let whole = format!("{}{number}{}", self.title, self.about);
        // Half of what is said about it helps nobody; a number does.
        let title = match self.about.starts_with(',') && columns(&whole) + taken > usize::from(area.width) {
            true => format!("{}{number}", self.title),
            false => whole,
        };
        let inner = heading(buffer, area, palette, &title, (&note, Meaning::Warn), focused);
        if rows.is_empty() {
            let known = self.query.is_none() || loaded.is_some_and(|loaded| loaded.value.is_some());
            let text = match loaded.and_then(|loaded| loaded.trouble.as_ref()) {
                Some(problem) => problem.what.clone(),
                None if known => self.empty.to_owned(),
                None => "asking…".to_owned(),
            };
            let style = palette.style(Meaning::Dim);
            let lines = wrap(&text, usize::from(inner.width.saturating_sub(2)));
            for (y, line) in (inner.y..inner.bottom()).zip(&lines) {
                put(buffer, inner, inner.x + 1, y, line, style);
            }
            return;
        }
        let line = |index: usize| {
            let row = rows.get(index)?;
            Some(Line {
                marked: screen.marks.contains(&row.id),
                cells: row.cells,
            })
        };
        let settled = screen.settled.as_deref();
        let look = table::Look {
            palette,
            cursor,
            bar: match settled {
                Some(settled) => rows.ids().iter().position(|id| id == settled),
                None => Some(cursor),
            },
            focused,
            headings: self.headings,
            whole: state.look.whole_times,
        };
        table::draw(buffer, inner, self.columns, rows.len(), &line, &look);
    }

    /// What of it is out of sight in one direction, the critical rows before all others.
    fn out_of_sight(&self, arrow: char, rows: Range<usize>, unknown: usize) -> String {
        let n = rows.len() + unknown;
        let is_more = is_least(counted(rows.end + unknown));
        match ((self.n_critical)(rows), n) {
            (_, 0) => String::new(),
            // The last one stands for all that aren't counted.
            (0, n) if is_more && unknown > 0 => format!("{arrow} {}+", n - 1),
            (0, n) => format!("{arrow} {n}"),
            (critical, _) => format!("{arrow} {critical} critical"),
        }
    }
}

impl Default for Pane<'_> {
    fn default() -> Self {
        Self {
            title: "",
            about: "",
            index: 0,
            columns: &[],
            headings: true,
            query: None,
            empty: "",
            n_critical: &none_critical,
        }
    }
}

fn counted(total: usize) -> i64 {
    i64::try_from(total).unwrap_or(i64::MAX)
}

/// No row of a pane is critical by itself.
fn none_critical(_: Range<usize>) -> usize {
    0
}
