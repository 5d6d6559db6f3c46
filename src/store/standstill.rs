//! Times at which no change could be made, as far as this process has seen. Who is silent then may be at work all the
//! same: that is written into the database, too.

use std::time::{Duration, Instant};

/// Events within this time belong together, and for so long afterwards silence means nothing yet: whoever
/// couldn't write needs a while to be heard again.
const AFTERWARDS: Duration = Duration::from_secs(30);

/// The last such time.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// Changes were seen to be possible before it.
    could: bool,
    /// Its beginning, if that was seen.
    began: Option<Instant>,
    last: Option<Instant>,
}

/// Until when silence means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// Until now.
    UntilNow,
    /// Until so long ago.
    UntilBefore(Duration),
    /// Nothing is known of the time when it would have.
    Never,
}

impl Standstill {
    /// No change can be made at this moment.
    pub(super) fn no_change(&mut self, now: Instant) {
        if !self.holds(now) {
            self.began = self.could.then_some(now);
        }
        self.last = Some(now);
    }

    /// Nothing is in the way of changes.
    pub(super) fn changes(&mut self) {
        self.could = true;
    }

    pub(super) fn silence(&self, now: Instant) -> Counts {
        match (self.holds(now), self.began) {
            (false, _) => Counts::UntilNow,
            (true, Some(began)) => Counts::UntilBefore(now.saturating_duration_since(began)),
            (true, None) => Counts::Never,
        }
    }

    fn holds(&self, now: Instant) -> bool {
        self.last
            .is_some_and(|last| now.saturating_duration_since(last) <= AFTERWARDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_until_changes_could_not_be_made_any_more_and_again_a_while_after_they_can() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let s = |s| Counts::UntilBefore(Duration::from_secs(s));
        let mut it = Standstill::default();
        assert_eq!(it.silence(at(0)), Counts::UntilNow);
        it.no_change(at(1));
        assert_eq!(it.silence(at(2)), Counts::Never, "begun in the middle of it");
        it.changes();
        assert_eq!(it.silence(at(31)), Counts::Never, "they need a while");
        assert_eq!(it.silence(at(32)), Counts::UntilNow);
        it.no_change(at(100));
        it.no_change(at(125));
        assert_eq!(it.silence(at(150)), s(50));
        it.changes();
        it.no_change(at(151));
        assert_eq!(it.silence(at(152)), s(52), "one time that holds on");
        assert_eq!(it.silence(at(182)), Counts::UntilNow);
    }
}
