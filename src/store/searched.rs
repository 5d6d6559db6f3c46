//! One thing that is searched for in a list, and what leads to its rows.

use crate::wire::page::MOST_COUNTED;

use super::scans::Scan;
use super::search::{Kept, Place, Sought};
use super::statement::Value;

/// One thing that a filter wants of a row, in these places.
pub(super) struct Search {
    pub(super) wants: Wanted,
    pub(super) places: &'static [Place],
    /// Ids that are known already.
    pub(super) kept: Kept,
}

/// Sorts of searches, those first that cost the least to look up.
pub(super) enum Wanted {
    /// One of these texts is there: by an index.
    Has(Vec<Sought>),
    /// Letters are there in their order, as this pattern says: the words of all rows are read, and nothing else of them.
    Letters(String),
    /// None of these texts is there: as for letters. Nearly all rows fulfil it, or nearly none.
    Lacks(Vec<Sought>),
}

impl Search {
    /// A search that nothing is known of yet.
    pub(super) fn new(wants: Wanted, places: &'static [Place]) -> Self {
        Self {
            wants,
            places,
            kept: Kept::new(),
        }
    }

    /// Reads of all words that [`Search::ids`] needs.
    pub(super) fn scans(&self) -> Vec<Scan> {
        match &self.wants {
            Wanted::Has(_) => Vec::new(),
            Wanted::Letters(pattern) => Sought::scans_for_letters(self.places, pattern),
            Wanted::Lacks(either) => Sought::scan_without(either, self.places).into_iter().collect(),
        }
    }

    /// Order in which searches are tried: what is looked up at the least cost, and of that what is likely the rarest.
    pub(super) fn rank(&self) -> (u8, usize) {
        match &self.wants {
            Wanted::Has(either) => {
                let most_frequent = either.iter().map(Sought::len).min().unwrap_or(0);
                (0, usize::MAX - most_frequent)
            }
            Wanted::Letters(pattern) => (1, usize::MAX - pattern.len()),
            Wanted::Lacks(_) => (2, 0),
        }
    }

    /// True if all that [`Search::ids`] gives is wanted, or only all that is wanted among it.
    pub(super) fn is_exact(&self) -> bool {
        !matches!(self.wants, Wanted::Lacks(_))
    }

    /// Statements that give the ids of all that is wanted; none where that takes more than an index or the words.
    pub(super) fn ids(&self, postgres: bool, binds: &mut Vec<Value>) -> Option<Vec<String>> {
        match &self.wants {
            Wanted::Has(either) => {
                let mut statements = Vec::new();
                for text in either {
                    statements.extend(text.ids(self.places, postgres, binds)?);
                }
                Some(statements)
            }
            Wanted::Letters(pattern) => Some(Sought::ids_of_letters(self.places, pattern, &self.kept, binds)),
            Wanted::Lacks(either) => Sought::ids_without(either, self.places, &self.kept, binds),
        }
    }

    /// The condition on a row that is wanted.
    pub(super) fn row(&self, binds: &mut Vec<Value>) -> String {
        let mut any = |either: &[Sought]| {
            let either = either.iter().map(|text| text.row(self.places, binds));
            either.collect::<Vec<_>>().join(" OR ")
        };
        match &self.wants {
            Wanted::Has(either) => any(either),
            Wanted::Lacks(either) => format!("NOT ({})", any(either)),
            Wanted::Letters(pattern) => Sought::letters(self.places, pattern, binds),
        }
    }
}

/// So many ids are brought here and put into the next statement, instead of being looked for twice.
pub(super) const FEW: i64 = 2_000;

/// The ids that these statements give, of more than are counted not all.
pub(super) fn bounded(ids: &[String], union: &str) -> String {
    bounded_by(MOST_COUNTED, ids, union)
}

/// As [`bounded`], for more than `most`.
pub(super) fn bounded_by(most: i64, ids: &[String], union: &str) -> String {
    let limit = most + 1;
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
    /// This search's ids, which are these where they are few.
    By(Search, Option<Vec<String>>),
    /// The order of the list: nothing that was searched for is known to be rare.
    None,
    /// The order of the list, where of something there are more than are counted.
    Many,
}
