//! Pieces: hex, base64 and base32 that nobody can tell from a piece of a key or an unseal share. What a clue can
//! be is none: a serial (twenty octets at most), a SHA-1 or SHA-256 in hex, the same in base64 where it says so (a
//! label before it, or the `=` behind it: a share without its last letter is as long), and a certificate, request or
//! public key from its first line on.

use data_encoding::BASE32_NOPAD;

use super::naming::{Named, named_by};
use super::{der, harmless, label, says_private, ssh};
use crate::domain::wrapping::{dumped, from_base64, from_hex};

/// Fewer letters are a word, an id or a name. A share of a key of 128 bits has 23.
const SHORTEST: usize = 22;
/// Random letters of this number have no digit once in two hundred; a name written in both cases often has none.
const NEEDS_NO_DIGIT: usize = 30;
/// Letters of a serial or a SHA-1, and of a SHA-256, in hex.
const SERIAL: usize = 40;
const SHA256: usize = 64;
/// Letters of a SHA-1 and a SHA-256 in base64, without the padding.
const HASHES: [usize; 2] = [27, 43];
/// Letters of an unseal share in base64, as Vault makes them of a key of 256 bits.
const SHARE: usize = 44;
/// Digits of the highest serial.
const DECIMAL: usize = 49;
/// Letters of base32 in upper and lower case: host names have at most 63 of the latter, few digits among them.
const BASE32: (usize, usize) = (32, 50);
/// Length of a text in base64, whose end isn't known.
const TEXT: usize = usize::MAX;
/// Ends of labels of PEM blocks that are public.
const OF_BLOCKS: [&str; 6] = [
    "CERTIFICATE",
    "CERTIFICATE REQUEST",
    "PUBLIC KEY",
    "X509 CRL",
    "PKCS7",
    "PARAMETERS",
];
/// Letters of a block by which it can be told what it holds, and those that OpenSSL writes behind a certificate that it
/// trusts.
const SHORTEST_BLOCK: usize = 32;
const TRUSTED: usize = 172;
/// Shorter ones of equal length are one text in groups.
const IN_GROUPS: usize = 40;
/// Pairs of a line of `openssl rsa -text`, which ends with a colon as no serial does, that are left of a line that was
/// copied from its middle.
const LINE: usize = 8;
/// Bytes of the shortest key, behind a word that says that it is one.
const KEY: usize = 16;
/// Pairs behind the name of a number of a private key. Fewer tell nothing of it.
const NUMBER: usize = 4;

/// Rest of `text` without what says itself that it is public; nothing where a piece is in it. While `text`
/// `grows`, anything shorter than a hash may become one.
pub(super) fn left_of(text: &str, grows: bool) -> Option<String> {
    let dumps = dumped(text);
    // Clues are not written as dumps, but for certificates.
    if dumps.iter().any(|bytes| !is_public(bytes)) {
        return None;
    }
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    // Two digits a byte, beside which stand places and letters.
    if dumps.iter().any(|bytes| bytes.len() * 10 >= digits * 3) {
        return Some(String::new());
    }
    let text = harmless::without_ids(&without_blocks(text), grows);
    let left = without_words(&text, grows)?;
    if is_in_groups(&text) {
        return None;
    }
    // `openssl x509 -text` prints keys and signatures in pairs, and a public key is public.
    let is_printed = ["Certificate:", "Public-Key:", "Certificate Request:"]
        .iter()
        .any(|words| text.contains(words));
    match is_printed {
        true => Some(without_lines_of_pairs(&left)),
        false => without_pairs(&left, grows),
    }
}

/// True if bytes that aren't public are written one by one in `text`.
pub(super) fn is_dumped(text: &str) -> bool {
    dumped(text).iter().any(|bytes| !is_public(bytes))
}

/// Text outside of PEM blocks that hold what they say.
fn without_blocks(text: &str) -> String {
    let mut outside = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, begun)) = rest.split_once("-----BEGIN ") {
        outside.push_str(before);
        outside.push(' ');
        let Some((label, behind)) = begun.split_once("-----") else {
            outside.push_str(begun);
            return outside;
        };
        let (body, ended) = behind.split_once("-----END ").unwrap_or((behind, ""));
        if !is_public_block(label, body) {
            outside.push_str(label);
            outside.push(' ');
            outside.push_str(body);
        }
        rest = ended.split_once("-----").map_or("", |(_, after)| after);
    }
    outside.push_str(rest);
    outside
}

/// True if a block is one of those that are public, and its bytes begin so and end with it. Of a few letters it can't be
/// told.
fn is_public_block(label: &str, body: &str) -> bool {
    let is_label = OF_BLOCKS.iter().any(|end| label.ends_with(end));
    let letters: String = body
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'))
        .collect();
    let is_public = || {
        let bytes = letters.get(..letters.len() / 4 * 4).and_then(from_base64)?;
        let read = read_bytes(&bytes, 4, 3, letters.len())?;
        Some(matches!(read, Read::Public(whole) if letters.len() <= whole.saturating_add(TRUSTED)))
    };
    is_label && (letters.len() < SHORTEST_BLOCK || is_public().unwrap_or(false))
}

/// Lines without those of pairs of hex digits, as OpenSSL prints long numbers.
fn without_lines_of_pairs(text: &str) -> String {
    let is_of_pairs = |line: &&str| {
        let pairs = line.trim().trim_end_matches(':').split(':');
        let mut pairs = pairs.peekable();
        pairs.peek().is_some()
            && pairs.all(|it| it.len() == 2 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    text.lines()
        .filter(|line| !is_of_pairs(line))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

/// `text` without the words that are public; nothing if one of them is a piece. Words that follow the beginning of
/// something public are the rest of it, up to the length that the beginning gives.
fn without_words(text: &str, grows: bool) -> Option<String> {
    let mut left = String::with_capacity(text.len());
    let mut rest = 0;
    let mut behind = text;
    while !behind.is_empty() {
        let n = behind.find(|c| !is_letter(c)).unwrap_or(behind.len());
        let (word, after) = behind.split_at(n);
        let begins = text.len() - behind.len();
        let (sign, after_sign) = after.split_at(after.chars().next().map_or(0, char::len_utf8));
        behind = after_sign;
        let is_rest = match rest {
            TEXT => is_text(word),
            rest => !word.is_empty() && word.len() <= rest,
        };
        let is_labelled = || {
            let before = text.get(..begins);
            before.is_some_and(|before| label::names_public(before, text))
        };
        if word.len() < SHORTEST {
            let may_be_hash = grows && behind.is_empty() && word.len() >= SHORTEST / 2 && is_labelled();
            if !is_rest && !may_be_hash {
                left.push_str(word);
            }
            left.push_str(sign);
            if rest != TEXT {
                rest = usize::saturating_sub(rest, word.len());
            }
            continue;
        }
        let says_hash = is_labelled();
        let is_secret = !says_hash && {
            let before = text.get(..begins).unwrap_or_default();
            named_by(before, is_hex(word)) == Some(Named::Secret)
        };
        let ends_with_sign = after.starts_with('=');
        let read = read(word, says_hash || ends_with_sign && !is_secret, grows);
        if read == Read::Private {
            return None;
        }
        if is_rest {
            if rest != TEXT {
                rest -= word.len();
            }
            left.push_str(sign);
            continue;
        }
        rest = 0;
        match read {
            Read::Piece | Read::Private => return None,
            Read::Other if is_secret && may_be_key(word, ends_with_sign) => return None,
            Read::Public(TEXT) => rest = TEXT,
            Read::Public(letters) => rest = letters.saturating_sub(word.len()),
            Read::Hash => {}
            Read::Other => left.push_str(word),
        }
        left.push_str(sign);
    }
    Some(left)
}

/// True if a word is a part of a text in base64, which is judged as that text.
fn is_text(word: &str) -> bool {
    let bytes = word.get(..word.len() / 4 * 4).and_then(from_base64);
    bytes.is_some_and(|bytes| {
        bytes
            .iter()
            .all(|byte| matches!(byte, b'\n' | b'\r' | b'\t' | b' '..=b'~'))
    })
}

fn is_hex(word: &str) -> bool {
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    digits
        .unwrap_or(word)
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
}

/// True if a word is a key where a word before it says so.
fn may_be_key(word: &str, ends_with_sign: bool) -> bool {
    let has = |is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
    let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    is_hex(word) && word.len() >= 2 * KEY || ends_with_sign && is_mixed
}

/// Kind of a word.
#[derive(PartialEq, Eq)]
enum Read {
    Private,
    /// The beginning of something public that has so many letters.
    Public(usize),
    /// A hash in base64 that is said to be one.
    Hash,
    Piece,
    Other,
}

fn read(word: &str, says_hash: bool, grows: bool) -> Read {
    let n = word.len();
    if n > SERIAL && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return if n > DECIMAL { Read::Piece } else { Read::Other };
    }
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let digits = digits.unwrap_or(word);
    if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let even = digits.get(..digits.len() & !1).and_then(from_hex);
        let public = even.as_ref().and_then(|bytes| read_bytes(bytes, 2, 1, n));
        // Zeros in front are those of a number.
        let n = digits.trim_start_matches('0').len();
        let is_clue = n <= SERIAL || digits.len() == SHA256 || (grows && digits.len() < SHA256);
        return public.unwrap_or(if is_clue { Read::Other } else { Read::Piece });
    }
    if is_base32(word) {
        let whole = word.get(..n / 8 * 8).map(str::to_ascii_uppercase);
        let bytes = whole.and_then(|whole| BASE32_NOPAD.decode(whole.as_bytes()).ok());
        let public = bytes.as_ref().and_then(|bytes| read_bytes(bytes, 8, 5, n));
        return public.unwrap_or(Read::Piece);
    }
    // `sha256/` and `sha256//` stand before a pin.
    let labelled = ["sha256/", "sha1/", "SHA256/", "SHA1/"]
        .iter()
        .find_map(|label| word.strip_prefix(label));
    let says_hash = says_hash || labelled.is_some();
    let pin = labelled.unwrap_or(word);
    let pin = pin
        .strip_prefix('/')
        .filter(|pin| HASHES.contains(&pin.len()))
        .unwrap_or(pin);
    let is_clue = says_hash && (HASHES.contains(&pin.len()) || (grows && pin.len() <= HASHES[1]));
    if !is_random(pin) {
        return if is_clue { Read::Hash } else { Read::Other };
    }
    let whole = pin.get(..pin.len() / 4 * 4).and_then(from_base64);
    if let Some(read) = whole.as_ref().and_then(|bytes| read_bytes(bytes, 4, 3, n)) {
        return read;
    }
    let is_public_text = whole.is_some_and(|bytes| {
        std::str::from_utf8(&bytes).is_ok_and(|text| text.contains("-----BEGIN ") && !says_private(text))
    });
    match (is_public_text, is_clue) {
        // Its end is not known, and its lines are read where it is taken apart.
        (true, _) => Read::Public(TEXT),
        (_, true) => Read::Hash,
        _ => Read::Piece,
    }
}

/// Kind of some bytes by their beginning; `letters` of the text stand for `octets` bytes.
fn read_bytes(bytes: &[u8], letters: usize, octets: usize, n: usize) -> Option<Read> {
    if der::is_private(bytes) || ssh::is_private(bytes) {
        return Some(Read::Private);
    }
    if ssh::is_public(bytes) {
        return Some(Read::Public(n));
    }
    let whole = der::whole_length(bytes).filter(|_| der::is_public(bytes))?;
    // A few more are what OpenSSL writes behind a certificate that it trusts.
    match bytes.get(whole..) {
        Some(behind) if behind.len() > 128 || der::is_private(behind) => Some(Read::Piece),
        _ => Some(Read::Public(whole.saturating_mul(letters) / octets + letters)),
    }
}

fn is_public(bytes: &[u8]) -> bool {
    der::is_public(bytes) || ssh::is_public(bytes)
}

/// True if letters are mixed as those of base64 are: many of both cases, and seldom two of a kind beside each other.
/// In names and paths the next letter mostly is of the kind of the one before, and an id has a short prefix in the
/// other case.
fn is_random(word: &str) -> bool {
    let n = |is: fn(&u8) -> bool| word.bytes().filter(is).count();
    let fewer = n(u8::is_ascii_lowercase).min(n(u8::is_ascii_uppercase));
    let is_mixed = fewer * 7 >= word.len() && (n(u8::is_ascii_digit) > 0 || word.len() >= NEEDS_NO_DIGIT);
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        _ => 2,
    };
    let kinds: Vec<u8> = word.bytes().filter(u8::is_ascii_alphanumeric).map(kind).collect();
    let changes = kinds.windows(2).filter(|two| two[0] != two[1]).count();
    // Random letters change in three places of five; the shorter a text, the more that varies.
    let changes_much = match word.len() {
        n if n == SHARE || n == SHARE - 1 => changes * 10 >= kinds.len() * 3,
        36.. => changes * 20 >= kinds.len() * 7,
        _ => changes * 5 >= kinds.len() * 2,
    };
    word.len() >= SHORTEST && is_mixed && changes_much
}

fn is_base32(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is = |letter: fn(&u8) -> bool| {
        word.bytes()
            .all(|byte| letter(&byte) || matches!(byte, b'2'..=b'7'))
    };
    (word.len() >= BASE32.0 && is(u8::is_ascii_uppercase)
        || word.len() >= BASE32.1 && is(u8::is_ascii_lowercase))
        && digits * 16 >= word.len()
}

/// A run of hex digits in pairs.
#[derive(Default)]
struct Pairs {
    bytes: Vec<u8>,
    /// A line of it, or the whole, ends with a colon.
    ends_with_colon: bool,
    /// By what stands before it.
    says: Option<label::Says>,
    /// By words before it.
    is_secret: bool,
}

impl Pairs {
    fn is_piece(&self, grows: bool) -> bool {
        let bytes = &self.bytes;
        let n = bytes.len();
        if is_public(bytes) {
            return false;
        }
        if self.says == Some(label::Says::Private) && n >= NUMBER {
            return true;
        }
        if self.is_secret && n >= KEY {
            return true;
        }
        if self.ends_with_colon && self.says != Some(label::Says::Hash) && n >= LINE {
            return true;
        }
        // Zeros in front are those of a number.
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let is_clue = n - zeros <= SERIAL / 2 || n == SHA256 / 2 || (grows && n < SHA256 / 2);
        !is_clue
    }
}

/// `text` without pairs of hex digits that are public. Nothing if hex digits in pairs or fours, with colons, hyphens or
/// spaces between, are more than a hash has, or stand in the lines of a private key that is written out.
fn without_pairs(text: &str, grows: bool) -> Option<String> {
    let mut pairs = Pairs::default();
    let mut left = String::with_capacity(text.len());
    let mut kept = 0;
    let mut since = 0;
    let mut between = None;
    let mut rest = text;
    while !rest.is_empty() {
        let begins = text.len() - rest.len();
        let n = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (word, behind) = rest.split_at(n);
        let n = behind
            .find(|c: char| c.is_ascii_alphanumeric())
            .unwrap_or(behind.len());
        let (separator, behind) = behind.split_at(n);
        let group = matches!(word.len(), 2 | 4)
            .then(|| hex::decode(word).ok())
            .flatten();
        let is_group = group.is_some();
        if pairs.bytes.is_empty() && is_group {
            let before = text.get(..begins).unwrap_or_default();
            pairs.says = label::said_by(before);
            pairs.is_secret = named_by(before, true) == Some(Named::Secret);
            since = begins;
        }
        pairs.bytes.extend(group.unwrap_or_default());
        // The last colon of what is being typed is followed by something.
        let ends_line = separator.strip_prefix(':').is_some_and(|after| {
            after.chars().all(char::is_whitespace)
                && (after.contains('\n') || !grows && (!after.is_empty() || behind.is_empty()))
        });
        pairs.ends_with_colon |= is_group && ends_line;
        // A line break belongs to what stands before it.
        let next = separator
            .chars()
            .next()
            .filter(|c| matches!(c, ':' | '-') || c.is_whitespace());
        let next = next.map(|c| if c.is_whitespace() { ' ' } else { c });
        let is_clear = separator.chars().skip(1).all(char::is_whitespace);
        let goes_on = is_group && is_clear && next.is_some() && between.is_none_or(|it| Some(it) == next);
        if goes_on {
            between = next;
        } else {
            if pairs.is_piece(grows) {
                return None;
            }
            if is_public(&pairs.bytes) {
                left.push_str(text.get(kept..since)?);
                kept = if is_group { begins + word.len() } else { begins };
            }
            pairs = Pairs::default();
            between = None;
        }
        rest = behind;
    }
    if pairs.is_piece(grows) {
        return None;
    }
    let end = if is_public(&pairs.bytes) {
        since
    } else {
        text.len()
    };
    left.push_str(text.get(kept..end)?);
    Some(left)
}

/// True if groups of equal length, in which people write long texts, are a random text together.
fn is_in_groups(text: &str) -> bool {
    let is_piece = |whole: &str| {
        let bytes = whole.get(..whole.len() / 4 * 4).and_then(from_base64);
        whole.len() >= IN_GROUPS && is_random(whole) && !bytes.is_some_and(|bytes| is_public(&bytes))
    };
    let mut whole = String::with_capacity(text.len());
    let mut each = 0;
    for group in text.split(|c| !is_letter(c)).filter(|it| !it.is_empty()) {
        if group.len() != each {
            // The last one may be shorter.
            if group.len() < each && !whole.is_empty() {
                whole.push_str(group);
            }
            if is_piece(&whole) {
                return true;
            }
            whole.clear();
            each = group.len();
        }
        if (4..SHORTEST).contains(&each) {
            whole.push_str(group);
        }
    }
    is_piece(&whole)
}
