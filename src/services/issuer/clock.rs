//! The issuer's look at its own clock. Claims end by the clock of who looks at them, and so one that is wrong
//! takes what others hold: nothing is claimed by it. That it is off is told to whoever asks the API.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::clock_off::ClockOff;
use crate::store::clocks;
use crate::store::{Store, StoreError};

/// A look counts for as long: lanes look for work many times a second while much is done, and a lease is minutes.
const COUNTS: Duration = Duration::from_secs(1);
/// A clock that went on by more or less than the time that passed was set, and what was seen before says nothing of it.
const SET: TimeDelta = TimeDelta::milliseconds(200);

/// The last look, and whether the database was told of it.
#[derive(Default)]
pub(super) struct Watch {
    /// The database knows this clock to be right; of an earlier life nobody knows.
    told_right: bool,
    /// The last look that found it right.
    right: Option<Look>,
}

/// A look at this clock.
struct Look {
    at: Instant,
    /// The clock's time then.
    said: DateTime<Utc>,
}

impl Look {
    /// True if the clock has only gone on since, and not for long.
    fn counts(&self, now: DateTime<Utc>) -> bool {
        let passed = self.at.elapsed();
        let went_on = now - self.said;
        let off = TimeDelta::from_std(passed).map(|passed| (went_on - passed).abs());
        passed < COUNTS && off.is_ok_and(|off| off < SET)
    }
}

impl Watch {
    /// Whether it is off now.
    pub(super) async fn is_off(&mut self, store: &Store, issuer: &str) -> Result<bool, StoreError> {
        let said = store.clock().now();
        if self.told_right && self.right.as_ref().is_some_and(|look| look.counts(said)) {
            return Ok(false);
        }
        self.right = None;
        let at = Instant::now();
        let off = store.clock_off().await?;
        if off.is_some() {
            tracing::debug!("nothing is claimed by this clock");
        }
        if off.is_some() || !self.told_right {
            self.told_right = false;
            tell(store, issuer, off).await?;
            self.told_right = off.is_none();
        }
        if off.is_none() {
            self.right = Some(Look { at, said });
        }
        Ok(off.is_some())
    }
}

async fn tell(store: &Store, issuer: &str, off: Option<ClockOff>) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    match off {
        Some(off) => clocks::tell(&mut tx, issuer, off).await?,
        None => clocks::is_right(&mut tx, issuer).await?,
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_look_counts_while_the_clock_only_goes_on() {
        let said = Clock::system().now();
        let look = |ago| Look {
            at: Instant::now().checked_sub(ago).unwrap(),
            said,
        };
        let half = Duration::from_millis(500);
        assert!(look(half).counts(said + TimeDelta::milliseconds(500)));
        for (ago, now) in [
            (half, said + TimeDelta::hours(1)),
            (half, said - TimeDelta::hours(1)),
            (half, said),
            (COUNTS, said + TimeDelta::seconds(1)),
        ] {
            assert!(!look(ago).counts(now), "{now}");
        }
    }
}
