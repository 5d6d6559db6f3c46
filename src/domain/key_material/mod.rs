//! Key material in what somebody typed or pasted, in whatever wrapping: private keys, unseal shares, tokens, and
//! pieces of them, recognised before they get to a screen, a URL, a filter or a file. Of a private key its public
//! half is made, where that can be done.

mod base85;
mod der;
mod label;
mod piece;
mod ssh;
mod token;
mod web;

use zeroize::Zeroizing;

use super::wrapping::{Inner, seen, unwrapped};

/// What must not be shown or kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// A private key, and the SHA-256 over its SubjectPublicKeyInfo in lower-case hex, where that could be made.
    PrivateKey(Option<String>),
    /// A token or an unseal share, or it may be a piece of a key: nothing can be made of it.
    Piece,
}

/// What `text` holds of key material; nothing if it can be shown.
#[must_use]
pub fn material_in(text: &str) -> Option<Material> {
    found_in(text, false)
}

/// Key material in a text that is still being typed: what may yet become a fingerprint or a pin is left alone until
/// it is whole.
#[must_use]
pub fn material_so_far(text: &str) -> Option<Material> {
    found_in(text, true)
}

fn found_in(text: &str, grows: bool) -> Option<Material> {
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
        Inner::Text(text) => token::is_in(text) || base85::is_in(text) || piece::is_in(text, grows),
        Inner::Block(..) | Inner::Bytes(_) => false,
    });
    // Escapes may stand for bytes that are no text.
    let has_piece = has_piece || piece::is_dumped(text);
    // In base85 a percent sign is a letter.
    let has_piece = has_piece || text.contains('%') && base85::has_percent(&seen(text));
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

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
