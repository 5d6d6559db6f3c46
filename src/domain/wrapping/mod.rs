//! Wrappings that bytes travel in as text: PEM, base64 with or without its lines, hex, dumps, the escapes of JSON
//! and URLs, the `>` of mails, one in another. It takes them off and says what was in them, not what that is.

mod columns;
mod dump;
mod escapes;
mod literal;
mod spelled;

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

pub use dump::dumped;
pub use escapes::seen;

/// Padding is lost where lines are copied, and some bits behind the last byte are often not zero.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// So deep wrappings are taken off: base64 of a PEM in a JSON string has three.
const DEEPEST: usize = 4;
/// A run of letters that is shorter is a word. A line of PEM has 64.
const SHORTEST_RUN: usize = 32;
/// So many things are taken out of one text.
const MOST: usize = 64;

/// Something that was in a text.
#[derive(Clone, PartialEq, Eq)]
pub enum Inner {
    /// Text, with the wrapping off.
    Text(Zeroizing<String>),
    /// A block in PEM, by its label.
    Block(String, Zeroizing<Vec<u8>>),
    /// Bytes out of base64 or hex.
    Bytes(Zeroizing<Vec<u8>>),
}

/// All that is in `text`, the outermost first, the text itself among it.
#[must_use]
pub fn unwrapped(text: &str) -> Vec<Inner> {
    let mut found = Vec::new();
    take_off(text, DEEPEST, &mut found);
    found
}

fn take_off(raw: &str, deep: usize, found: &mut Vec<Inner>) {
    let text = Zeroizing::new(bare(raw).into_owned());
    if deep == 0 || found.len() >= MOST || text.trim().is_empty() {
        return;
    }
    let inner = Inner::Text(text.clone());
    if found.contains(&inner) {
        return;
    }
    found.push(inner);
    let blocks = blocks(&text);
    for (label, body) in &blocks {
        if let Some(bytes) = from_base64(body) {
            found.push(Inner::Block(label.clone(), bytes));
        }
    }
    found.extend(dumped(&text).into_iter().map(Inner::Bytes));
    // Escapes may stand for bytes that are no text.
    if *text != raw {
        found.extend(dumped(raw).into_iter().map(Inner::Bytes));
    }
    for text in spelled::spelled(&text) {
        take_off(&text, deep - 1, found);
    }
    for run in runs(&text) {
        // What stands in a block is in it already.
        if blocks.iter().any(|(_, body)| body.contains(run.as_str())) {
            continue;
        }
        for bytes in [from_hex(&run), from_base64(&run)].into_iter().flatten() {
            if let Some(text) = from_utf16(&bytes) {
                take_off(&text, deep - 1, found);
            }
            match std::str::from_utf8(&bytes) {
                Ok(text) if is_readable(text) => take_off(text, deep - 1, found),
                _ => found.push(Inner::Bytes(bytes)),
            }
            if found.len() >= MOST {
                return;
            }
        }
    }
}

/// Without escapes and letters that can't be seen, and without the `>` of a mail.
fn bare(text: &str) -> Cow<'_, str> {
    let mut text = escapes::without(text);
    if text.lines().any(|line| line.trim_start().starts_with('>')) {
        let quotes = |line: &str| line.trim_start_matches(['>', ' ', '\t']).to_owned();
        text = Cow::Owned(text.lines().map(quotes).collect::<Vec<_>>().join("\n"));
    }
    text
}

/// The blocks in PEM, by label, each with its body. A terminal may have eaten the line breaks, and the end
/// may be missing.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let Some((label, behind)) = begun.split_once("-----") else {
            break;
        };
        let (body, after) = behind.split_once("-----END ").unwrap_or((behind, ""));
        // Headers (`Proc-Type: 4,ENCRYPTED`) stand before an empty line.
        let body = match body.split_once("\n\n").or_else(|| body.split_once("\r\n\r\n")) {
            Some((headers, body)) if headers.contains(": ") => body,
            _ => body,
        };
        let body = body.split("-----BEGIN ").next().unwrap_or_default();
        let is_letter = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        blocks.push((label.to_owned(), body.chars().filter(is_letter).collect()));
        rest = if after.is_empty() { behind } else { after };
        if blocks.len() >= MOST {
            break;
        }
    }
    blocks
}

/// Runs of letters that may be base64 or hex, each whole though it stands in several lines. A hex run may have
/// colons or spaces between its bytes.
fn runs(text: &str) -> Vec<Zeroizing<String>> {
    let mut runs: Vec<Zeroizing<String>> = Vec::new();
    let mut open: Option<Zeroizing<String>> = None;
    // What pads the end is missed by nobody, and stands between names and values too.
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_' | '-');
    for line in text.split(['\n', '\r']) {
        let words = line
            .split(|c: char| !is_letter(c))
            .filter(|word| !word.is_empty());
        let words: Vec<&str> = words.collect();
        let goes_on = open.is_some() && words.len() == 1 && !line.contains("-----");
        match (&mut open, words.as_slice()) {
            (Some(run), [word]) if goes_on => run.push_str(word),
            _ => {
                runs.extend(open.take());
                for word in &words {
                    if word.len() >= SHORTEST_RUN && !word.starts_with("-----") {
                        runs.extend(open.take());
                        open = Some(Zeroizing::new((*word).to_owned()));
                    }
                }
                // More behind it on its line: the next line does not go on with it.
                if words.last().is_some_and(|last| last.len() < SHORTEST_RUN) {
                    runs.extend(open.take());
                }
            }
        }
    }
    runs.extend(open);
    // The whole, where nothing but separators stands between: lines that a terminal has joined, or hex pairs.
    let whole: String = text.chars().filter(|c| is_letter(*c)).collect();
    let between = text.chars().filter(|c| !is_letter(*c));
    let is_one = between
        .clone()
        .all(|c| c.is_whitespace() || matches!(c, ':' | ',' | '"' | '\'' | '=' | ';' | '|'));
    if is_one && whole.len() >= SHORTEST_RUN && !runs.iter().any(|run| **run == whole) {
        runs.push(Zeroizing::new(whole));
    }
    runs.truncate(MOST);
    runs
}

/// Text as Windows encodes it (`-EncodedCommand`): every second byte is zero.
fn from_utf16(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let bytes = bytes.strip_prefix(&[0xff, 0xfe]).unwrap_or(bytes);
    let (pairs, _) = bytes.as_chunks::<2>();
    let text = pairs
        .iter()
        .map(|[c, zero]| (*zero == 0).then_some(char::from(*c)));
    text.collect::<Option<String>>()
        .filter(|text| !text.is_empty() && is_readable(text))
        .map(Zeroizing::new)
}

fn is_readable(text: &str) -> bool {
    text.chars()
        .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

/// Base64 in either alphabet, whatever white space is in it.
#[must_use]
pub fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text: Zeroizing<String> = Zeroizing::new(text.split_whitespace().collect());
    let decoded = STANDARD
        .decode(text.as_bytes())
        .or_else(|_| URL_SAFE.decode(text.as_bytes()));
    decoded.ok().filter(|bytes| !bytes.is_empty()).map(Zeroizing::new)
}

/// Hex digits with nothing between them.
#[must_use]
pub fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(digits).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD as PLAIN;
    use proptest::prelude::*;

    use super::*;

    fn bytes_in(text: &str) -> Vec<Vec<u8>> {
        let found = unwrapped(text).into_iter().filter_map(|inner| match inner {
            Inner::Block(_, bytes) | Inner::Bytes(bytes) => Some(bytes.to_vec()),
            Inner::Text(_) => None,
        });
        found.collect()
    }

    /// Output of `xxd` for these bytes.
    fn xxd(bytes: &[u8]) -> String {
        let line = |(n, line): (usize, &[u8])| {
            let groups: Vec<String> = line.chunks(2).map(hex::encode).collect();
            format!("{:08x}: {}  0....*.H..=....\n", n * 16, groups.join(" "))
        };
        bytes.chunks(16).enumerate().map(line).collect()
    }

    /// Output of `od` for these bytes, with a line's bytes as `print` prints them.
    fn od(bytes: &[u8], print: impl Fn(&[u8]) -> String) -> String {
        let line = |(n, line): (usize, &[u8])| format!("{:07o}{}\n", n * 16, print(line));
        bytes.chunks(16).enumerate().map(line).collect()
    }

    /// Those bytes as Python prints them.
    fn literal(bytes: &[u8]) -> String {
        let of = |byte: &u8| match byte {
            b'\\' => "\\\\".to_owned(),
            b'\'' => "\\'".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\t' => "\\t".to_owned(),
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        bytes.iter().map(of).collect()
    }

    #[test]
    fn every_wrapping_is_taken_off() {
        let bytes: Vec<u8> = (0..150_u8).map(|n| n.wrapping_mul(167) ^ 0x9c).collect();
        let pem = pem::encode(&pem::Pem::new("THING", bytes.clone()));
        let body = PLAIN.encode(&bytes);
        let in_json = serde_json::json!({ "thing": pem }).to_string();
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let lower: Vec<String> = pairs.iter().map(|pair| pair.to_lowercase()).collect();
        let mailed: String = pem.lines().map(|line| format!("> {line}\n")).collect();
        let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
        for text in [
            pem.clone(),
            pem.replace('\n', ""),
            pem.replace('\n', "\r\n"),
            format!("\u{feff}{pem}"),
            mailed,
            in_json.clone(),
            serde_json::json!(in_json).to_string(),
            body.clone(),
            lines.join("\n"),
            lines.join(" "),
            format!("  tls.key: {}", PLAIN.encode(&pem)),
            PLAIN.encode(PLAIN.encode(&pem)),
            body.replace('+', "-").replace('/', "_").replace('=', ""),
            hex::encode(&bytes),
            pairs.join(":"),
            pairs.join(" "),
            format!("some words\nkey={body}\nother words"),
            body.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D"),
            lines.join("%0A"),
            lines.join("%250A"),
            body.replace('+', "\\u002b").replace('/', "&#x2F;"),
            lines.join("=\n").replace("==", "=3D=3D"),
            body.chars().map(|c| format!("{c}\u{200b}")).collect(),
            body.bytes()
                .map(|byte| char::from_u32(u32::from(byte) + 0xfee0).unwrap())
                .collect(),
            lower.iter().map(|byte| format!("0x{byte}, ")).collect(),
            lower.iter().map(|byte| format!("\\x{byte}")).collect(),
            format!("{bytes:?}"),
            format!("{bytes:?}").replace(',', ""),
            format!(
                "{:?}",
                bytes.iter().map(|byte| byte.cast_signed()).collect::<Vec<_>>()
            ),
            od(&bytes, |line| {
                line.iter().map(|byte| format!(" {byte:3}")).collect()
            }),
            od(&bytes, |line| {
                line.iter().map(|byte| format!(" {byte:03o}")).collect()
            }),
            od(&bytes, |line| {
                line.chunks(2)
                    .map(|it| format!(" {:06o}", u16::from_le_bytes([it[0], it[1]])))
                    .collect()
            }),
            bytes.iter().map(|byte| format!("\\{byte:03o}")).collect(),
            bytes.iter().map(|byte| format!("%{byte:02X}")).collect(),
            bytes.iter().map(|byte| format!("\\u{byte:04x}")).collect(),
            format!("key = b'{}'", literal(&bytes)),
            serde_json::json!({ "key": format!("b'{}'", literal(&bytes)) }).to_string(),
            body.chars().map(|c| format!("{c} ")).collect(),
            body.chars().map(|c| format!("{c},")).collect(),
            body.chars().map(|c| format!("{c}-")).collect(),
            xxd(&bytes),
            xxd(&bytes).replace('\n', " "),
        ] {
            assert!(bytes_in(&text).contains(&bytes), "{text}");
        }
        assert!(bytes_in("web-01.example.com and some words").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_grow(text in "\\PC{0,200}|[A-Za-z0-9+/=\\n>\\\\-]{0,400}") {
            prop_assert!(unwrapped(&text).len() <= 2 * MOST);
        }
    }
}
