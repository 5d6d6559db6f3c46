//! Bytes as a string of a programming language: those that have a letter as that letter, the others as `\x81`, `\201`,
//! `\u0081` or `%81`.

use zeroize::Zeroizing;

use super::is_readable;

/// Numbers in a string that has fewer are a path's or a pattern's.
const FEWEST: usize = 6;

/// The bytes of every such string in `text`, with quotes around it or without.
pub(super) fn literals(text: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = (0..rest.len()).find(|at| rest.get(*at..).is_some_and(|it| numbered(it).is_some())) {
        let (before, _) = rest.split_at(at);
        // The letters before the first number are bytes too.
        let start = before
            .char_indices()
            .rfind(|(_, c)| is_quote(*c) || c.is_whitespace())
            .map_or(0, |(at, c)| at + c.len_utf8());
        let quote = before
            .get(..start)
            .and_then(|it| it.chars().next_back())
            .filter(|c| is_quote(*c));
        let (literal, n) = Literal::read(rest.get(start..).unwrap_or_default(), quote);
        if literal.is_one() {
            found.push(literal.bytes);
        }
        rest = rest.get(start + n..).unwrap_or_default();
    }
    found
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

#[derive(Default)]
struct Literal {
    bytes: Zeroizing<Vec<u8>>,
    /// Bytes that were written as numbers.
    numbers: usize,
    /// Those of them that were `%81`, which text has too.
    percents: usize,
}

impl Literal {
    /// Reads one up to its closing quote, or up to the end of its line; and how much of `text` that is.
    fn read(text: &str, quote: Option<char>) -> (Self, usize) {
        let mut literal = Self::default();
        // The last number, and what is next to it.
        let mut end = 0;
        let mut rest = text;
        loop {
            if let Some((byte, after)) = numbered(rest) {
                literal.numbers += 1;
                literal.percents += usize::from(rest.starts_with('%'));
                literal.bytes.push(byte);
                end = literal.bytes.len();
                rest = after;
                continue;
            }
            let mut chars = rest.chars();
            let Some(c) = chars.next() else { break };
            let after = chars.as_str();
            let is_end = Some(c) == quote || (quote.is_none() && matches!(c, '\n' | '\r'));
            if is_end || !c.is_ascii() {
                rest = after;
                break;
            }
            let named = after
                .chars()
                .next()
                .filter(|_| c == '\\')
                .and_then(|next| Some((named(next)?, next)));
            let (byte, after) = match named {
                Some((byte, next)) => (byte, after.get(next.len_utf8()..).unwrap_or_default()),
                None => (u8::try_from(c).unwrap_or_default(), after),
            };
            if end == literal.bytes.len() && (quote.is_some() || !c.is_whitespace()) {
                end += 1;
            }
            // A line break within quotes is that of a terminal.
            if !(c == '\n' || c == '\r') {
                literal.bytes.push(byte);
            }
            rest = after;
        }
        literal.bytes.truncate(end);
        (literal, text.len() - rest.len())
    }

    fn is_one(&self) -> bool {
        // While it grows, its last letter is cut off, or what stands for it.
        let is_text = || match std::str::from_utf8(&self.bytes) {
            Ok(text) => is_readable(text),
            Err(error) => error.valid_up_to() + 3 >= self.bytes.len(),
        };
        self.numbers >= FEWEST
            && self.numbers * 4 >= self.bytes.len()
            && !(self.percents == self.numbers && is_text())
    }
}

/// A byte that is written as its number at the front of `text`, and what follows.
fn numbered(text: &str) -> Option<(u8, &str)> {
    if let Some(digits) = text.strip_prefix('%') {
        return hex(digits);
    }
    let behind = text.strip_prefix('\\')?;
    if let Some(digits) = behind.strip_prefix('x').or_else(|| behind.strip_prefix("u00")) {
        return hex(digits);
    }
    let n = behind
        .bytes()
        .take(3)
        .take_while(|byte| matches!(byte, b'0'..=b'7'))
        .count();
    let (digits, after) = behind.split_at_checked(n)?;
    let byte = u8::from_str_radix(digits, 8).ok()?;
    Some((byte, after))
}

fn hex(text: &str) -> Option<(u8, &str)> {
    let (digits, after) = text.split_at_checked(2)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    Some((byte, after))
}

/// The byte that a letter behind a backslash stands for.
fn named(c: char) -> Option<u8> {
    Some(match c {
        'a' => 7,
        'b' => 8,
        't' => b'\t',
        'n' => b'\n',
        'v' => 11,
        'f' => 12,
        'r' => b'\r',
        '\\' => b'\\',
        '"' => b'"',
        '\'' => b'\'',
        _ => return None,
    })
}
