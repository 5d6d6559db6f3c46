//! A value that never vanishes: the last good one, its age, and what is wrong now.

use chrono::{DateTime, Utc};

use crate::domain::database::ReadFrom;
use crate::problem::Problem;

/// Counts the questions; an answer to an older one than the last is dropped.
pub type Generation = u64;

/// The last good value with its age and trouble.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The last good value.
    pub value: Option<T>,
    /// The moment that it is of: when it came, and of a replica that is behind an earlier one.
    pub as_of: Option<DateTime<Utc>>,
    /// Place where it was read; none where there is but one.
    pub from: Option<ReadFrom>,
    /// The newest moment that was ever shown of it.
    pub newest: Option<DateTime<Utc>>,
    /// Whether that is from the snapshot that an earlier console left.
    pub kept: bool,
    /// What is wrong now, if the newest answer was none.
    pub trouble: Option<Problem>,
    /// The newest question.
    pub asked: Generation,
    /// An answer is still to come.
    pub waiting: bool,
    /// Something changed since the newest question.
    pub dirty: bool,
    /// How many rows were asked for.
    pub rows: u32,
}

impl<T> Default for Loaded<T> {
    fn default() -> Self {
        Self {
            value: None,
            as_of: None,
            from: None,
            newest: None,
            kept: false,
            trouble: None,
            asked: 0,
            waiting: false,
            dirty: true,
            rows: 0,
        }
    }
}

impl<T: PartialEq> Loaded<T> {
    /// True if what is shown is older than what was shown before.
    #[must_use]
    pub fn is_older(&self) -> bool {
        self.as_of < self.newest
    }

    /// Takes an answer in that was read there; one to an older question is dropped. Returns whether it says anything
    /// else than the last one.
    pub fn take(
        &mut self,
        asked: Generation,
        result: Result<T, Problem>,
        from: Option<ReadFrom>,
        now: DateTime<Utc>,
    ) -> bool {
        if asked < self.asked {
            return false;
        }
        self.waiting = false;
        match result {
            Ok(value) => {
                let was_older = self.is_older();
                self.newest = self.newest.max(self.as_of);
                self.as_of = Some(from.as_ref().map_or(now, |from| from.of(now)));
                let same_place = match (&self.from, &from) {
                    (Some(before), Some(now)) => before.is(now),
                    (before, now) => before.is_some() == now.is_some(),
                };
                let same_place = same_place && was_older == self.is_older();
                self.from = from;
                let same = self.trouble.is_none() && !self.kept && self.value.as_ref() == Some(&value);
                let same = same && same_place;
                self.value = Some(value);
                self.kept = false;
                self.trouble = None;
                !same
            }
            Err(problem) => {
                self.trouble = Some(problem);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::database::{HostRole, Standing};

    #[test]
    fn trouble_keeps_the_last_good_value_and_an_old_answer_is_dropped() {
        let at = DateTime::from_timestamp(1, 0).unwrap();
        let mut loaded = Loaded {
            asked: 2,
            ..Loaded::default()
        };
        assert!(loaded.take(2, Ok(7), None, at));
        assert!(!loaded.take(2, Ok(7), None, at), "the same again is no news");
        loaded.asked = 3;
        assert!(loaded.take(3, Err(Problem::unavailable("away")), None, at));
        assert!(!loaded.take(1, Ok(1), None, at));
        assert_eq!(loaded.value, Some(7));
        assert!(loaded.trouble.is_some());
    }

    #[test]
    fn what_a_replica_shows_later_is_of_an_earlier_moment_and_called_older() {
        let standing = |role, behind_ms| Standing {
            role,
            timeline: 0,
            behind_ms,
            follows: true,
            last_change: None,
            latency_ms: 1,
        };
        let from = |role, behind_ms| {
            Some(ReadFrom::Host {
                name: "db-1".to_owned(),
                standing: standing(role, behind_ms),
            })
        };
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let mut loaded = Loaded::default();
        loaded.take(1, Ok(1), from(HostRole::Primary, 0), at(100));
        assert!(!loaded.is_older());
        assert!(
            loaded.take(1, Ok(1), from(HostRole::Replica, 45_000), at(110)),
            "the same from an earlier moment is news"
        );
        assert_eq!(loaded.as_of, Some(at(65)));
        assert!(loaded.is_older());
        // Long after the look that saw it behind, an answer is no newer for that.
        let mut late = Loaded::default();
        late.take(1, Ok(1), from(HostRole::Primary, 0), at(66));
        let seen = standing(HostRole::Replica, 45_000).after(std::time::Duration::from_secs(3));
        let place = ReadFrom::Host {
            name: "db-1".to_owned(),
            standing: seen,
        };
        late.take(1, Ok(0), Some(place), at(113));
        assert_eq!(late.as_of, Some(at(65)));
        assert!(late.is_older());
        assert_eq!(
            standing(HostRole::Replica, 0)
                .after(std::time::Duration::from_secs(3))
                .behind_ms,
            0
        );
        // It stays older until something newer than all before is there.
        loaded.take(1, Ok(2), from(HostRole::Replica, 45_000), at(120));
        assert!(loaded.is_older());
        loaded.take(1, Ok(2), from(HostRole::Replica, 15_000), at(130));
        assert!(!loaded.is_older());
    }
}
