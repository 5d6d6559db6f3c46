//! Numbers of certificates: serials in hex and decimal, and hashes.

use crate::domain::wrapping::from_base64;

/// A serial has at most twenty octets (RFC 5280 §4.1.2.2).
const LONGEST: usize = 20;

/// The hex digits of `text`, whatever separates them; nothing where something else is in it.
fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    let mut digits = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ':' | '-' => {}
            c if c.is_whitespace() => {}
            c if c.is_ascii_hexdigit() => digits.push(c.to_ascii_lowercase()),
            _ => return None,
        }
    }
    (!digits.is_empty()).then_some(digits)
}

/// Whether it is written as a serial is: pairs of hex digits, or many of them.
pub(super) fn is_written_as_serial(text: &str) -> bool {
    let text = text.trim();
    if text.starts_with("0x") || text.starts_with("0X") {
        return true;
    }
    let separated = |c: char| matches!(c, ':' | '-') || c.is_whitespace();
    if text.contains(separated) {
        let groups: Vec<&str> = text.split(separated).filter(|group| !group.is_empty()).collect();
        // In fours, as some print them.
        let is_in_fours = !text.contains([':', '-']) && groups.iter().all(|group| group.len() == 4);
        if is_in_fours
            && groups.len() >= 4
            && groups
                .iter()
                .all(|group| group.chars().all(|c| c.is_ascii_hexdigit()))
        {
            return true;
        }
        // Only the first may have lost its zero.
        return groups.len() > 1
            && groups.iter().skip(1).all(|group| group.len() == 2)
            && groups.first().is_some_and(|first| first.len() <= 2);
    }
    text.len() >= 12 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// A serial in hex, as lower-case pairs with colons, without zeros in front: others pad with them.
pub(super) fn serial(text: &str) -> Option<String> {
    let digits = digits(text)?;
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    (digits.len() <= 2 * LONGEST).then(|| in_pairs(digits))
}

fn in_pairs(digits: &str) -> String {
    let digits = match digits.len() % 2 {
        0 => digits.to_owned(),
        _ => format!("0{digits}"),
    };
    let pairs: Vec<&str> = (0..digits.len()).step_by(2).map(|i| &digits[i..i + 2]).collect();
    pairs.join(":")
}

/// A serial in decimal digits, in hex.
pub(super) fn decimal_serial(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches('0');
    // A port, a year and a part of a name are shorter.
    if !(6..=49).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut octets = [0_u8; LONGEST + 1];
    for digit in text.bytes() {
        let mut carried = u32::from(digit - b'0');
        for octet in octets.iter_mut().rev() {
            carried += u32::from(*octet) * 10;
            *octet = (carried & 0xff) as u8;
            carried >>= 8;
        }
        if carried > 0 {
            return None;
        }
    }
    serial(&hex::encode(octets))
}

/// A hash of so many octets in hex, whatever separates them.
pub(super) fn hash(text: &str, octets: usize) -> Option<String> {
    let digits = digits(text)?;
    (digits.len() == 2 * octets).then_some(digits)
}

/// A hash in base64, as pins are written.
pub(super) fn base64_hash(text: &str, octets: usize) -> Option<String> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    // A name has dots, or letters in one case.
    let is_mixed =
        text.contains(char::is_uppercase) && text.contains(char::is_lowercase) || text.ends_with('=');
    if !text.chars().all(is_letter) || !is_mixed {
        return None;
    }
    let bytes = from_base64(text)?;
    (bytes.len() == octets).then(|| hex::encode(&*bytes))
}
