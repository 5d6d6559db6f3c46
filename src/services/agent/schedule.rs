//! When the agent checks in next: the server's interval with jitter, or a back-off after failures.
//!
//! It survives a restart, so that a fleet that backed off stays backed off when its hosts come back
//! together. It tells no time of its own.

use std::path::Path;

use aws_lc_rs::rand::fill;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::files::{FileError, read_if_there, write_whole};

/// The first pause after a failure, in seconds; each further failure doubles it.
const FIRST_BACK_OFF_S: i64 = 5;
/// No pause after a failure is longer.
const LONGEST_BACK_OFF_S: i64 = 600;
/// How often a banned agent asks, in seconds.
const BANNED_S: i64 = 3600;
/// What the server may ask for, in seconds: more often would hammer it, more rarely would look dead.
const INTERVAL_S: std::ops::RangeInclusive<i64> = 1..=86_400;
/// Until the server says otherwise.
const DEFAULT_INTERVAL_S: i64 = 60;

/// When to check in next, and how many attempts have failed in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The next check-in; `None` means now.
    pub due_at: Option<DateTime<Utc>>,
    /// The present when that was set. A clock that shows an earlier one was put back, and tells nothing of `due_at`.
    #[serde(default)]
    pub set_at: Option<DateTime<Utc>>,
    /// Failures in a row.
    pub n_failures: u32,
    /// What the server asked for last, in seconds.
    pub interval_s: i64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            due_at: None,
            set_at: None,
            n_failures: 0,
            interval_s: DEFAULT_INTERVAL_S,
        }
    }
}

impl Schedule {
    /// From the state directory. A damaged file is no reason to stay silent: it counts as none.
    pub fn read(state_dir: &Path) -> Self {
        match read_if_there(&state_dir.join("schedule.json")) {
            Ok(Some(text)) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(%error, "`schedule.json` is damaged; checking in now");
                Self::default()
            }),
            Ok(None) => Self::default(),
            Err(error) => {
                tracing::warn!(%error, "the schedule is not readable; checking in now");
                Self::default()
            }
        }
    }

    /// Into the state directory.
    pub fn write(&self, state_dir: &Path) -> Result<(), FileError> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        write_whole(&state_dir.join("schedule.json"), &text)
    }

    /// Time left until the next check-in: none where the clock was put back since it was set.
    #[must_use]
    pub fn wait(&self, now: DateTime<Utc>) -> std::time::Duration {
        if let Some(set_at) = self.set_at.filter(|set_at| now < *set_at) {
            tracing::warn!(%now, %set_at, "the clock was put back; checking in now");
            return std::time::Duration::ZERO;
        }
        self.due_at
            .map_or(TimeDelta::zero(), |due| due - now)
            .to_std()
            .unwrap_or_default()
    }

    /// After a report that arrived.
    pub fn succeeded(&mut self, now: DateTime<Utc>, interval_s: i64, jitter_percent: u8) {
        self.interval_s = interval_s.clamp(*INTERVAL_S.start(), *INTERVAL_S.end());
        self.n_failures = 0;
        self.set(now, jittered(self.interval_s, jitter_percent));
    }

    /// After a report that did not arrive.
    pub fn failed(&mut self, now: DateTime<Utc>, jitter_percent: u8) {
        let doublings = self.n_failures.min(16);
        let pause_s = (FIRST_BACK_OFF_S << doublings).min(LONGEST_BACK_OFF_S);
        self.n_failures = self.n_failures.saturating_add(1);
        let longest = TimeDelta::seconds(LONGEST_BACK_OFF_S);
        self.set(now, jittered(pause_s, jitter_percent).min(longest));
    }

    /// After the platform said that this agent is banned: asked now and then, in case a person changes
    /// their mind.
    pub fn banned(&mut self, now: DateTime<Utc>, jitter_percent: u8) {
        self.n_failures = self.n_failures.saturating_add(1);
        self.set(now, jittered(BANNED_S, jitter_percent));
    }

    fn set(&mut self, now: DateTime<Utc>, pause: TimeDelta) {
        (self.set_at, self.due_at) = (Some(now), Some(now + pause));
    }

    /// After a wake-up: what was waited for no longer counts.
    pub fn woken(&mut self) {
        self.due_at = None;
        self.n_failures = 0;
    }

    /// Sooner than planned, because something is expected.
    pub fn no_later_than(&mut self, at: DateTime<Utc>) {
        self.due_at = self.due_at.map(|due| due.min(at));
    }
}

/// `seconds` give or take `percent`, to the millisecond.
fn jittered(seconds: i64, percent: u8) -> TimeDelta {
    let millis = seconds * 1000;
    let spread = millis * i64::from(percent) / 100;
    let mut random = [0_u8; 4];
    // Without randomness the middle is as good as any other moment.
    if spread == 0 || fill(&mut random).is_err() {
        return TimeDelta::milliseconds(millis);
    }
    let offset = i64::from(u32::from_le_bytes(random)) % (2 * spread + 1) - spread;
    TimeDelta::milliseconds(millis + offset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn back_off_doubles_up_to_its_cap_and_survives() {
        let dir = tempfile::tempdir().unwrap();
        let mut schedule = Schedule::read(dir.path());
        assert_eq!(schedule.wait(now()), std::time::Duration::ZERO);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            schedule.failed(now(), 0);
            pauses.push(schedule.wait(now()).as_secs());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
        schedule.write(dir.path()).unwrap();
        assert_eq!(Schedule::read(dir.path()), schedule);
        schedule.woken();
        assert_eq!(schedule.wait(now()), std::time::Duration::ZERO);
    }

    #[test]
    fn a_clock_that_was_put_back_means_now() {
        let ahead = now() + TimeDelta::days(1);
        let mut schedule = Schedule::default();
        schedule.succeeded(ahead, 60, 0);
        assert_eq!(schedule.wait(ahead).as_secs(), 60);
        assert_eq!(schedule.wait(now()), std::time::Duration::ZERO);
        schedule.succeeded(now(), 60, 0);
        assert_eq!(schedule.wait(now()).as_secs(), 60);
    }

    #[test]
    fn a_damaged_file_means_now() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("schedule.json"), "nonsense").unwrap();
        assert_eq!(Schedule::read(dir.path()), Schedule::default());
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_share(interval in any::<i64>(), percent in 0_u8..=50) {
            let mut schedule = Schedule::default();
            schedule.succeeded(now(), interval, percent);
            let wait = i64::try_from(schedule.wait(now()).as_millis()).unwrap();
            let middle = schedule.interval_s * 1000;
            prop_assert!((wait - middle).abs() <= middle * i64::from(percent) / 100);
        }
    }
}
