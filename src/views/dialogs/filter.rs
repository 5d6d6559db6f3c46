//! The filter of a list, at the bottom of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};
use tui_textarea::TextArea;

use crate::state::State;
use crate::views::{find, palette};
use crate::widgets::text::put;
use crate::widgets::theme::Meaning;

/// Draws it over the footer.
pub(super) fn draw(state: &State, text: &TextArea<'static>, area: Rect, buffer: &mut Buffer) {
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
    text.render(field, buffer);
    // What went wrong, or what can be typed, above the line: it covers nothing that is decided on.
    let fields = find(state.place().view).filters;
    let (words, meaning) = match &state.toast {
        Some(toast) => (toast.text.clone(), Meaning::Bad),
        None if fields.is_empty() => ("words".to_owned(), Meaning::Dim),
        None => (format!("words, or {}:…", fields.join(":…, ")), Meaning::Dim),
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
