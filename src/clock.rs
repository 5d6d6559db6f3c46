//! The only place that asks what time it is. It does not format or schedule.
//!
//! Times are cut to microseconds, which is what PostgreSQL keeps, so that a value read back equals
//! the value written.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound, Utc};

/// Follows the system's clock unless it was set to a fixed moment.
///
/// Clones share the setting: the demo sets it back while it writes the fleet's history, and a test
/// sets it to whatever it needs.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicI64>);

const FOLLOWS_SYSTEM: i64 = i64::MIN;

impl Clock {
    /// A clock that follows the system.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(AtomicI64::new(FOLLOWS_SYSTEM)))
    }

    /// A clock that stands still at `at`.
    #[must_use]
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self(Arc::new(AtomicI64::new(at.timestamp_micros())))
    }

    /// Now, in whole microseconds.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that may ask the system"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        match self.0.load(Ordering::Relaxed) {
            FOLLOWS_SYSTEM => Utc::now().trunc_subsecs(6),
            micros => DateTime::from_timestamp_micros(micros).unwrap_or_default(),
        }
    }

    /// Whether it says what the system says.
    #[must_use]
    pub fn follows_system(&self) -> bool {
        self.0.load(Ordering::Relaxed) == FOLLOWS_SYSTEM
    }

    /// Stand still at `at`, for all clones.
    pub fn set(&self, at: DateTime<Utc>) {
        self.0.store(at.timestamp_micros(), Ordering::Relaxed);
    }

    /// Follow the system again, for all clones.
    pub fn follow_system(&self) {
        self.0.store(FOLLOWS_SYSTEM, Ordering::Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}
