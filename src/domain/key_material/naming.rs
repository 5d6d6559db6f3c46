//! Words before a value, on its line, that say what it is. A key of 256 bits is as long as a SHA-256, in hex and in
//! base64: by itself such a value may be a hash, behind a word that says key or secret it may not.

use super::harmless;

/// Kind of thing that a value is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A hash, or the number of something.
    Public,
    /// A secret.
    Secret,
}

/// Words that stand before what is public, whatever stands before them.
const OF_HASHES: [&str; 10] = [
    "fingerprint",
    "fingerprints",
    "thumbprint",
    "sha",
    "spki",
    "pin",
    "pins",
    "x5t",
    "serial",
    "serials",
];

/// Words of things that have a hash: what a key has to do with is no key.
const OF_THINGS: [&str; 12] = [
    "cert",
    "certs",
    "certificate",
    "certificates",
    "hash",
    "digest",
    "checksum",
    "commit",
    "crl",
    "csr",
    "zertifikat",
    "zertifikats",
];

/// Words that make an id of a key.
const OF_IDS: [&str; 5] = ["id", "ids", "identifier", "kid", "keyid"];

/// Words that only stand before secrets, or are about one.
const OF_SECRETS: [&str; 14] = [
    "private",
    "priv",
    "unseal",
    "psk",
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "passwort",
    "kennwort",
    "geheimnis",
    "preshared",
];

/// Words that stand before secrets mostly.
const OF_KEYS: [&str; 14] = [
    "key",
    "keys",
    "secret",
    "secrets",
    "share",
    "shares",
    "token",
    "tokens",
    "seed",
    "seeds",
    "pass",
    "credential",
    "credentials",
    "schlüssel",
];

/// Ends of names that are written as one word.
const ENDS: [&str; 4] = ["key", "secret", "token", "password"];

/// Words between a value and a word that is about it, of each kind.
const NEAR: usize = 5;
const FAR: usize = 10;
/// Bytes in which so many words stand.
const LINE: usize = 160;
/// Longer words are values themselves.
const LONGEST: usize = 30;

/// Judgement of a value by the words before it. `is_hex` is said of the value: `key:` and hex is a filter of the console's own.
pub(super) fn named_by(before: &str, is_hex: bool) -> Option<Named> {
    let mut label = line(before);
    let mut named = None;
    for (path, needs_hex) in [("keys/", false), ("key/", false), ("key:", true)] {
        let is_filter = before.ends_with(path) && (is_hex || !needs_hex);
        let ahead = label.strip_suffix(path).filter(|_| is_filter);
        if let Some(ahead) = ahead.filter(|ahead| !ahead.ends_with(is_within_name)) {
            label = ahead;
            named = Some(Named::Public);
        }
    }
    let words = words(label);
    let mut is_thing = false;
    let mut is_id = false;
    for (n, word) in words.iter().enumerate() {
        let word = word.as_str();
        let is_near = n < NEAR;
        if OF_HASHES.contains(&word) {
            return Some(Named::Public);
        }
        if OF_SECRETS.contains(&word) {
            return Some(Named::Secret);
        }
        is_thing |= OF_THINGS.contains(&word);
        is_id |= OF_IDS.contains(&word);
        if says_key(word) && is_near && !is_thing && !(is_id && word.starts_with("key")) {
            // Where it says nothing another word may say more.
            if let Some(named) = is_of_key(&words, n) {
                return Some(named);
            }
        }
    }
    named.or((is_thing || is_id).then_some(Named::Public))
}

fn says_key(word: &str) -> bool {
    OF_KEYS.contains(&word) || word.len() > 4 && ENDS.iter().any(|end| word.ends_with(end))
}

/// Judgement by a word that says key, in its place: the hash of a key is no key, and of a compromise something else is told.
fn is_of_key(words: &[String], at: usize) -> Option<Named> {
    let is_told = at
        .checked_sub(1)
        .and_then(|behind| words.get(behind))
        .is_some_and(|behind| behind.starts_with("compromise"));
    if is_told {
        return None;
    }
    let mut ahead = words.iter().skip(at + 1).map(String::as_str).peekable();
    while ahead
        .next_if(|word| matches!(*word, "the" | "its" | "a" | "this" | "that" | "our" | "public"))
        .is_some()
    {}
    let is_of = ahead
        .next_if(|word| matches!(*word, "of" | "for" | "over"))
        .is_some();
    let is_hash = ahead
        .next()
        .is_some_and(|word| OF_HASHES.contains(&word) || matches!(word, "hash" | "digest" | "id"));
    Some(if is_of && is_hash {
        Named::Public
    } else {
        Named::Secret
    })
}

fn is_within_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The line that a value stands on, as far as it; the one before where the value begins its own.
fn line(before: &str) -> &str {
    let cut = before.len().saturating_sub(LINE);
    let from = (cut..=before.len()).find(|at| before.is_char_boundary(*at));
    let near = from.and_then(|from| before.get(from..)).unwrap_or_default();
    let near = near.trim_end();
    near.rsplit('\n').next().unwrap_or_default()
}

/// The words of a label in lower case, the nearest first, names taken apart. A value ends them.
fn words(label: &str) -> Vec<String> {
    let tokens = label
        .rsplit(|c: char| !c.is_alphanumeric())
        .filter(|token| !token.is_empty());
    let tokens = tokens.take_while(|token| token.len() <= LONGEST);
    let parts = tokens.flat_map(|token| {
        let mut parts = harmless::parts(token);
        parts.reverse();
        parts
    });
    parts
        .filter(|part| !part.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_lowercase)
        .take(FAR)
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::samples::bytes;
    use super::super::{Material, material_in, material_so_far};

    /// Labels of secrets, as files, programs and people write them.
    const SECRET: &[&str] = &[
        "PrivateKey = ",
        "PresharedKey = ",
        "PublicKey = ",
        "secret: ",
        "Unseal Key 1: ",
        "export AES_KEY=",
        "Shared secret ",
        "master key (base64): ",
        "certificate private key ",
        "certificate private key: ",
        "the private key of the certificate is ",
        "hash key = ",
        "shipping_secret=",
        "cert key: ",
        "pinned key: ",
        "\"private_key\": \"",
        "{\"keys_base64\": [\"",
        "psk ",
        "wpa_psk=",
        "password: ",
        "api token = ",
        "apikey=",
        "seed: ",
        "unseal share 2 is ",
        "Schlüssel: ",
        "private key:\n    ",
        "the key is ",
    ];

    /// Labels of what is public.
    const PUBLIC: &[&str] = &[
        "",
        "find ",
        "sha256:",
        "SHA256:",
        "SHA256 Fingerprint=",
        "key fingerprint SHA256:",
        "key fingerprint ",
        "private key fingerprint: ",
        "spki ",
        "spki:",
        "spki_sha256=",
        "public key pin sha256: ",
        "fingerprint of the key ",
        "the SHA-256 of its public key: ",
        "certificate ",
        "the key of certificate ",
        "keyCompromise, certificate ",
        "key compromise ",
    ];

    fn pairs(bytes: &[u8]) -> String {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(":")
    }

    #[test]
    fn what_says_that_it_is_a_key_is_none_of_the_hashes() {
        for seed in 0..3 {
            let secret = bytes(seed, 32);
            for label in SECRET {
                for value in [
                    STANDARD.encode(&secret),
                    hex::encode(&secret),
                    hex::encode_upper(&secret),
                    hex::encode(&secret[..16]),
                    pairs(&secret),
                    pairs(&secret[..16]),
                ] {
                    for text in [format!("{label}{value}"), format!("find {label}{value}\n")] {
                        assert_eq!(material_in(&text), Some(Material::Piece), "{text}");
                    }
                    let text = format!("{label}{value}");
                    let is_wiped = text
                        .char_indices()
                        .any(|(at, _)| material_so_far(&text[..at]).is_some());
                    assert!(is_wiped || material_so_far(&text).is_some(), "{text}");
                }
            }
            let text = format!("private-key {}", pairs(&secret));
            assert_eq!(material_in(&text), Some(Material::Piece), "{text}");
        }
    }

    #[test]
    fn what_says_that_it_is_a_hash_is_one() {
        for seed in 0..3 {
            let hash = bytes(seed, 32);
            for label in PUBLIC {
                for value in [hex::encode(&hash), pairs(&hash)] {
                    let text = format!("{label}{value}");
                    assert_eq!(material_in(&text), None, "{text}");
                    for (at, _) in text.char_indices() {
                        assert_eq!(material_so_far(&text[..at]), None, "{}", &text[..at]);
                    }
                }
            }
            let filter = format!("status:valid key:{} issuer:x", hex::encode(&hash));
            for text in [
                filter,
                format!("key:{}", hex::encode(&hash)),
                format!("/api/v1/keys/{}", hex::encode(&hash)),
                format!("find {}", STANDARD.encode(&hash)),
                format!("key pin sha256/{}", STANDARD.encode(&hash)),
                format!("X509v3 Subject Key Identifier: \n    {}", pairs(&hash[..20])),
            ] {
                assert_eq!(material_in(&text), None, "{text}");
            }
        }
        for text in [
            "key compromise, ticket OPS-12, see key_01KBCD9XQ2Y7Z8W3V4T5S6R7N8 and crt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8",
            "keyCompromise: the key of crt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8 leaked, serial 00:f4:2a:00:11:22:33:44:55:66:77:88",
            "the private key leaked on web-01, commit 4f2a00112233",
        ] {
            assert_eq!(material_in(text), None, "{text}");
        }
    }
}
