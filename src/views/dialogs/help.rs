//! Help, made from the keymap and the actions; a disabled action says why.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::actions::{self, Availability};
use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::keymap::Group;
use crate::views::{palette, selected};
use crate::widgets::frame::{dialog, frame};
use crate::widgets::text::{put, wrap};
use crate::widgets::theme::Meaning;

/// The widest that it gets, and what of that the keys have.
const WIDTH: u16 = 110;
const KEYS: u16 = 19;

/// Draws it.
pub(super) fn draw(state: &State, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    // The frame and a column at its left.
    let width = WIDTH.min(area.width).saturating_sub(3);
    let lines = lines(state, usize::from(width.saturating_sub(KEYS)));
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let place = dialog(buffer, area, WIDTH, height.min(area.height.saturating_sub(2)));
    let (down, up) = (state.keymap.call(Cmd::Down), state.keymap.call(Cmd::Up));
    let closes = state.keymap.hints(&[(InDialog::Close, "closes")]);
    let note = format!("{down} {up} move, {closes}");
    let inner = frame(buffer, place, palette, "Keys", (&note, Meaning::Dim), true);
    let first = usize::from(scroll).min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (keys, what, meaning)) in (inner.y..inner.bottom()).zip(lines.iter().skip(first)) {
        put(buffer, inner, inner.x + 1, y, keys, palette.style(Meaning::Key));
        put(
            buffer,
            inner,
            inner.x + 1 + KEYS,
            y,
            what,
            palette.style(*meaning),
        );
    }
}

/// Every line, cut nowhere: what doesn't fit goes on below.
fn lines(state: &State, width: usize) -> Vec<(String, String, Meaning)> {
    let selected = selected(state);
    let mut lines = Vec::new();
    let rows = state.keymap.rows();
    for group in Group::ALL {
        lines.push((String::new(), group.title().to_owned(), Meaning::Title));
        for row in rows.iter().filter(|row| row.group == group) {
            let (what, meaning) = match row.cmd {
                Cmd::Start(id) => match actions::find(id).map(|action| state.availability(action, &selected))
                {
                    Some(Availability::Disabled(why)) => {
                        (format!("{} (not now: {why})", row.what), Meaning::Dim)
                    }
                    _ => (row.what.to_owned(), Meaning::Plain),
                },
                _ => (row.what.to_owned(), Meaning::Plain),
            };
            let mut keys = row.keys.join(" ");
            for part in wrap(&what, width.max(1)) {
                lines.push((std::mem::take(&mut keys), part, meaning));
            }
        }
    }
    lines
}
