//! The one judgement of what somebody typed or pasted, before it gets to a screen, a URL, a filter or a file: private
//! keys, unseal shares, tokens and pieces of them are recognised in many wrappings; of the rest only what reads as
//! something that people look for may be shown (`harmless`). Of a private key its public half is made, where that can be
//! done.

mod base85;
mod der;
mod harmless;
mod label;
mod naming;
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
    /// It is nothing that is known, so that it may be any of these in a wrapping that isn't.
    Unread,
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
    let texts = inners.iter().filter_map(|inner| match inner {
        Inner::Text(text) => Some(text.as_str()),
        Inner::Block(..) | Inner::Bytes(_) => None,
    });
    let mut is_read = true;
    for (n, text) in texts.enumerate() {
        let left = match token::is_in(text) || base85::is_in(text) {
            true => None,
            false => piece::left_of(text, grows),
        };
        let Some(left) = left else {
            return Some(Material::Piece);
        };
        // Base64 in the text is judged as that, unless it is taken for the text that it is.
        is_read &= n > 0 && !text.contains("-----BEGIN ") || harmless::reads(&left, grows);
    }
    // Escapes may stand for bytes that are no text, and in base85 a percent sign is a letter.
    if piece::is_dumped(text) || text.contains('%') && base85::has_percent(&seen(text)) {
        return Some(Material::Piece);
    }
    (!is_read).then_some(Material::Unread)
}

/// True if next to nothing can be hidden in `text`, so that it may go out before somebody has said so.
#[must_use]
pub fn is_clear(text: &str) -> bool {
    harmless::is_clear(text) && material_in(text).is_none()
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
