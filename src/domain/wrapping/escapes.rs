//! Escapes of text: letters that look like others or can't be seen, percent signs of URLs, backslashes of JSON,
//! numbers of HTML, the `=3D` of mails. What is left is the text as its author had it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization as _;

use super::DEEPEST;

/// `text` without them, several times over where one stands in another.
pub(super) fn without(text: &str) -> Cow<'_, str> {
    let mut text = seen(text);
    for _ in 0..DEEPEST {
        let Some(plain) = once(&text) else { break };
        text = Cow::Owned(plain);
    }
    text
}

/// `text` without letters that can't be seen, and with plain ones for those that look like others.
pub fn seen(text: &str) -> Cow<'_, str> {
    match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.chars().filter(|c| !is_unseen(*c)).nfkc().collect()),
    }
}

/// Without one layer of them; nothing where there are none.
fn once(text: &str) -> Option<String> {
    let mut plain = None;
    let mut step = |is_there: bool, off: &dyn Fn(&str) -> String| {
        if is_there {
            let before = plain.as_deref().unwrap_or(text);
            plain = Some(off(before));
        }
    };
    step(has_percent(text), &|text| {
        percent_decode_str(text).decode_utf8_lossy().into_owned()
    });
    let is_escaped = ["\\n", "\\r", "\\\"", "\\/", "\\u00"]
        .iter()
        .any(|it| text.contains(it));
    step(is_escaped, &|text| {
        numbered(text, "\\u00", "", 16)
            .replace("\\r", "")
            .replace("\\\\n", "\n")
            .replace("\\n", "\n")
            .replace("\\\\\"", "\"")
            .replace("\\\"", "\"")
            .replace("\\/", "/")
    });
    step(text.contains("&#"), &|text| {
        let text = numbered(text, "&#x", ";", 16);
        numbered(&text, "&#", ";", 10)
    });
    step(text.contains("=3D"), &|text| {
        text.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=")
    });
    plain.filter(|plain| plain != text)
}

fn has_percent(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes
        .windows(3)
        .any(|it| it[0] == b'%' && it[1].is_ascii_hexdigit() && it[2].is_ascii_hexdigit())
}

/// Characters that are written as their number between `before` and `behind`; two hex digits where nothing is
/// behind.
fn numbered(text: &str, before: &str, behind: &str, radix: u32) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((ahead, number)) = rest.split_once(before) {
        plain.push_str(ahead);
        let found = match behind {
            "" => number.split_at_checked(2),
            behind => number.split_once(behind).filter(|(digits, _)| digits.len() <= 6),
        };
        let c = found.and_then(|(digits, after)| {
            let c = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)?;
            Some((c, after))
        });
        match c {
            Some((c, after)) => {
                plain.push(c);
                rest = after;
            }
            None => {
                plain.push_str(before);
                rest = number;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// True if nothing of `c` is seen, so that it can stand between any two letters.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}
