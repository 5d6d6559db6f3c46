//! The cursor of a list: where it goes, and that the list grows when it nears the end of what is loaded.
//! What a row is and what a key does to it is in `lists`.

use crate::state::State;
use crate::state::cmd::Cmd;
use crate::views;

/// Rows that a list asks for at first, and by how many it grows.
pub(super) const ROWS: u32 = 200;

/// The cursor to where the open list begins, as after another filter or with another visit: at its first row, or at the
/// newest line of what grows at its end.
pub(super) fn begin(state: &mut State) {
    let grows_at_its_end = state.place().view.grows_at_its_end();
    let screen = state.screen_mut();
    screen.release_cursors();
    screen.at_end = grows_at_its_end;
}

/// Following of the last row from now on, as it does after the command for the end. With what grows
/// there it goes on to do so until it is moved away.
pub(super) fn follow_the_end(state: &mut State, cmd: Cmd) {
    let grows_at_its_end = state.place().view.grows_at_its_end();
    let screen = state.screen_mut();
    screen.at_end = cmd == Cmd::Bottom || (screen.at_end && grows_at_its_end);
}

/// By so many rows, as far as there are any.
pub(super) fn step(state: &mut State, by: isize) {
    let rows = views::focused_rows(state);
    let n = rows.len();
    if n == 0 {
        return;
    }
    let screen = state.screen();
    let index = screen
        .cursor_index(screen.pane, rows.ids())
        .saturating_add_signed(by)
        .min(n - 1);
    drop(rows);
    put(state, index);
}

/// Puts the cursor on the row at `index`.
pub(super) fn put(state: &mut State, index: usize) {
    let rows = views::focused_rows(state);
    let n = rows.len();
    let mut screen = state.screen();
    screen.move_cursor(screen.pane, index, rows.ids());
    drop(rows);
    screen.at_end = index + 1 == n && (screen.at_end || state.place().view.grows_at_its_end());
    *state.screen_mut() = screen;
    state.moving = true;
    state.moves = state.moves.wrapping_add(1);
    grow(state, index, n);
}

/// Asks for more rows when the cursor comes near the last one that is known.
fn grow(state: &mut State, index: usize, n: usize) {
    if index + 20 < n {
        return;
    }
    for query in (views::find(state.place().view).needs)(state) {
        if let Some(loaded) = state.data.get_mut(&query)
            && usize::try_from(loaded.rows).is_ok_and(|rows| rows <= n)
        {
            loaded.rows += ROWS;
            loaded.dirty = true;
        }
    }
}

/// The row under the cursor of the open screen stays there, whatever comes above it.
pub(super) fn hold(state: &mut State) {
    let view = views::find(state.place().view);
    let mut screen = state.screen();
    for pane in 0..view.n_panes {
        let rows = (view.rows)(state, pane);
        if view.id.grows_at_its_end() {
            screen.to_the_first_if_gone(pane, rows.ids());
        }
        screen.hold_cursor(pane, rows.ids());
    }
    if !state.moving {
        let rows = (view.rows)(state, screen.pane);
        let at = screen.cursor_index(screen.pane, rows.ids());
        screen.settled = rows.ids().get(at).map(ToString::to_string);
    }
    *state.screen_mut() = screen;
}
