//! How far a clock is off the database's, and what is said of it. Who compares them is in `clocks` and the store.

use chrono::TimeDelta;

use crate::domain::worker::clock_words;

/// A clock that is further off is told, and nothing is claimed by it: claims end by the clocks of those who
/// look at them.
const LIMIT: TimeDelta = TimeDelta::seconds(10);

/// What to do about it.
pub(super) const HINT: &str = "set both by NTP";

/// How far a clock is ahead of the database's, or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOff(pub(super) TimeDelta);

impl ClockOff {
    /// Of a clock that is so far ahead of the database's; `sure` is how exact that is.
    pub(super) fn of(ahead: TimeDelta, sure: TimeDelta) -> Option<Self> {
        (ahead.abs() - sure > LIMIT).then_some(Self(ahead))
    }

    /// Time that it is ahead; negative where it is behind.
    #[must_use]
    pub fn ahead(self) -> TimeDelta {
        self.0
    }

    /// In words, of `whose` clock.
    pub(super) fn words(self, whose: &str) -> String {
        clock_words(whose, self.0.num_seconds())
    }
}
