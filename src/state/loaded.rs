//! A value that never vanishes: the last good one, its age, and what is wrong now.

use chrono::{DateTime, Utc};

use crate::problem::Problem;

/// Counts the questions; an answer to an older one than the last is dropped.
pub type Generation = u64;

/// The last good value with its age and trouble.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The last good value.
    pub value: Option<T>,
    /// When it came.
    pub as_of: Option<DateTime<Utc>>,
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
    /// Takes an answer in; one to an older question is dropped. Returns whether it says anything else
    /// than the last one.
    pub fn take(&mut self, asked: Generation, result: Result<T, Problem>, now: DateTime<Utc>) -> bool {
        if asked < self.asked {
            return false;
        }
        self.waiting = false;
        match result {
            Ok(value) => {
                let same = self.trouble.is_none() && !self.kept && self.value.as_ref() == Some(&value);
                self.value = Some(value);
                self.as_of = Some(now);
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

    #[test]
    fn trouble_keeps_the_last_good_value_and_an_old_answer_is_dropped() {
        let at = DateTime::from_timestamp(1, 0).unwrap();
        let mut loaded = Loaded {
            asked: 2,
            ..Loaded::default()
        };
        assert!(loaded.take(2, Ok(7), at));
        assert!(!loaded.take(2, Ok(7), at), "the same again is no news");
        loaded.asked = 3;
        assert!(loaded.take(3, Err(Problem::unavailable("away")), at));
        assert!(!loaded.take(1, Ok(1), at));
        assert_eq!(loaded.value, Some(7));
        assert!(loaded.trouble.is_some());
    }
}
