//! Audit rows that are dated later than rows that follow them, or than now: a server's clock was ahead when they were
//! written. The chain is whole all the same, since it is about order and not about dates.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Clocks of servers may be apart by less; rows are looked at by the hour.
const SLACK: TimeDelta = TimeDelta::hours(1);

/// Rows that are dated ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatedAhead {
    /// How many.
    pub n_rows: i64,
    /// The first one's number.
    pub first: i64,
    /// Until when they are dated.
    pub until: DateTime<Utc>,
}

/// Looks at rows in the order of their numbers. It holds one entry for each hour in which there were rows.
#[derive(Debug, Default)]
pub struct Dates {
    /// Later and later hours.
    hours: Vec<Hour>,
    found: Option<DatedAhead>,
}

#[derive(Clone, Copy, Debug)]
struct Hour {
    at: DateTime<Utc>,
    first: i64,
    n_rows: i64,
}

impl Dates {
    /// The next row.
    pub fn row(&mut self, seq: i64, at: DateTime<Utc>) {
        self.drop_after(at);
        let hour = at.duration_trunc(SLACK).unwrap_or(at);
        match self.hours.last_mut().filter(|last| last.at >= hour) {
            Some(last) => last.n_rows += 1,
            None => self.hours.push(Hour {
                at: hour,
                first: seq,
                n_rows: 1,
            }),
        }
    }

    /// What was dated ahead, of all rows.
    #[must_use]
    pub fn ended(mut self, now: DateTime<Utc>) -> Option<DatedAhead> {
        self.drop_after(now);
        self.found
    }

    fn drop_after(&mut self, at: DateTime<Utc>) {
        while let Some(last) = self.hours.pop_if(|last| last.at > at + SLACK) {
            let found = self.found.get_or_insert(DatedAhead {
                n_rows: 0,
                first: last.first,
                until: last.at,
            });
            found.n_rows += last.n_rows;
            found.first = found.first.min(last.first);
            found.until = found.until.max(last.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at(hours: &[i64]) -> Option<DatedAhead> {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let mut dates = Dates::default();
        for (index, hour) in hours.iter().enumerate() {
            dates.row(i64::try_from(index).unwrap() + 1, start + TimeDelta::hours(*hour));
        }
        dates.ended(start + TimeDelta::hours(10))
    }

    #[test]
    fn rows_that_others_or_now_come_before_are_dated_ahead() {
        assert_eq!(looked_at(&[0, 0, 1, 3, 9, 10]), None);
        let found = looked_at(&[0, 1, 30_000, 30_001, 30_000, 2, 3]).unwrap();
        assert_eq!((found.n_rows, found.first), (3, 3));
        let found = looked_at(&[0, 1, 20_000]).unwrap();
        assert_eq!((found.n_rows, found.first), (1, 3));
        let found = looked_at(&[5_000, 0, 6_000, 1]).unwrap();
        assert_eq!((found.n_rows, found.first), (2, 1));
    }
}
