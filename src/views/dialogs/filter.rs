//! The filter of a list, at the bottom of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};
use tui_textarea::TextArea;

use crate::state::State;
use crate::views::palette;
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
}
