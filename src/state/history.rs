//! Where the operator has been: back and forward, as in a browser. A place is noted when it is left for
//! another one, with the filter and order that were on it; it holds no rows.

use super::query::ListQuery;
use super::screen::Place;

/// Places that are kept; the oldest go first.
const KEPT: usize = 100;

/// A trail of places with the filter and order of its last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// From triage to the open screen.
    pub places: Vec<Place>,
    /// The open screen's filter and order.
    pub list: ListQuery,
}

/// The visits, and which one is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    visits: Vec<Visit>,
    at: usize,
}

impl History {
    /// Notes what is open now; what was ahead is gone once somebody turns off.
    pub fn note(&mut self, now: Visit) {
        if self.visits.get(self.at) == Some(&now) {
            return;
        }
        self.visits.truncate(self.at + 1);
        self.visits.push(now);
        if self.visits.len() > KEPT {
            self.visits.remove(0);
        }
        self.at = self.visits.len() - 1;
    }

    /// The visit `by` steps away, negative for back; it is the open one from now on.
    pub fn travel(&mut self, by: isize) -> Option<Visit> {
        let at = self.at.checked_add_signed(by)?;
        let visit = self.visits.get(at)?.clone();
        self.at = at;
        Some(visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::screen::ViewId;

    fn visit(q: &str) -> Visit {
        Visit {
            places: vec![Place::of(ViewId::Certificates)],
            list: ListQuery {
                q: q.to_owned(),
                ..ListQuery::default()
            },
        }
    }

    #[test]
    fn back_and_forward_lead_where_one_was() {
        let mut history = History::default();
        for q in ["a", "b", "b", "c"] {
            history.note(visit(q));
        }
        assert_eq!(history.travel(-1), Some(visit("b")));
        history.note(visit("b"));
        assert_eq!(history.travel(-1), Some(visit("a")));
        assert_eq!(history.travel(-1), None);
        assert_eq!(history.travel(2), Some(visit("c")));
        history.travel(-2);
        history.note(visit("d"));
        assert_eq!(history.travel(1), None, "what was ahead is gone");
        for n in 0..300 {
            history.note(visit(&n.to_string()));
        }
        assert_eq!(history.travel(-99), Some(visit("200")));
        assert_eq!(history.travel(-1), None);
    }
}
