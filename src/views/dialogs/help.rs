//! Help, made from the keymap and the actions; a disabled action says why.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::actions::{self, Availability};
use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::keymap::Group;
use crate::views::{palette, selected};
use crate::widgets::frame::{dialog, frame};
use crate::widgets::text::put;
use crate::widgets::theme::Meaning;

/// Draws it.
pub(super) fn draw(state: &State, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let lines = lines(state);
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let place = dialog(buffer, area, 78, height.min(area.height.saturating_sub(2)));
    let (down, up) = (state.keymap.call(Cmd::Down), state.keymap.call(Cmd::Up));
    let closes = state.keymap.hints(&[(InDialog::Close, "closes")]);
    let note = format!("{down} {up} move, {closes}");
    let inner = frame(buffer, place, palette, "Keys", (&note, Meaning::Dim), true);
    let first = usize::from(scroll).min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (keys, what, meaning)) in (inner.y..inner.bottom()).zip(lines.iter().skip(first)) {
        put(buffer, inner, inner.x + 1, y, keys, palette.style(Meaning::Key));
        put(buffer, inner, inner.x + 20, y, what, palette.style(*meaning));
    }
}

fn lines(state: &State) -> Vec<(String, String, Meaning)> {
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
            lines.push((row.keys.join(" "), what, meaning));
        }
    }
    lines
}
