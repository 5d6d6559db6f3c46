//! Text that was written by others, made harmless where it leaves the screen: for files that people show
//! with `cat`, for spreadsheets, for the clipboard, for a shell. It judges no content.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use serde::{Deserialize, Deserializer};

/// Stands for a character that can't be seen but steers what shows it.
pub const HIDDEN: char = '\u{fffd}';

/// True if `c` can't be seen: it steers a terminal (control characters, line and paragraph separators) or the order
/// in which the rest is read (bidirectional marks), or has no shape of its own (zero-width and soft characters,
/// fillers, variation selectors, tags), by the properties that Unicode gives it.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// One line: line breaks and tabs are spaces, and what is hidden is a mark.
#[must_use]
pub fn plain(text: &str) -> String {
    let c = |c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_hidden(c) => HIDDEN,
        c => c,
    };
    text.chars().map(c).collect()
}

/// A name on one line. A line break in it is no space that somebody meant, but as hidden as the rest.
fn marked(name: String) -> String {
    match name.contains(is_hidden) {
        true => name
            .chars()
            .map(|c| if is_hidden(c) { HIDDEN } else { c })
            .collect(),
        false => name,
    }
}

/// A name, marked as it is read: it goes into sentences, whose lines are the console's own.
///
/// # Errors
/// It is no text.
pub fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(marked)
}

/// A name that may be absent.
///
/// # Errors
/// It is neither text nor absent.
pub fn maybe_name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(from).map(|name| name.map(marked))
}

/// Several names.
///
/// # Errors
/// They are no list of texts.
pub fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Vec::<String>::deserialize(from).map(|names| names.into_iter().map(marked).collect())
}

/// Plain text of several lines, which stay.
#[must_use]
pub fn plain_lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// One word for a POSIX shell that means `text` and nothing else; as it is where that is safe.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-._/:@%+,".contains(c);
    match !text.is_empty() && text.chars().all(is_safe) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_steers_is_gone_and_the_rest_stays() {
        assert_eq!(
            plain("a\x1b[2Jb\u{9b}c\u{202e}d\u{2066}e"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e"
        );
        assert_eq!(plain("müll\r\nx\ty"), "müll  x y");
        assert_eq!(plain_lines("a\r\nb\x07\n"), "a\nb\u{fffd}\n");
    }

    #[test]
    fn what_has_no_shape_is_seen() {
        for c in "\u{2028}\u{2029}\u{200b}\u{2060}\u{feff}\u{ad}\u{180e}\u{206a}\u{115f}\u{3164}\u{34f}\u{e0041}\u{fe0f}\u{9b}\u{7f}\u{202e}\u{61c}\u{fff9}"
            .chars()
        {
            assert!(is_hidden(c), "{c:?}");
        }
        for c in "aZ0 ~äß文字ع\u{301}😀€\u{a0}".chars() {
            assert!(!is_hidden(c), "{c:?}");
        }
    }

    #[test]
    fn a_real_shell_reads_a_word_as_it_is() {
        for text in [
            "http://127.0.0.1:8083/checkin",
            "",
            "a b",
            "it's",
            "$(id)`id`\"\\;|&<>*?[]{}~#!",
            "'; echo x; '",
            "two\nlines",
        ] {
            let script = format!("printf %s {}", shell_word(text));
            let said = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
            assert_eq!(String::from_utf8(said).unwrap(), text);
        }
        assert_eq!(shell_word("http://a-b.example:1/x_y"), "http://a-b.example:1/x_y");
        assert_eq!(shell_word("/srv/tls/a.pem"), "/srv/tls/a.pem");
    }
}
