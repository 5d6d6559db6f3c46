//! Key material in what somebody typed or pasted, in whatever wrapping: recognised before it gets to a screen, a
//! URL, a filter or a file. Of a private key its public half is made, where that can be done.

mod der;
mod ssh;
mod web;

use zeroize::Zeroizing;

use super::wrapping::{Inner, unwrapped};

/// A line of base64 that is as long as those of PEM and isn't a hash in hex is a piece of something: of a key, as
/// far as anybody can tell.
const PIECE: usize = 64;

/// What must not be shown or kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// A private key, and the SHA-256 over its SubjectPublicKeyInfo in lower-case hex, where that could be made.
    PrivateKey(Option<String>),
    /// It may be a piece of a key: nothing can be made of it.
    Piece,
}

/// What `text` holds of key material; nothing if it can be shown.
#[must_use]
pub fn material_in(text: &str) -> Option<Material> {
    // Nothing shorter is a key, and this is asked of every line that is typed.
    if text.len() < 24 {
        return None;
    }
    let inners = unwrapped(text);
    let mut is_private = false;
    for inner in &inners {
        let (found, spki) = match inner {
            Inner::Text(text) => (
                says_private(text) || web::is_private(text),
                web::spki_of(text).or_else(|| ssh::spki_of_ppk(text)),
            ),
            Inner::Block(label, bytes) if label.contains("PRIVATE KEY") => (true, spki_of(bytes)),
            Inner::Block(_, bytes) | Inner::Bytes(bytes) => {
                let found = der::is_private(bytes) || ssh::is_private(bytes);
                (found, found.then(|| spki_of(bytes)).flatten())
            }
        };
        is_private |= found;
        if found && spki.is_some() {
            return Some(Material::PrivateKey(spki));
        }
    }
    if is_private {
        return Some(Material::PrivateKey(None));
    }
    let has_piece = inners.iter().any(|inner| match inner {
        Inner::Text(text) => has_piece(text),
        Inner::Block(..) | Inner::Bytes(_) => false,
    });
    has_piece.then_some(Material::Piece)
}

/// Words that only stand beside a private key.
fn says_private(text: &str) -> bool {
    let words = [
        "PRIVATE KEY",
        "PuTTY-User-Key-File",
        "Private-Lines:",
        "AGE-SECRET-KEY-1",
        "privateExponent",
        "Private-Key:",
    ];
    words.iter().any(|word| text.contains(word)) || (text.contains("KeyValue>") && text.contains("<D>"))
}

fn spki_of(bytes: &Zeroizing<Vec<u8>>) -> Option<String> {
    der::spki_of(bytes).or_else(|| ssh::spki_of(bytes))
}

/// Whether a line of it may be a piece of a key: a PEM without its ends, or with one of them.
fn has_piece(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    let mut is_public = false;
    for line in text.lines() {
        if line.contains("-----BEGIN ") {
            // A private key is found before this is asked.
            is_public = true;
        }
        let ends = line.contains("-----END ");
        let pieces = line.split(|c| !is_letter(c)).filter(|run| run.len() >= PIECE);
        for run in pieces {
            if is_public {
                break;
            }
            let is_mixed = [char::is_lowercase, char::is_uppercase, char::is_numeric]
                .iter()
                .all(|is: &fn(char) -> bool| run.contains(*is));
            let is_hex = run.chars().all(|c| c.is_ascii_hexdigit());
            let bytes = super::wrapping::from_base64(run);
            let is_whole = bytes
                .as_ref()
                .is_some_and(|bytes| der::is_public(bytes) || ssh::is_public(bytes));
            let is_text = bytes.is_some_and(|bytes| {
                std::str::from_utf8(&bytes)
                    .is_ok_and(|text| text.contains("-----BEGIN ") && !says_private(text))
            });
            if is_mixed && !is_hex && !is_whole && !is_text {
                return true;
            }
            // The lines that follow belong to it.
            is_public |= is_whole || is_text;
        }
        is_public &= !ends;
    }
    false
}

#[cfg(test)]
mod tests;
