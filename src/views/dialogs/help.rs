//! Help, made from the keymap, the actions and the filter's own fields; a disabled action says why.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::grammar;
use crate::actions::{self, Availability};
use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::keymap::Group;
use crate::views::{find, palette, selected};
use crate::widgets::frame::{dialog, frame};
use crate::widgets::text::{put, wrap};
use crate::widgets::theme::Meaning;

/// The widest that it gets, and what of that the keys have.
const WIDTH: u16 = 110;
const KEYS: u16 = 19;

/// Draws it.
pub(super) fn draw(state: &State, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let lines = lines(state, words_in(area.width));
    let place = dialog(buffer, area, WIDTH, height(&lines, area.height));
    let room = usize::from(place.height.saturating_sub(2));
    let hidden = lines.len().saturating_sub(room);
    let first = usize::from(scroll).min(hidden);
    let (down, up) = (state.keymap.call(Cmd::Down), state.keymap.call(Cmd::Up));
    let closes = state.keymap.hints(&[(InDialog::Close, "closes")]);
    let more = match hidden - first {
        0 => String::new(),
        n => format!("↓ {n} more  "),
    };
    let moves = match hidden {
        0 => String::new(),
        _ => format!("{down} {up} move, "),
    };
    let note = format!("{more}{moves}{closes}");
    let inner = frame(buffer, place, palette, "Keys", (&note, Meaning::Dim), true);
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

/// The first line at which its last line is the last of the window.
pub(super) fn last_scroll(state: &State) -> u16 {
    let (width, height_of_all) = (state.size.width, state.size.height);
    let lines = lines(state, words_in(width));
    let room = height(&lines, height_of_all).saturating_sub(2);
    u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_sub(room)
}

/// Columns that the words have on a screen of this width: without the frame, a column at its left and the keys.
fn words_in(width: u16) -> usize {
    usize::from(WIDTH.min(width).saturating_sub(3 + KEYS))
}

fn height(lines: &[(String, String, Meaning)], screen: u16) -> u16 {
    let whole = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    whole.min(screen.saturating_sub(2))
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
        if group == Group::Act {
            for (term, what) in grammar::lines(find(state.place().view), &state.keymap) {
                let meaning = if term.is_empty() {
                    Meaning::Title
                } else {
                    Meaning::Plain
                };
                let mut term = term;
                for part in wrap(&what, width.max(1)) {
                    lines.push((std::mem::take(&mut term), part, meaning));
                }
            }
        }
    }
    lines
}
