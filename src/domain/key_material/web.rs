//! Keys as JSON has them (RFC 7517): a private one has a `d`, a shared one a `k`.

use serde_json::Value;

use super::der::{Public, spki_of_public};
use crate::domain::wrapping::from_base64;

/// A `d` of 32 bytes has 43 letters; a shorter value may be anything.
const SHORTEST_ALONE: usize = 40;

/// True if `text` holds the private half of a key, be the JSON whole or not, in whatever quotes.
pub(super) fn is_private(text: &str) -> bool {
    // The longest value of a member, and none where it has no value.
    let longest = |name: &str| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/');
        let values = text.match_indices(name).filter_map(|(at, _)| {
            let before = text.get(..at)?.chars().next_back();
            let behind = text
                .get(at + name.len()..)?
                .trim_start_matches(['"', '\''])
                .trim_start();
            let value = behind.strip_prefix([':', '='])?.trim_start();
            let value = value.trim_start_matches(['"', '\'']);
            let n = value.chars().take_while(|c| is_name(*c)).count();
            (!before.is_some_and(is_name)).then_some(n)
        });
        values.max()
    };
    let has = |name| longest(name).is_some();
    let has_half = |name| longest(name).is_some_and(|n| n > 16);
    let is_alone = ["d", "k", "p", "q", "dp", "dq", "qi"]
        .iter()
        .any(|name| longest(name).is_some_and(|n| n >= SHORTEST_ALONE));
    is_alone
        || has("kty") && (has_half("d") || has_half("k"))
        || has_half("d") && (has("n") && has("e") || has("crv"))
}

/// SHA-256 over the SubjectPublicKeyInfo of the first private key in it.
pub(super) fn spki_of(text: &str) -> Option<String> {
    let begins = text.find('{')?;
    let ends = text.rfind('}')?;
    let whole = text.get(begins..=ends)?;
    let json: Value = serde_json::from_str(whole)
        .or_else(|_| serde_json::from_str(&whole.replace('\'', "\"")))
        .ok()?;
    let keys = json.get("keys").and_then(Value::as_array);
    let mut keys: Box<dyn Iterator<Item = &Value>> = match keys {
        Some(keys) => Box::new(keys.iter()),
        None => Box::new(std::iter::once(&json)),
    };
    let key = keys.find(|key| key.get("d").is_some())?;
    let octets = |name: &str| from_base64(key.get(name)?.as_str()?);
    match (key.get("kty")?.as_str()?, key.get("crv").and_then(Value::as_str)) {
        ("RSA", _) => spki_of_public(&Public::Rsa(&octets("n")?, &octets("e")?)),
        ("EC", Some(curve)) => {
            let curve = format!("nistp{}", curve.strip_prefix("P-")?);
            let point = [&[4], octets("x")?.as_slice(), octets("y")?.as_slice()].concat();
            spki_of_public(&Public::Ec(&curve, &point))
        }
        ("OKP", Some("Ed25519")) => spki_of_public(&Public::Ed25519(&octets("x")?)),
        _ => None,
    }
}
