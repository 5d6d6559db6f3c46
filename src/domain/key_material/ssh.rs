//! Keys as OpenSSH and PuTTY keep them: their public half stands in clear beside the private one, encrypted or
//! not.

use super::der::{Public, spki_of_public};
use crate::domain::wrapping::from_base64;

const OPENSSH: &[u8] = b"openssh-key-v1\0";

/// Whether it is a key as OpenSSH keeps it.
pub(super) fn is_private(bytes: &[u8]) -> bool {
    bytes.starts_with(OPENSSH)
}

/// Whether it is a public key as SSH sends it.
pub(super) fn is_public(bytes: &[u8]) -> bool {
    string(bytes).is_some_and(|(kind, _)| kind.starts_with(b"ssh-") || kind.starts_with(b"ecdsa-sha2-"))
}

/// A string with its length before it (RFC 4251 §5), and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    rest.split_at_checked(length)
}

/// SHA-256 over the SubjectPublicKeyInfo of a key as OpenSSH keeps it.
pub(super) fn spki_of(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes.strip_prefix(OPENSSH)?;
    // Cipher, how its key is made, and its options.
    for _ in 0..3 {
        (_, rest) = string(rest)?;
    }
    let (public, _) = string(rest.get(4..)?)?;
    spki_of_wire(public)
}

/// Public half's hash of a key as PuTTY keeps it.
pub(super) fn spki_of_ppk(text: &str) -> Option<String> {
    let (_, lines) = text.split_once("Public-Lines: ")?;
    let mut lines = lines.lines();
    let n: usize = lines.next()?.trim().parse().ok()?;
    let public: String = lines.take(n.min(64)).collect();
    spki_of_wire(&from_base64(&public)?)
}

fn spki_of_wire(public: &[u8]) -> Option<String> {
    let (kind, rest) = string(public)?;
    match kind {
        b"ssh-rsa" => {
            let (exponent, rest) = string(rest)?;
            let (modulus, _) = string(rest)?;
            spki_of_public(&Public::Rsa(modulus, exponent))
        }
        b"ssh-ed25519" => spki_of_public(&Public::Ed25519(string(rest)?.0)),
        _ => {
            let (curve, rest) = string(rest)?;
            let (point, _) = string(rest)?;
            spki_of_public(&Public::Ec(std::str::from_utf8(curve).ok()?, point))
        }
    }
}
