//! The filter of a list, at the bottom of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use crate::state::State;
use crate::state::cmd::InDialog;
use crate::state::layer::{FilterLine, line};
use crate::views::{find, palette};
use crate::widgets::text::{columns, fit, put};
use crate::widgets::theme::Meaning;

/// Draws it over the footer.
pub(super) fn draw(state: &State, filter: &FilterLine, area: Rect, buffer: &mut Buffer) {
    let row = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    Clear.render(row, buffer);
    let x = put(
        buffer,
        row,
        row.x + 1,
        row.y,
        "/",
        palette(state).style(Meaning::Key),
    );
    let field = Rect {
        x,
        width: row.right().saturating_sub(x),
        ..row
    };
    filter.typed.render(field, buffer);
    if line(&filter.typed).is_empty() {
        let earlier = earlier(state, filter, usize::from(field.width).saturating_sub(2));
        let at = row.right().saturating_sub(
            u16::try_from(columns(&earlier))
                .unwrap_or(u16::MAX)
                .saturating_add(1),
        );
        put(
            buffer,
            field,
            at.max(field.x + 1),
            row.y,
            &earlier,
            palette(state).style(Meaning::Dim),
        );
    }
    // What went wrong, or what can be typed, above the line: it covers nothing that is decided on.
    let fields = find(state.place().view).filters;
    let (words, meaning) = match &state.toast {
        Some(toast) => (toast.text.clone(), Meaning::Bad),
        None if fields.is_empty() => ("words".to_owned(), Meaning::Dim),
        None => (
            typed_as(fields, usize::from(area.width).saturating_sub(2)),
            Meaning::Dim,
        ),
    };
    let above = Rect {
        y: row.y.saturating_sub(1),
        height: 1,
        ..area
    };
    Clear.render(above, buffer);
    put(
        buffer,
        above,
        above.x + 1,
        above.y,
        &words,
        palette(state).style(meaning),
    );
}

/// Hint at what can be typed, of the fields as many as there is room for.
fn typed_as(fields: &[&str], room: usize) -> String {
    let with = |n: usize| {
        let more = match fields.len() - n {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        format!("words, or {}:…{more}", fields[..n].join(":…, "))
    };
    let fits = (1..=fields.len())
        .rev()
        .map(with)
        .find(|text| columns(text) <= room);
    fits.unwrap_or_else(|| with(1))
}

/// Words under an empty line: the list that stays shown, and the ways from there.
fn earlier(state: &State, filter: &FilterLine, room: usize) -> String {
    let shown = state.screen().list.q;
    if shown.is_empty() {
        let has_earlier = !filter.earlier(&state.filters_used).is_empty();
        let hint = state.keymap.hints(&[(InDialog::Previous, "earlier filters")]);
        return fit(&if has_earlier { hint } else { String::new() }, room);
    }
    let ways = state.keymap.hints(&[
        (InDialog::Previous, "edits it"),
        (InDialog::Confirm, "shows all"),
        (InDialog::Close, "leaves it"),
    ]);
    let room = room.saturating_sub(columns(&ways) + columns("shown: ; "));
    format!("shown: {}; {ways}", fit(&shown, room))
}
