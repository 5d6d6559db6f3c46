//! Words of others (a CA, an agent, a proxy), cut before they become a note, an audit row, a finding or a log
//! line: one line of bounded length, with nothing in it that steers a terminal.

use serde::{Deserialize, Deserializer};

use super::plain::plain;

/// The most characters of such words that are kept.
pub const LONGEST: usize = 1000;

/// The most characters of a path: what Linux takes.
pub const LONGEST_PATH: usize = 4096;

/// The most characters that a sentence has of what an agent or a CA said.
pub const SAID: usize = 300;

/// The most characters that a sentence has of a name that an agent gives.
pub const NAMED: usize = 60;

/// The words, fit to be kept. What is left out is marked with `…`.
#[must_use]
pub fn told(words: &str) -> String {
    cut(words, LONGEST)
}

/// Words cut to another length.
#[must_use]
pub fn cut(words: &str, longest: usize) -> String {
    plain(&shortened(words, longest))
}

/// The words with all their characters, but no more of them.
#[must_use]
pub fn shortened(words: &str, longest: usize) -> String {
    match words.char_indices().nth(longest) {
        None => words.to_owned(),
        Some(_) => {
            let kept: String = words.chars().take(longest.saturating_sub(1)).collect();
            kept + "…"
        }
    }
}

/// A name that others chose, between backticks that it can't end: what stands behind them is not theirs to write.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("`{}`", plain(name).replace('`', "'"))
}

/// Words of others in a sentence: no more of them than this, and between backticks that they can't end.
#[must_use]
pub fn cited(words: &str, longest: usize) -> String {
    quoted(&shortened(words.trim(), longest))
}

/// Words of others behind who says them: "the CA says `no`".
#[must_use]
pub fn said_by(who: &str, words: &str) -> String {
    format!("{who} says {}", cited(words, SAID))
}

/// For a field that others fill in: it is cut as it is read.
///
/// # Errors
/// It is no text.
pub fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(|words| told(&words))
}

/// A path, cut as it is read.
///
/// # Errors
/// It is no text.
pub fn path<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(|path| cut(&path, LONGEST_PATH))
}

/// Text of a field that may be absent.
///
/// # Errors
/// It is neither text nor absent.
pub fn maybe<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(from).map(|words| words.map(|words| told(&words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_and_say_so() {
        assert_eq!(told("refused by the CA"), "refused by the CA");
        assert_eq!(told(&"ä".repeat(LONGEST)), "ä".repeat(LONGEST));
        let cut = told(&"ä".repeat(300_000));
        assert_eq!(cut.chars().count(), LONGEST);
        assert!(cut.ends_with("ä…"));
        assert_eq!(told("a\nb\x1b[2J\u{9b}c"), "a b\u{fffd}[2J\u{fffd}c");
    }

    #[test]
    fn a_name_of_others_does_not_end_its_quotes() {
        assert_eq!(quoted("CN=a\u{9b}"), "`CN=a\u{fffd}`");
        assert_eq!(quoted("CN=a` is fine `"), "`CN=a' is fine '`");
    }

    #[test]
    fn cited_words_are_short_and_stay_in_their_quotes() {
        assert_eq!(cited(" no` reload\n", 60), "`no' reload`");
        assert_eq!(cited("abcdef", 4), "`abc…`");
    }

    #[test]
    fn it_is_cut_as_it_is_read() {
        let long = "x".repeat(300_000);
        let problem = serde_json::json!({"kind": "refused", "what": long, "hint": long});
        let problem: crate::problem::Problem = serde_json::from_value(problem).unwrap();
        assert_eq!(problem.what.chars().count(), LONGEST);
        assert_eq!(problem.hint.unwrap().chars().count(), LONGEST);
        let path = serde_json::json!({"path": format!("/srv/tls/\u{202e}{long}")});
        let there: crate::wire::agents::ReportedInstallation = serde_json::from_value(path).unwrap();
        assert_eq!(there.path.chars().count(), LONGEST_PATH);
        assert!(!there.path.contains('\u{202e}'));
    }
}
