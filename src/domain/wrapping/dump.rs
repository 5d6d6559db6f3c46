//! Dumps: bytes that are written one by one, as programs and tools for programmers print them. Nobody writes a
//! serial or a fingerprint so.

use zeroize::Zeroizing;

use super::columns::columns;
use super::literal::literals;

/// Fewer are a few numbers, not a dump.
const FEWEST: usize = 8;
/// The byte that keys and certificates in DER begin with.
const SEQUENCE: u8 = 0x30;

/// The bytes of every dump in `text`: `0x30,0x81`, `\x30\x81`, `[48, 129]`, `48 129`, `b'0\x81'`, and the lines of
/// `xxd`, `hexdump` and `od`.
#[must_use]
pub fn dumped(text: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut found = Vec::new();
    if text.contains("0x") || text.contains("0X") {
        found.extend(one_by_one(text, c_byte, FEWEST));
    }
    if text.contains("\\x") {
        found.extend(one_by_one(text, escaped_byte, FEWEST));
    }
    if text.contains(',') {
        found.extend(one_by_one(text, decimal_byte, 2 * FEWEST));
    }
    found.extend(columns(text));
    if text.contains('\\') || text.contains('%') {
        found.extend(literals(text));
        // In a string of JSON each backslash is two.
        if text.contains("\\\\") {
            found.extend(literals(&Zeroizing::new(text.replace("\\\\", "\\"))));
        }
    }
    let lines = Zeroizing::new(of_lines(text));
    if lines.len() >= FEWEST {
        // `hexdump` prints the second byte of two first, and what DER begins with tells.
        found.push(match lines.as_slice() {
            [first, SEQUENCE, ..] if *first != SEQUENCE => {
                let (pairs, _) = lines.as_chunks::<2>();
                Zeroizing::new(pairs.iter().flat_map(|[one, two]| [*two, *one]).collect())
            }
            _ => lines,
        });
    }
    found
}

/// Bytes that stand one behind the other, each as `read` finds it at the front of what is left.
fn one_by_one(text: &str, read: fn(&str) -> Option<(u8, &str)>, fewest: usize) -> Vec<Zeroizing<Vec<u8>>> {
    let mut found = Vec::new();
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2 + 1));
    let mut rest = text;
    let mut inside_word = false;
    loop {
        let is_between = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '\'');
        let next = match bytes.is_empty() {
            true => rest,
            false => rest.trim_start_matches(is_between),
        };
        match read(next).filter(|_| !inside_word) {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                if bytes.len() >= fewest {
                    found.push(Zeroizing::new(bytes.to_vec()));
                }
                bytes.clear();
                let mut chars = next.chars();
                let Some(c) = chars.next() else { return found };
                inside_word = c.is_ascii_alphanumeric();
                rest = chars.as_str();
            }
        }
    }
}

/// Two hex digits with nothing of a number behind them.
fn pair(text: &str) -> Option<(u8, &str)> {
    let (digits, after) = text.split_at_checked(2)?;
    let is_pair = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_pair)?;
    Some((byte, after))
}

fn c_byte(text: &str) -> Option<(u8, &str)> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    pair(digits).filter(|(_, after)| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

fn escaped_byte(text: &str) -> Option<(u8, &str)> {
    pair(
        text.trim_start_matches('\\')
            .strip_prefix('x')
            .filter(|_| text.starts_with('\\'))?,
    )
}

/// A number, with a sign or without, that a comma or the end follows.
fn decimal_byte(text: &str) -> Option<(u8, &str)> {
    let sign = usize::from(text.starts_with('-'));
    let n = text.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
    let (digits, after) = text.split_at_checked(sign + n)?;
    let ends = after.trim_start().chars().next();
    let signed = || digits.parse::<i8>().ok().map(i8::cast_unsigned);
    let byte = digits.parse().ok().or_else(signed)?;
    matches!(ends, None | Some(',' | ']' | '}' | ')')).then_some((byte, after))
}

/// The bytes of all lines that begin with where they stand: `00000010: 3081 8702  0…` or `0000010 30 81`. Line
/// breaks may be lost.
fn of_lines(text: &str) -> Vec<u8> {
    let is_hex = |word: &str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut bytes = Vec::with_capacity(text.len() / 2 + 1);
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let at = word.strip_suffix(':').unwrap_or(word);
        if !(matches!(at.len(), 6..=8) && at.starts_with("00") && is_hex(at)) {
            continue;
        }
        let mut in_line = 0;
        // Words behind the bytes of a line are the same bytes as letters.
        while let Some(group) = words.next_if(|word| {
            matches!(word.len(), 2 | 4 | 8) && is_hex(word) && in_line < 32 && !is_offset(word)
        }) {
            let Ok(group) = hex::decode(group) else { break };
            in_line += group.len();
            bytes.extend_from_slice(&group);
        }
    }
    bytes
}

/// True if the word is the offset that begins the next line rather than bytes.
fn is_offset(word: &str) -> bool {
    word.len() == 8 && word.starts_with("0000")
}
