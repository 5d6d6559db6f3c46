//! Keys as JSON has them (RFC 7517): a private one has a `d`, a shared one a `k`.

use serde_json::Value;

use super::der::{Public, spki_of_public};
use crate::domain::wrapping::from_base64;

/// Whether it holds the private half of a key, be the JSON whole or not.
pub(super) fn is_private(text: &str) -> bool {
    let has = |name: &str| {
        let quoted = format!("\"{name}\"");
        text.match_indices(&quoted).any(|(at, _)| {
            let behind = text[at + quoted.len()..].trim_start();
            let value = behind.strip_prefix(':').map(str::trim_start);
            value.is_some_and(|value| value.starts_with('"') && value.len() > 16)
        })
    };
    has("kty") && (has("d") || has("k")) || (has("d") && has("n") && has("e")) || (has("d") && has("crv"))
}

/// SHA-256 over the SubjectPublicKeyInfo of the first private key in it.
pub(super) fn spki_of(text: &str) -> Option<String> {
    let begins = text.find('{')?;
    let ends = text.rfind('}')?;
    let json: Value = serde_json::from_str(text.get(begins..=ends)?).ok()?;
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
