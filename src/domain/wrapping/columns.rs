//! The columns that `od` prints in its many ways, with or without the places at the beginning of lines, and lists of
//! numbers with nothing but blanks between.

use zeroize::Zeroizing;

/// Fewer are a few numbers, not a dump.
const FEWEST: usize = 16;
/// Bytes of a listing as letters that have to be numbers: letters alone are a word that somebody spells.
const FEWEST_NUMBERS: usize = 6;

/// The bytes of every such listing in `text`.
pub(super) fn columns(text: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let words = || text.split_whitespace().filter(|word| !is_place(word));
    let mut found = runs(words(), |word| decimal(word).map(|byte| vec![byte]), FEWEST);
    found.extend(runs(words(), |word| octal(word).map(|byte| vec![byte]), FEWEST));
    found.extend(runs(words(), octal_pair, FEWEST));
    let mut numbers = 0;
    let letters = runs(
        words(),
        |word| {
            numbers += usize::from(octal(word).is_some());
            octal(word).or_else(|| letter(word)).map(|byte| vec![byte])
        },
        FEWEST,
    );
    if numbers >= FEWEST_NUMBERS {
        found.extend(letters);
    }
    found
}

/// The bytes of words that stand one behind the other and can all be read, where they are enough.
fn runs<'a>(
    words: impl Iterator<Item = &'a str>,
    mut read: impl FnMut(&str) -> Option<Vec<u8>>,
    fewest: usize,
) -> Vec<Zeroizing<Vec<u8>>> {
    let mut found = Vec::new();
    let mut run = Zeroizing::new(Vec::new());
    for word in words.map(Some).chain([None]) {
        if let Some(bytes) = word.and_then(&mut read) {
            run.extend_from_slice(&bytes);
        } else if run.len() >= fewest {
            found.push(std::mem::take(&mut run));
        } else {
            run.clear();
        }
    }
    found
}

/// The place of a line in the whole, in octal digits.
fn is_place(word: &str) -> bool {
    word.len() == 7 && word.starts_with("00") && is_octal(word)
}

fn is_octal(word: &str) -> bool {
    word.bytes().all(|byte| matches!(byte, b'0'..=b'7'))
}

/// `129`, or `-127` as languages have it whose bytes are signed; with what stands around a list's first and last one.
fn decimal(word: &str) -> Option<u8> {
    let word = word
        .trim_start_matches(['[', '(', '{'])
        .trim_end_matches([']', ')', '}', ',']);
    if word.len() > 4 || word.starts_with('+') {
        return None;
    }
    let signed = || word.parse::<i8>().ok().map(i8::cast_unsigned);
    word.parse::<u8>().ok().or_else(signed)
}

/// `201`
fn octal(word: &str) -> Option<u8> {
    let is_byte = word.len() == 3 && is_octal(word);
    u8::from_str_radix(word, 8).ok().filter(|_| is_byte)
}

/// `100460`: two bytes, the second first.
fn octal_pair(word: &str) -> Option<Vec<u8>> {
    let is_pair = word.len() == 6 && is_octal(word);
    let pair = u16::from_str_radix(word, 8).ok().filter(|_| is_pair)?;
    Some(pair.to_le_bytes().to_vec())
}

/// `H` or `\n`, as `od -c` prints bytes that have a letter.
fn letter(word: &str) -> Option<u8> {
    match word.as_bytes() {
        [byte] => Some(*byte),
        [b'\\', name] => match name {
            b'0' => Some(0),
            b'a' => Some(7),
            b'b' => Some(8),
            b't' => Some(b'\t'),
            b'n' => Some(b'\n'),
            b'v' => Some(11),
            b'f' => Some(12),
            b'r' => Some(b'\r'),
            b'\\' => Some(b'\\'),
            _ => None,
        },
        _ => None,
    }
}
