//! The line in a filter's place on a screen that has nothing to filter: it says so, and takes what is typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::views::{self, palette};
use crate::widgets::text::{put, wrap};
use crate::widgets::theme::Meaning;

/// Draws it over the footer.
pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width.saturating_sub(4));
    let mut lines = wrap(&words(state), width);
    // It covers the line where this would stand.
    if let Some(toast) = &state.toast {
        lines.extend(wrap(&toast.text, width));
    }
    let height = u16::try_from(lines.len()).unwrap_or(1).min(area.height);
    let row = Rect {
        y: area.bottom() - height,
        height,
        ..area
    };
    Clear.render(row, buffer);
    let palette = palette(state);
    put(buffer, row, row.x + 1, row.y, "/", palette.style(Meaning::Key));
    for (y, line) in (row.y..row.bottom()).zip(&lines) {
        put(buffer, row, row.x + 3, y, line, palette.style(Meaning::Warn));
    }
}

/// Says that what is typed does nothing, how that ends, and where there is something to filter.
fn words(state: &State) -> String {
    let keys = [InDialog::Confirm, InDialog::Close].map(|is| state.keymap.key_of(Cmd::Dialog(is)));
    let keys: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty()).collect();
    let lists = views::ALL.iter().filter(|view| view.is_filtered());
    let lists: Vec<String> = lists.map(|view| state.keymap.call(Cmd::Show(view.id))).collect();
    format!(
        "nothing to filter here: keys do nothing until {}; lists: {}",
        keys.join(" or "),
        lists.join(" ")
    )
}
