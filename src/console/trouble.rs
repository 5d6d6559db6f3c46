//! From one row that is in trouble to the next: one whose cells mean something bad, or a warning. It
//! opens and changes nothing.

use super::cursor;
use crate::state::{State, Tone};
use crate::views::{self, Row};
use crate::widgets::theme::Meaning;

/// The cursor to the next row that is in trouble, or to the one before; past the end of what is known it
/// goes on from the other end, and says so.
pub(super) fn step(state: &mut State, down: bool) {
    let rows = views::focused_rows(state);
    let n = rows.len();
    let screen = state.screen();
    let at = screen.cursor_index(screen.pane, rows.ids());
    let around = (1..=n).map(|step| if down { at + step } else { at + n - step } % n);
    let mut around = around.map(|index| (index, rows.get(index)));
    let found = around.find(|(_, row)| row.as_ref().is_some_and(is_in_trouble));
    drop(around);
    drop(rows);
    let Some((index, _)) = found else {
        return state.say(Tone::Plain, "no row here is in trouble");
    };
    if index == at {
        return state.say(Tone::Plain, "no other row here is in trouble");
    }
    if down && index < at {
        state.say(Tone::Plain, "wrapped around to the top");
    } else if !down && index > at {
        state.say(Tone::Plain, "wrapped around to the end");
    }
    cursor::put(state, index);
}

fn is_in_trouble(row: &Row) -> bool {
    let bad = |meaning| matches!(meaning, Meaning::Bad | Meaning::Warn);
    // An empty cell has a meaning too, which nobody sees.
    row.cells
        .iter()
        .any(|cell| bad(cell.meaning) && !cell.text.is_empty())
}
