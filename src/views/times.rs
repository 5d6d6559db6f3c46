//! Moments as a screen has them, and as what leaves it does: short and relative to the day on the screen, which shows
//! the time beside them; whole in a file, which is read on another day.

use chrono::{DateTime, Utc};

use crate::domain::moment::whole;
use crate::state::State;
use crate::widgets::when;

/// As a list has it.
pub(super) fn when(at: DateTime<Utc>, state: &State) -> String {
    match state.look.whole_times {
        true => whole(at),
        false => when::when(at, state.shown_at()),
    }
}

/// As a detail has it.
pub(super) fn full(at: DateTime<Utc>, state: &State) -> String {
    match state.look.whole_times {
        true => whole(at),
        false => when::full(at),
    }
}

/// As a list of what was done from here has it, to the second.
pub(super) fn clock(at: DateTime<Utc>, state: &State) -> String {
    match state.look.whole_times {
        true => whole(at),
        false => at.format("%H:%M:%SZ").to_string(),
    }
}

/// A moment of a sentence, with how far off it is: `13:16Z, in 5 h`. In a file that would be wrong as soon as it is
/// written.
pub(super) fn with_distance(at: DateTime<Utc>, state: &State) -> String {
    match state.look.whole_times {
        true => whole(at),
        false => format!("{}, {}", when(at, state), when::distance(at, state.shown_at())),
    }
}

/// Time in a detail: `2026-11-29 13:16:45Z (in 5 h)`.
pub(super) fn full_with_distance(at: DateTime<Utc>, state: &State) -> String {
    match state.look.whole_times {
        true => whole(at),
        false => format!("{} ({})", full(at, state), when::distance(at, state.shown_at())),
    }
}
