//! Numbers: hex and decimal digits, in one run or in groups. A serial has twenty octets at most, a SHA-256 has 32; what
//! has another length, or other signs between its groups than a serial has, is a dump.

use super::super::naming::{Named, named_by};

/// Digits of a serial or a SHA-1 in hex, of a SHA-256, and of the highest serial in decimal.
const SERIAL: usize = 40;
const SHA256: usize = 64;
const DECIMAL: usize = 49;
/// Longer groups are words of a dump, or numbers of their own.
const SHORT: usize = 5;
/// Bits of what is known by its form.
const KNOWN: f64 = 24.0;
/// Bits of a digit.
const DIGIT: f64 = 3.5;
/// Bits of a digit of a list of numbers, and of as many digits as a line has beside its words.
const LISTED: f64 = 2.0;
const FEW: usize = 12;
/// So many groups without a digit are words.
const MANY: usize = 32;

/// Groups of digits, one behind the other.
pub(super) struct Numbers {
    /// Their length in the text, in bytes.
    pub(super) length: usize,
    /// Bits that may be hidden in them.
    pub(super) doubt: f64,
}

/// The numbers that `text` goes on with behind `before`; nothing where it goes on with something else. What touches the
/// end of a text that `grows` may become a hash.
pub(super) fn read(before: &str, text: &str, grows: bool) -> Option<Numbers> {
    let mut groups: Vec<&str> = Vec::new();
    let mut length = 0;
    let mut is_clear = true;
    let mut prefixed = 0;
    let mut rest = text;
    let has_digit = |group: &&str| group.bytes().any(|byte| byte.is_ascii_digit());
    loop {
        if groups.len() == MANY && !groups.iter().any(has_digit) {
            return None;
        }
        let (group, has_prefix) = group(rest);
        let Some(group) = group.filter(|it| groups.last().is_none_or(|last| goes_with(last, it))) else {
            break;
        };
        prefixed += usize::from(has_prefix);
        groups.push(group);
        rest = rest.get(group.len() + if has_prefix { 2 } else { 0 }..)?;
        length = text.len() - rest.len();
        let n = rest.find(|c: char| c.is_alphanumeric()).unwrap_or(rest.len());
        let (between, behind) = rest.split_at(n);
        let is_serial = |c: char| matches!(c, ':' | '-') || c.is_whitespace();
        if grows && behind.is_empty() && between.chars().all(is_serial) {
            length = text.len();
        }
        if between.is_empty() || between.chars().count() > 12 || behind.is_empty() {
            break;
        }
        let ahead = self::group(behind).0;
        // The last one of what grows may have some of its digits only.
        if grows && ahead.is_some_and(|it| it.len() == behind.len() && it.len() < group.len()) {
            length = text.len();
            break;
        }
        if !ahead.is_some_and(|it| goes_with(group, it)) {
            break;
        }
        is_clear &= between.chars().all(is_serial);
        rest = behind;
    }
    let is_hash = |group: &&str| matches!(group.len(), SERIAL | SHA256);
    if groups.is_empty() || !groups.iter().any(has_digit) && !groups.iter().all(is_hash) {
        return None;
    }
    let is_open = grows && length == text.len();
    let doubt = doubt(before, &groups, is_clear && prefixed < 2, is_open);
    Some(Numbers { length, doubt })
}

/// The digits of the group that a text may begin with, and whether `0x` stands before them.
fn group(text: &str) -> (Option<&str>, bool) {
    let n = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    let (piece, _) = text.split_at(n);
    let digits = piece.strip_prefix("0x").or_else(|| piece.strip_prefix("0X"));
    let has_prefix = digits.is_some();
    let digits = digits.unwrap_or(piece);
    let has = |is: fn(&u8) -> bool| digits.bytes().any(|byte| is(&byte));
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_one_case = !(has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase));
    ((is_hex && is_one_case).then_some(digits), has_prefix)
}

/// True if a group is one of those before it: letters alone are a word, unless they are as many.
fn goes_with(last: &str, group: &str) -> bool {
    let is_letters = group.bytes().all(|byte| byte.is_ascii_alphabetic());
    let both_short = (last.len() <= SHORT) == (group.len() <= SHORT);
    both_short && (!is_letters || group.len() == last.len())
}

fn doubt(before: &str, groups: &[&str], is_clear: bool, is_open: bool) -> f64 {
    let all: usize = groups.iter().map(|group| group.len()).sum();
    // Zeros in front are those of a number.
    let zeros = groups.concat().bytes().take_while(|byte| *byte == b'0').count();
    let n = all - zeros;
    let digits = n as f64;
    let is_known = |group: &str| {
        let n = group.trim_start_matches('0').len();
        let is_decimal = group.bytes().all(|byte| byte.is_ascii_digit()) && n <= DECIMAL;
        n <= SERIAL
            || is_decimal
            || group.len() == SHA256 && is_said(before)
            || is_open && group.len() < SHA256
    };
    let of_one = |group: &&str| match group.len() {
        1..=4 => group.len() as f64 * 1.5,
        n if is_known(group) => (n as f64 * DIGIT).min(KNOWN),
        n => n as f64 * DIGIT,
    };
    if groups.len() <= 2 {
        return groups.iter().map(of_one).sum();
    }
    // Numbers of a list have as many digits as they need.
    let lengths = |it: &[&str]| {
        it.windows(2)
            .all(|two| two.first().map(|it| it.len()) == two.get(1).map(|it| it.len()))
    };
    let is_even = groups.get(1..groups.len() - 1).is_none_or(lengths);
    let is_in_pairs = groups.iter().all(|group| matches!(group.len(), 1 | 2 | 4));
    let is_hash = all == SHA256 && is_in_pairs && is_said(before);
    match is_clear {
        true if is_even && (n <= SERIAL || is_hash || is_open && all < SHA256) => (digits * 2.5).min(KNOWN),
        true if n <= SERIAL => digits * LISTED,
        _ if n <= FEW => digits * LISTED,
        _ => digits * DIGIT,
    }
}

/// True if a word may be the beginning of a dump: bytes with other signs between than serials and IP addresses have.
pub(super) fn begins_list(word: &str) -> bool {
    let groups = || {
        let all = word.split(|c: char| !c.is_alphanumeric());
        all.filter(|it| !it.is_empty())
    };
    let is_byte = |group: &str| group.len() <= 3 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_number = |group: &str| group == "0" || !group.starts_with('0') && group.parse::<u8>().is_ok();
    let is_address = groups().count() <= 4
        && groups().all(is_number)
        && word.chars().all(|c| c.is_alphanumeric() || c == '.');
    let digits: usize = groups().map(str::len).sum();
    let is_of_bytes = groups().count() >= 3 && groups().all(is_byte) && digits >= 6;
    is_of_bytes && !is_address && !word.contains([':', '-'])
}

/// True unless something else is said of a hash than that it is one: that it is a key, or by a sign before it and no
/// word that names one.
fn is_said(before: &str) -> bool {
    let label = before.trim_end_matches(|c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '(' | '<' | '[' | '{')
    });
    match named_by(before, true) {
        Some(Named::Secret) => false,
        Some(Named::Public) => true,
        None => !label.ends_with([':', '=', '\\', ']', '#', '$', '%']),
    }
}
