//! The only place that asks what time it is. It does not format or schedule.
//!
//! Times are cut to microseconds, which is what PostgreSQL keeps, so that a value read back equals
//! the value written.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rustix::time::{ClockId, clock_gettime};

/// Follows the system's clock unless it was set to a fixed moment.
///
/// Clones share the setting: the demo sets it back while it writes the fleet's history, and a test
/// sets it to whatever it needs.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    /// Where it stands, or that it follows the system.
    micros: AtomicI64,
    /// What the system's clock said when this one was made, and for how long the machine had run then.
    began: (DateTime<Utc>, TimeDelta),
}

/// A clock that moved by no more was set right by NTP.
const MOVED: TimeDelta = TimeDelta::seconds(60);

const FOLLOWS_SYSTEM: i64 = i64::MIN;

impl Clock {
    /// A clock that follows the system.
    #[must_use]
    pub fn system() -> Self {
        Self::at(FOLLOWS_SYSTEM)
    }

    /// A clock that stands still at `at`.
    #[must_use]
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self::at(at.timestamp_micros())
    }

    fn at(micros: i64) -> Self {
        Self(Arc::new(Hands {
            micros: AtomicI64::new(micros),
            began: (systems_now(), running_for()),
        }))
    }

    /// How far the system's clock has jumped since this one was made: it went otherwise than the machine ran, asleep
    /// or awake. Nothing where it follows no system, or has only been set right.
    #[must_use]
    pub fn jumped(&self) -> Option<TimeDelta> {
        let (then, ran) = self.0.began;
        self.follows_system()
            .then(|| jump(systems_now() - then, running_for() - ran))
            .flatten()
    }

    /// Now, in whole microseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self.0.micros.load(Ordering::Relaxed) {
            FOLLOWS_SYSTEM => systems_now().trunc_subsecs(6),
            micros => DateTime::from_timestamp_micros(micros).unwrap_or_default(),
        }
    }

    /// Whether it says what the system says.
    #[must_use]
    pub fn follows_system(&self) -> bool {
        self.0.micros.load(Ordering::Relaxed) == FOLLOWS_SYSTEM
    }

    /// Stand still at `at`, for all clones.
    pub fn set(&self, at: DateTime<Utc>) {
        self.0.micros.store(at.timestamp_micros(), Ordering::Relaxed);
    }

    /// Follow the system again, for all clones.
    pub fn follow_system(&self) {
        self.0.micros.store(FOLLOWS_SYSTEM, Ordering::Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that may ask the system"
)]
fn systems_now() -> DateTime<Utc> {
    Utc::now()
}

/// For how long the machine has run; no one can set that.
fn running_for() -> TimeDelta {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    TimeDelta::seconds(time.tv_sec) + TimeDelta::nanoseconds(time.tv_nsec)
}

fn jump(went: TimeDelta, ran: TimeDelta) -> Option<TimeDelta> {
    let jump = went - ran;
    (jump.abs() > MOVED).then_some(jump)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_what_the_machine_did_not_run() {
        let s = TimeDelta::seconds;
        assert_eq!(jump(s(3600), s(3595)), None);
        assert_eq!(jump(s(100_000), s(10)), Some(s(99_990)));
        assert_eq!(jump(s(-500), s(10)), Some(s(-510)));
        assert_eq!(Clock::system().jumped(), None);
        assert_eq!(
            Clock::fixed(DateTime::from_timestamp(0, 0).unwrap()).jumped(),
            None
        );
    }
}
