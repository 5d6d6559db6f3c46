//! Forms that are known by themselves: times, ids, UUIDs, IP addresses, labels of names in other scripts, and the ends
//! of the names that Kubernetes gives.

use std::net::IpAddr;

/// Bits of what has such a form, though there is more in it: many of them in a row are something else.
const KNOWN: f64 = 14.0;
const ADDRESS: f64 = 7.0;
const TIME: f64 = 2.0;
/// Letters of the end of an id.
const ULID: usize = 26;
/// Letters that Kubernetes takes for the ends of names, and how many.
const SAFE: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Length of the form that `text` begins with, in bytes, and the bits that may be hidden in it. What touches the end of
/// a text that `grows` may yet be cut off.
pub(super) fn read(before: Option<char>, text: &str, grows: bool) -> Option<(usize, f64)> {
    let known = |n: usize| (n, KNOWN);
    time(text)
        .map(|n| (n, TIME))
        .or_else(|| uuid(text, grows).map(known))
        .or_else(|| id(text, grows).map(known))
        .or_else(|| address(text).map(|n| (n, ADDRESS)))
        .or_else(|| international(text).map(known))
        .or_else(|| pod(text).filter(|_| before == Some('-')).map(known))
}

/// Length of what matches a pattern at the front: `0` is a digit, `a` a letter, anything else is itself.
fn matching(text: &str, pattern: &str) -> Option<usize> {
    let bytes = text.as_bytes().get(..pattern.len())?;
    let is = |(byte, wanted): (&u8, u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        b'a' => byte.is_ascii_alphabetic(),
        wanted => *byte == wanted,
    };
    bytes.iter().zip(pattern.bytes()).all(is).then_some(pattern.len())
}

/// `2026-11-29T14:05:33.123Z` and its parts.
fn time(text: &str) -> Option<usize> {
    let day = matching(text, "0000-00-00")
        .or_else(|| matching(text, "00.00.0000"))
        .or_else(|| matching(text, "0000/00/00"))
        .or_else(|| matching(text, "00/aaa/0000"));
    let mut n = day.unwrap_or(0);
    let behind = |n: usize| text.get(n..).unwrap_or_default();
    let ends = |n: usize| !behind(n).starts_with(|c: char| c.is_alphanumeric() || c == ':');
    let month = matching(text, "aaa 00 ").or_else(|| matching(text, "aaa  0 "));
    if let Some(n) = month
        && let Some(clock) = matching(behind(n), "00:00:00")
    {
        let n = n + clock;
        let year = matching(behind(n), " 0000 GMT").or_else(|| matching(behind(n), " 0000"));
        return Some(n + year.unwrap_or(0)).filter(|n| ends(*n));
    }
    let clock = match day {
        Some(n) => behind(n).strip_prefix(['T', ' ', '_', ':']),
        None => Some(text),
    };
    if let Some(clock) = clock
        && let Some(hours) = matching(clock, "00:00:00").or_else(|| matching(clock, "00:00"))
    {
        n = text.len() - clock.len() + hours;
        if behind(n).starts_with(['.', ',']) {
            let digits = behind(n + 1).bytes().take_while(u8::is_ascii_digit).count();
            n += if (1..=9).contains(&digits) { 1 + digits } else { 0 };
        }
        let zone = ["+00:00", "-00:00", "+0000", "-0000", " +0000", " -0000"]
            .iter()
            .find_map(|zone| matching(behind(n), zone));
        n += zone.unwrap_or(usize::from(behind(n).starts_with('Z')));
    }
    (n > 0 && ends(n)).then_some(n)
}

fn uuid(text: &str, grows: bool) -> Option<usize> {
    let is_open = grows && (9..36).contains(&text.len());
    let n = if is_open { text.len() } else { 36 };
    let is = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let is_one = text.get(..n)?.bytes().enumerate().all(is);
    (is_one && ends_at(text, n)).then_some(n)
}

/// `crt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8`
pub(super) fn id(text: &str, grows: bool) -> Option<usize> {
    let (kind, behind) = text.split_at_checked(4)?;
    let is_kind = kind.bytes().take(3).all(|byte| byte.is_ascii_lowercase()) && kind.ends_with('_');
    let n = behind.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let is_whole = n == ULID || grows && n < ULID && n == behind.len();
    (is_kind && is_whole && ends_at(text, 4 + n)).then_some(4 + n)
}

fn address(text: &str) -> Option<usize> {
    let n = text
        .bytes()
        .take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
        .count();
    let word = text.get(..n)?;
    // `10.0.0.1:443`, or with the end of a sentence.
    let parts = [
        Some(word),
        word.rsplit_once(':').map(|(host, _)| host),
        word.strip_suffix(['.', ':']),
    ];
    let found = parts.into_iter().flatten().find(|word| {
        let is_six =
            word.contains("::") || word.matches(':').count() == 7 && word.split(':').any(|it| it.len() > 2);
        word.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4() || is_six)
    })?;
    ends_at(text, found.len()).then_some(found.len())
}

/// `xn--bcher-kva`
fn international(text: &str) -> Option<usize> {
    let behind = text.strip_prefix("xn--")?;
    let n = behind
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        .count();
    (1..=59).contains(&n).then_some(4 + n)
}

/// `7d9f8b6c5d-x2kqz`
fn pod(text: &str) -> Option<usize> {
    let is_safe = |c: char| SAFE.contains(c);
    let n = text.find(|c| !is_safe(c))?;
    let end = text.get(n..)?.strip_prefix('-')?;
    let m = end.find(|c| !is_safe(c)).unwrap_or(end.len());
    let whole = n + 1 + m;
    (matches!(n, 8..=10) && m == 5 && ends_at(text, whole)).then_some(whole)
}

fn ends_at(text: &str, n: usize) -> bool {
    !text
        .get(n..)
        .is_some_and(|it| it.starts_with(char::is_alphanumeric))
}
