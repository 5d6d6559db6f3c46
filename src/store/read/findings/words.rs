//! Names and counts as findings have them.

use crate::domain::certificate::common_name;

/// Letters that a finding quotes of what a CA, a reload command or an agent said.
const SAID: usize = 300;

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
