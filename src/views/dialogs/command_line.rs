//! The command line at the bottom of the screen, with the lines that fit above it; what can't be started
//! now says why.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use crate::actions::{self, Availability};
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::layer::{CommandLine, line};
use crate::state::palette::{Candidate, Leads, candidates_with};
use crate::views::{find, palette, selected};
use crate::widgets::frame::frame;
use crate::widgets::table::first_shown;
use crate::widgets::text::{fit, put, wrap};
use crate::widgets::theme::Meaning;

/// Lines that are shown at most.
const SHOWN: u16 = 10;

/// Draws it over the footer and what is above.
pub(super) fn draw(state: &State, layer: &CommandLine, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let sorts = find(state.place().view).sort_words();
    let found = candidates_with(state, &line(&layer.typed), &sorts);
    let width = usize::from(area.width.saturating_sub(4));
    let error = layer
        .error
        .as_ref()
        .map(|error| wrap(&format!("error: {error}"), width));
    let error = error.unwrap_or_default();
    let n_error = u16::try_from(error.len()).unwrap_or(SHOWN);
    let rows = u16::try_from(found.len())
        .unwrap_or(SHOWN)
        .min(SHOWN)
        .saturating_add(n_error)
        .max(1);
    let rows = rows.min(area.height.saturating_sub(5));
    let place = Rect {
        y: area.bottom().saturating_sub(rows + 3),
        height: rows + 2,
        ..area
    };
    Clear.render(place, buffer);
    let note = state.keymap.hints(&[
        (InDialog::NextField, "completes"),
        (InDialog::Confirm, "runs"),
        (InDialog::Close, "closes"),
    ]);
    let inner = frame(buffer, place, palette, "Commands", (&note, Meaning::Dim), true);
    // What is wrong stands over the lines that fit, until the next letter.
    for (y, line) in (inner.y..inner.bottom()).zip(&error) {
        put(buffer, inner, inner.x + 1, y, line, palette.style(Meaning::Bad));
    }
    let inner = Rect {
        y: (inner.y + n_error).min(inner.bottom()),
        height: inner.height.saturating_sub(n_error),
        ..inner
    };
    if found.is_empty() && error.is_empty() {
        put(
            buffer,
            inner,
            inner.x + 1,
            inner.y,
            "no such command",
            palette.style(Meaning::Dim),
        );
    }
    let selected = selected(state);
    let picked = layer.picked.min(found.len()).checked_sub(1);
    let first = first_shown(picked.unwrap_or(0), usize::from(inner.height), found.len());
    let shown = found.iter().enumerate().skip(first);
    for (y, (index, candidate)) in (inner.y..inner.bottom()).zip(shown) {
        let at = Some(index) == picked;
        let row = Rect {
            y,
            height: 1,
            ..inner
        };
        let base = palette.style(if at { Meaning::Cursor } else { Meaning::Plain });
        if at {
            buffer.set_style(row, base);
        }
        let (what, meaning) = words(state, candidate, &selected);
        let name = usize::from(inner.width / 3).max(16);
        let x = put(buffer, row, row.x, y, if at { ">" } else { " " }, base);
        put(buffer, row, x, y, &fit(&candidate.name, name), base);
        let x = x + u16::try_from(name).unwrap_or(16) + 1;
        put(
            buffer,
            row,
            x,
            y,
            &fit(&candidate.note, 11),
            palette.style(Meaning::Key).patch(base),
        );
        put(buffer, row, x + 12, y, &what, palette.style(meaning).patch(base));
    }
    let row = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    Clear.render(row, buffer);
    let x = put(buffer, row, row.x + 1, row.y, ":", palette.style(Meaning::Key));
    let field = Rect {
        x,
        width: row.right().saturating_sub(x),
        ..row
    };
    layer.typed.render(field, buffer);
}

fn words(state: &State, candidate: &Candidate, selected: &[Target]) -> (String, Meaning) {
    if let Leads::Cmd(Cmd::Start(id)) = candidate.leads
        && let Some(action) = actions::find(id)
        && let Availability::Disabled(why) = state.availability(action, selected)
    {
        return (format!("not now: {why}"), Meaning::Dim);
    }
    (candidate.what.clone(), Meaning::Plain)
}
