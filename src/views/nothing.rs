//! Words of a list that has no row for its filter.

use super::find;
use crate::state::State;
use crate::wire::filter::{Filter, looked_into};

/// Says that no `what` matches, and of a word where it was looked for: what is on screen and isn't looked into would seem
/// not to be there.
pub(super) fn no_match(state: &State, what: &str) -> String {
    let fields = find(state.place().view).filters;
    let has_word = Filter::read(&state.screen().list.q, fields).is_ok_and(|filter| filter.has_word());
    match looked_into(fields).filter(|_| has_word) {
        Some(it) => format!(
            "no {what} matches: a word is looked for in {}, not in {}",
            it.into, it.not
        ),
        None => format!("no {what} matches"),
    }
}
