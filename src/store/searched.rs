//! One thing that is searched for in a list, and what leads to its rows.

use crate::wire::page::MOST_COUNTED;

use super::search::{Place, Sought};
use super::statement::Value;

/// One of these texts, in these places.
pub(super) struct Search {
    pub(super) either: Vec<Sought>,
    pub(super) places: &'static [Place],
}

impl Search {
    /// Measure of the most frequent of them.
    pub(super) fn tells(&self) -> usize {
        self.either.iter().map(Sought::len).min().unwrap_or(0)
    }

    /// Statements that give the ids of all that has it; none where that takes more than an index.
    pub(super) fn ids(&self, postgres: bool, binds: &mut Vec<Value>) -> Option<Vec<String>> {
        let mut statements = Vec::new();
        for text in &self.either {
            statements.extend(text.ids(self.places, postgres, binds)?);
        }
        Some(statements)
    }

    /// The condition on a row that has it.
    pub(super) fn row(&self, binds: &mut Vec<Value>) -> String {
        let either = self.either.iter().map(|text| text.row(self.places, binds));
        either.collect::<Vec<_>>().join(" OR ")
    }
}

/// The ids that these statements give, of more than are counted not all.
pub(super) fn bounded(ids: &[String], union: &str) -> String {
    let limit = MOST_COUNTED + 1;
    let each = ids
        .iter()
        .map(|ids| format!("SELECT * FROM ({ids} LIMIT {limit}) b"));
    let all = each.collect::<Vec<_>>().join(union);
    format!("SELECT id FROM ({all}) u LIMIT {limit}")
}

/// Way to the rows of a search.
pub(super) enum Driver {
    /// There are none.
    Nothing,
    /// This search's ids.
    By(Search),
    /// The order of the list: nothing that was searched for is known to be rare.
    None,
    /// The order of the list, where of something there are more than are counted.
    Many,
}
