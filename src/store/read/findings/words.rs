//! Names and counts as findings have them.

use chrono::{DateTime, Utc};

use crate::domain::certificate::common_name;
use crate::domain::moment;
use crate::domain::told::{SAID, cited};
use crate::store::findings::InUse;

pub(super) fn name(subject: &str) -> String {
    common_name(subject).unwrap_or(subject).to_owned()
}

/// The beginning of somebody's words, as long as a finding quotes them.
pub(super) fn short(words: &str) -> String {
    match words.char_indices().nth(SAID) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None => words.to_owned(),
    }
}

/// Somebody's words at the end of a sentence, in quotes.
pub(super) fn said(words: &str) -> String {
    cited(words, SAID)
}

pub(super) fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn counted(n: i64, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}

/// The time of what is told of these places, where their agents haven't been heard of since, or didn't look there.
pub(super) fn as_reported(places: &[&InUse], now: DateTime<Utc>) -> String {
    let unheard = |it: &InUse| it.unheard_since(now);
    let left_out = |it: &InUse| it.left_out_since().filter(|_| unheard(it).is_none());
    let told = |since: Vec<DateTime<Utc>>, and: &str| {
        let Some(first) = since.iter().min() else {
            return String::new();
        };
        let on = match since.len() {
            n if n == places.len() => String::new(),
            n => format!(" on {n} of them"),
        };
        format!("; as last reported{on} {}, {and}", moment::short(*first, now))
    };
    let of =
        |since: &dyn Fn(&InUse) -> Option<DateTime<Utc>>| places.iter().filter_map(|it| since(it)).collect();
    let silent = told(of(&unheard), "no word from the agent since");
    let not_looked = told(of(&left_out), "the agent hasn't looked there since");
    format!("{silent}{not_looked}")
}
