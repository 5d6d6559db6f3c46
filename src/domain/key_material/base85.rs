//! Bytes in more letters than those of base64: base85 in its alphabets, base91, and the lines of uuencode. Clues are not
//! written so, nor is anything else that people look for, so that what is in them is not asked.

/// A share of a key of 256 bits has 42 letters, one of 128 bits 22; a password has fewer than this.
const SHORTEST: usize = 30;
/// Bytes of the shortest line of uuencode that is taken for one.
const SHORTEST_LINE: usize = 16;

/// True if such bytes stand in `text`.
pub(super) fn is_in(text: &str) -> bool {
    text.split_whitespace().any(is_base85) || has_uuencode(text)
}

/// True if some stand in `text` that have a percent sign, which is an escape in all else.
pub(super) fn has_percent(text: &str) -> bool {
    text.split_whitespace()
        .any(|word| word.contains('%') && is_base85(word))
}

/// Signs that neither names nor addresses nor JSON have.
fn is_strange(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'(' | b')' | b'*' | b';' | b'<' | b'>' | b'^' | b'`' | b'|' | b'~' | b'\\' | b'\''
    )
}

/// True if letters of both cases, digits and signs are mixed as chance does it: two beside each other are mostly of
/// another kind.
fn is_base85(word: &str) -> bool {
    let bytes = word.as_bytes();
    let n = |is: fn(&u8) -> bool| bytes.iter().filter(|byte| is(byte)).count();
    if bytes.len() < SHORTEST || !word.is_ascii() {
        return false;
    }
    let signs = n(u8::is_ascii_punctuation);
    let strange = n(|byte| is_strange(*byte));
    let has_signs = strange >= 2 || (strange == 1 && signs * 8 >= bytes.len());
    let has_letters = n(u8::is_ascii_uppercase) >= 3 && n(u8::is_ascii_lowercase) >= 3;
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let changes = bytes
        .windows(2)
        .filter(|two| kind(two[0]) != kind(two[1]))
        .count();
    has_signs && has_letters && changes * 2 >= bytes.len()
}

/// True if a file begins (`begin 644 name`), or a line is as long as its first letter says and has the letters of such
/// lines. Line breaks may be lost.
fn has_uuencode(text: &str) -> bool {
    let begins = text.match_indices("begin ").any(|(at, word)| {
        let behind = text.get(at + word.len()..).unwrap_or_default();
        let (mode, behind) = behind.split_once(' ').unwrap_or_default();
        mode.len() == 3 && mode.bytes().all(|byte| byte.is_ascii_digit()) && behind.len() >= SHORTEST
    });
    let is_start = |at: usize| at == 0 || text.as_bytes().get(at - 1).is_some_and(u8::is_ascii_whitespace);
    begins || (0..text.len()).any(|at| is_start(at) && text.get(at..).is_some_and(is_line))
}

fn is_line(text: &str) -> bool {
    let Some((first @ b' '..=b'M', rest)) = text.as_bytes().split_first() else {
        return false;
    };
    let n = usize::from(first - b' ');
    let Some((line, behind)) = rest.split_at_checked(n.div_ceil(3) * 4) else {
        return false;
    };
    let strange = |byte: &&u8| {
        !byte.is_ascii_alphanumeric()
            && !matches!(
                byte,
                b' ' | b'"' | b'\'' | b'(' | b')' | b',' | b'-' | b'.' | b'/' | b':' | b'=' | b'_'
            )
    };
    n >= SHORTEST_LINE
        && line.iter().all(|byte| matches!(byte, b' '..=b'`'))
        && line.iter().filter(strange).count() >= 5
        && behind.first().is_none_or(u8::is_ascii_whitespace)
}
