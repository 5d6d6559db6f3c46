//! A choice by one key, in the lower left corner, beside what it is about.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use crate::state::State;
use crate::state::cmd::InDialog;
use crate::state::layer::Menu;
use crate::views::palette;
use crate::widgets::frame::frame;
use crate::widgets::table::first_shown;
use crate::widgets::text::{fit, put};
use crate::widgets::theme::Meaning;

/// Draws it.
pub(super) fn draw(state: &State, menu: &Menu, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let n = u16::try_from(menu.items.len()).unwrap_or(u16::MAX);
    let height = n.saturating_add(2).min(area.height.saturating_sub(3));
    let width = area.width.min(76);
    let place = Rect {
        x: area.x,
        y: area.bottom().saturating_sub(height + 1),
        width,
        height,
    };
    Clear.render(place, buffer);
    let hints = [(InDialog::Confirm, "takes it"), (InDialog::Close, "closes")];
    let note = format!("a key, {}", state.keymap.hints(&hints));
    let inner = frame(buffer, place, palette, &menu.title, (&note, Meaning::Dim), true);
    let first = first_shown(menu.picked, usize::from(inner.height), menu.items.len());
    let items = menu.items.iter().enumerate().skip(first);
    for (y, (index, item)) in (inner.y..inner.bottom()).zip(items) {
        let at = index == menu.picked;
        let base = palette.style(if at { Meaning::Cursor } else { Meaning::Plain });
        let x = put(buffer, inner, inner.x, y, if at { ">" } else { " " }, base);
        let x = put(
            buffer,
            inner,
            x,
            y,
            &item.key.to_string(),
            palette.style(Meaning::Key),
        );
        let what = fit(&item.what, usize::from(inner.width).saturating_sub(4));
        put(buffer, inner, x + 1, y, &what, base);
    }
}
