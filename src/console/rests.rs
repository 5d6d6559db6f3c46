//! Rests between two questions for the same: at least as long as the last answer took, so that a console whose
//! backend is slow takes half of what there is at most, and one that gets news all the time asks once a second.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::state::query::Query;

/// The shortest rest.
const SHORTEST: Duration = Duration::from_secs(1);

/// Questions that rest, each with its rows and until when.
#[derive(Debug, Default)]
pub(super) struct Rests(Mutex<BTreeMap<Query, (u32, Instant)>>);

impl Rests {
    /// Until when this question rests. More rows are another question: a cursor asks for them.
    pub(super) fn until(&self, query: &Query, rows: u32) -> Option<Instant> {
        let resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, until) = *resting.get(query)?;
        (of == rows).then_some(until)
    }

    /// Notes that what was asked at `asked` was answered at `now`.
    pub(super) fn answered(&self, query: &Query, rows: u32, asked: Instant, now: Instant) {
        let until = now + now.duration_since(asked).max(SHORTEST);
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, (_, until)| *until > now);
        resting.insert(query.clone(), (rows, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_rests_as_long_as_its_answer_took_and_a_second_at_least() {
        let rests = Rests::default();
        let asked = Instant::now();
        let after = |seconds| asked + Duration::from_secs(seconds);
        assert_eq!(
            rests.until(&Query::Findings, 50),
            None,
            "it was never asked before"
        );

        rests.answered(&Query::Findings, 50, asked, after(2));
        assert_eq!(rests.until(&Query::Findings, 50), Some(after(4)));
        assert_eq!(rests.until(&Query::OpenRequests, 50), None, "another question");
        assert_eq!(
            rests.until(&Query::Findings, 100),
            None,
            "a question for more rows"
        );

        rests.answered(&Query::Findings, 50, after(4), after(4));
        assert_eq!(rests.until(&Query::Findings, 50), Some(after(4) + SHORTEST));

        rests.answered(&Query::OpenRequests, 50, after(9), after(9));
        assert_eq!(
            rests.until(&Query::Findings, 50),
            None,
            "what has rested is forgotten"
        );
    }
}
