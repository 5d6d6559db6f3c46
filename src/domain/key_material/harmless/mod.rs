//! Texts that people look for, and write beside a change: words, names, addresses, paths, times, ids, numbers of certificates.
//! Anything else may hold a secret, in whatever wrapping: what is known is named here, and what isn't is not shown.
//!
//! Each piece of a text costs as many bits as may be hidden in it; words give some back. A key has 128 bits at the
//! least, and stands in one place.

mod forms;
mod numbers;
mod words;

/// So many bits in one place are no chance of names any more.
const MOST: f64 = 88.0;
/// So many are those of a few letters that chance has put together, or of a serial.
const FEW: f64 = 28.0;
/// Bits that a letter of a plain word gives back, and the letters of a word that count.
const BACK: f64 = 1.2;
const COUNTED: usize = 8;

/// Bits of a sign that seldom stands beside a letter, and of a letter of an alphabet with such signs.
const ODD: f64 = 2.0;
const LETTER: f64 = 6.4;

/// True if all of `text` reads as such. While it `grows`, its end may yet become an id or a hash.
pub(super) fn reads(text: &str, grows: bool) -> bool {
    doubt(text, grows) <= MOST
}

/// True if next to nothing can be hidden in `text`.
pub(super) fn is_clear(text: &str) -> bool {
    doubt(text, false) <= FEW && !text.split_whitespace().any(numbers::begins_list)
}

/// The most bits that may be hidden in one place of `text`.
fn doubt(text: &str, grows: bool) -> f64 {
    let mut most: f64 = 0.0;
    let mut level: f64 = 0.0;
    let mut at = 0;
    let mut before: Option<char> = None;
    while let Some(rest) = text.get(at..)
        && let Some(c) = rest.chars().next()
    {
        let (length, change) = if c.is_alphanumeric() {
            piece(text.get(..at).unwrap_or_default(), before, rest, grows)
        } else {
            let again = before == Some(c);
            (c.len_utf8(), if again { 0.0 } else { of_sign(c) })
        };
        level = (level + change).max(0.0);
        most = most.max(level);
        at += length;
        before = text.get(..at).and_then(|it| it.chars().next_back());
    }
    most
}

/// `text` without the ids in it, which are as mixed as secrets are.
pub(super) fn without_ids(text: &str, grows: bool) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let is_start = !before.is_some_and(char::is_alphanumeric);
        let n = match forms::id(rest, grows).filter(|_| is_start) {
            Some(n) => {
                left.push_str("id");
                n
            }
            None => {
                left.push(c);
                c.len_utf8()
            }
        };
        before = rest.get(..n).and_then(|it| it.chars().next_back());
        rest = rest.get(n..).unwrap_or_default();
    }
    left
}

/// Words and numbers in a name, as case and digits part them.
pub(super) fn parts(name: &str) -> Vec<&str> {
    words::parts(name)
}

/// Length of what `rest` begins with, in bytes, and its bits.
fn piece(ahead: &str, before: Option<char>, rest: &str, grows: bool) -> (usize, f64) {
    if let Some(form) = forms::read(before, rest, grows) {
        return form;
    }
    if let Some(numbers) = numbers::read(ahead, rest, grows) {
        return (numbers.length, numbers.doubt);
    }
    let n = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
    let word = rest.get(..n).unwrap_or(rest);
    if words::is_plain(word) {
        let letters = word.chars().count().min(COUNTED);
        return (n, -BACK * letters as f64);
    }
    let is_odd = |c: Option<char>| c.is_some_and(|c| of_sign(c) >= ODD);
    let behind = rest.get(n..).and_then(|it| it.chars().next());
    // Single letters between odd signs are those of an alphabet that has the signs, too.
    if word.len() <= 2 && (is_odd(before) || is_odd(behind)) {
        return (n, word.len() as f64 * LETTER);
    }
    (n, words::doubt(word))
}

/// Bits of a sign. Those between words and in names, addresses and paths have none.
fn of_sign(c: char) -> f64 {
    match c {
        c if c.is_whitespace() => 0.0,
        '.' | ',' | ':' | '-' | '/' | '_' | '=' | '"' | '\'' | '(' | ')' | '@' => 0.0,
        '[' | ']' | '{' | '}' | '<' | '>' | ';' => 2.0,
        c if c.is_ascii() => 3.0,
        '\u{a0}'..='\u{bf}'
        | '\u{2010}'..='\u{205e}'
        | '\u{20ac}'
        | '\u{2190}'..='\u{22ff}'
        | '\u{2500}'..='\u{27bf}' => 0.5,
        _ => 8.0,
    }
}

#[cfg(test)]
mod tests;
