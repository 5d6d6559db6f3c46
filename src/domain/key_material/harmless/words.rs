//! Words: what letters cost that nobody speaks. In words of people, and in most names, one of a few hundred pairs
//! follows another; letters that chance has put together have them half of the time.

/// Letters that often follow a letter, from `a` on, in English and German words and in names of programs.
const FOLLOWERS: [&str; 26] = [
    "abcdefghijklmnoprstuvwyz",
    "aegijlorsuy",
    "acehiklorstuy",
    "adeilnorsuy",
    "abcdefghiklmnopqrstuvwxyz",
    "aefilorstu",
    "aeghilnorstu",
    "aeilmnorstuy",
    "abcdefgklmnoprstvxz",
    "aeiou",
    "aehilnorstu",
    "abdefgilnostuy",
    "abeilmopstu",
    "abcdefghijklmnopstuvwyz",
    "abcdefghiklmnoprstuvwz",
    "aefhiloprstuy",
    "u",
    "abcdefghiklmnoprstuvwyz",
    "abcdefghiklmnoprstuvwyz",
    "acdefhilmnoprstuwyz",
    "abcdefghiklmnprst",
    "aeio",
    "aehino",
    "eipt",
    "aeimnopstu",
    "aeiouw",
];

/// Bits of a letter that chance has put there: of 26, of both cases with digits, and of ten.
const LETTER: f64 = 4.7;
const MIXED: f64 = 5.9;
const DIGIT: f64 = 3.3;
/// Bits of a pair that is in no word: half of those of chance are.
const PAIR: f64 = 9.0;
/// Longer words are compounds, of which there are few.
const LONG: usize = 24;
/// Bits of a letter from where letters stand for syllables or words.
const SYLLABLE: f64 = 7.0;
/// Bits of a letter of a script that is seldom met here, and of a change of scripts within a word.
const RARE: f64 = 2.0;
const CHANGE: f64 = 8.0;
/// Bits of a letter of an abbreviation.
const ABBREVIATED: f64 = 0.6;

/// Terms of certificates that read as if chance had made them.
const TERMS: [&str; 8] = [
    "X509v3",
    "secp256r1",
    "secp384r1",
    "secp521r1",
    "prime256v1",
    "GMT",
    "ECDHE",
    "GCM",
];

/// Kind of a character within a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Digit,
    Upper,
    Lower,
}

/// Bits that may be hidden in a run of letters and digits.
pub(super) fn doubt(piece: &str) -> f64 {
    if TERMS.contains(&piece) {
        return 0.0;
    }
    let parts = parts(piece);
    let is_word = parts.len() <= 3;
    let is_mixed = piece.contains(char::is_uppercase) && piece.contains(char::is_lowercase);
    let mut doubt = scripts(piece) + short_capitals(piece);
    for part in &parts {
        let n = part.chars().count();
        let letters = n as f64;
        doubt += match (part.starts_with(|c: char| c.is_ascii_digit()), n) {
            (true, _) if is_word => letters * if n <= 4 { 2.0 } else { DIGIT },
            (true, _) => letters * DIGIT,
            (false, 1 | 2) if parts.len() > 1 => letters * if is_word && !is_mixed { 3.0 } else { MIXED },
            (false, _) => of_letters(part) + if is_word { 0.0 } else { 2.0 },
        };
    }
    doubt
}

/// True if a run is a word without doubt.
pub(super) fn is_plain(piece: &str) -> bool {
    piece.chars().count() >= 3 && parts(piece).len() == 1 && !TERMS.contains(&piece) && doubt(piece) <= 0.0
}

/// Abbreviations have no pairs that tell.
fn short_capitals(piece: &str) -> f64 {
    let is_short = (2..=4).contains(&piece.len()) && piece.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_short {
        piece.len() as f64 * ABBREVIATED
    } else {
        0.0
    }
}

fn of_letters(word: &str) -> f64 {
    let n = word.chars().count() as f64;
    let mut pairs = 0;
    let mut before: Option<char> = None;
    for c in word.chars() {
        let c = c.to_ascii_lowercase();
        if let Some(before) = before
            && before.is_ascii_lowercase()
            && c.is_ascii_lowercase()
        {
            let followers = FOLLOWERS.get(before as usize - 'a' as usize).copied();
            pairs += u32::from(!followers.unwrap_or_default().contains(c));
        }
        before = Some(c);
    }
    let single = if n < 2.0 && word.is_ascii() { 2.0 } else { 0.0 };
    let compound = (n - LONG as f64).max(0.0) * 2.0;
    (f64::from(pairs) * PAIR).min(n * LETTER) + single + compound
}

/// Words and numbers in a run, as case and digits part them: `webServer01` has three.
pub(super) fn parts(piece: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_ascii_digit() => Kind::Digit,
        c if c.is_uppercase() => Kind::Upper,
        _ => Kind::Lower,
    };
    let mut parts = Vec::new();
    let mut begins = 0;
    let mut before: Option<(usize, Kind)> = None;
    let mut uppers = 0;
    for (at, c) in piece.char_indices() {
        let kind = kind(c);
        let cut = match before {
            None => None,
            // The last capital is the first letter of the next word.
            Some((last, Kind::Upper)) if kind == Kind::Lower => (uppers > 1).then_some(last),
            Some((_, was)) if was != kind => Some(at),
            Some(_) => None,
        };
        if let Some(cut) = cut {
            parts.extend(piece.get(begins..cut));
            begins = cut;
        }
        uppers = if kind == Kind::Upper { uppers + 1 } else { 0 };
        before = Some((at, kind));
    }
    parts.extend(piece.get(begins..).filter(|part| !part.is_empty()));
    parts
}

/// Bits of letters beyond ASCII, by their script.
fn scripts(piece: &str) -> f64 {
    if piece.is_ascii() {
        return 0.0;
    }
    let script = |c: char| match u32::from(c) {
        0..=0x24f | 0x1e00..=0x1eff => 0,
        0x250..=0x52f | 0x1f00..=0x1fff => 1,
        0x530..=0x1dff => 2,
        _ => 3,
    };
    let mut before = None;
    let mut doubt = 0.0;
    for c in piece.chars() {
        let script = script(c);
        doubt += match script {
            0 | 1 => 0.0,
            2 => RARE,
            _ => SYLLABLE,
        };
        if before.is_some_and(|before| before != script) && !c.is_ascii_digit() {
            doubt += CHANGE;
        }
        before = Some(script);
    }
    doubt
}
