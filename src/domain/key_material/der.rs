//! DER as far as key material is told from the rest: the outer elements of a structure, which may be cut off, and
//! a SubjectPublicKeyInfo made from its parts.

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// 1.2.840.113549.1.5 and .12.1: encryption by a password (PKCS#5, PKCS#12).
const BY_PASSWORD: [&[u8]; 2] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01],
];
/// 1.2.840.113549.1.7: what PKCS#7 and PKCS#12 hold.
const CONTENT: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];

/// The tag and content of an element, and what follows it. What is cut off is there as far as it is.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let n = usize::from(first - 0x80);
            let octets = rest.get(..n)?;
            let length = octets
                .iter()
                .fold(0, |sum: usize, octet| sum << 8 | usize::from(*octet));
            (length, &rest[n..])
        }
        _ => return None,
    };
    let end = length.min(rest.len());
    Some((tag, &rest[..end], &rest[end..]))
}

/// The elements of a sequence.
fn elements(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut elements = Vec::new();
    let Some((SEQUENCE, mut rest, _)) = element(bytes) else {
        return elements;
    };
    while let Some((tag, content, after)) = element(rest) {
        elements.push((tag, content));
        rest = after;
        if elements.len() > 12 {
            break;
        }
    }
    elements
}

/// The object identifier that a sequence begins with.
fn begins_with_oid(content: &[u8]) -> Option<&[u8]> {
    match element(content)? {
        (OID, oid, _) => Some(oid),
        _ => None,
    }
}

/// Whether it is a private key, be it encrypted or cut off: PKCS#8, SEC1, PKCS#1, DSA, PKCS#12.
pub(super) fn is_private(bytes: &[u8]) -> bool {
    match elements(bytes).as_slice() {
        // PKCS#8: version, algorithm, key.
        [(INTEGER, [0 | 1]), (SEQUENCE, algorithm), (OCTETS, _), ..] => begins_with_oid(algorithm).is_some(),
        // Such a key, cut off within the algorithm or right behind it.
        [(INTEGER, [0 | 1]), (SEQUENCE, algorithm)] => begins_with_oid(algorithm).is_some(),
        // SEC1: version, key.
        [(INTEGER, [1]), (OCTETS, _), ..] => true,
        // PKCS#1 and DSA: version, then numbers.
        [(INTEGER, [0 | 1]), (INTEGER, number), ..] => number.len() >= 32,
        // PKCS#12: version, content.
        [(INTEGER, [3]), (SEQUENCE, content), ..] => {
            begins_with_oid(content).is_some_and(|oid| oid.starts_with(CONTENT))
        }
        // Encrypted PKCS#8: how, what.
        [(SEQUENCE, how), ..] => {
            begins_with_oid(how).is_some_and(|oid| BY_PASSWORD.iter().any(|it| oid.starts_with(it)))
        }
        _ => false,
    }
}

/// Whether it begins as what may be shown does: a certificate, a request, a CRL, a public key, PKCS#7.
pub(super) fn is_public(bytes: &[u8]) -> bool {
    if is_private(bytes) {
        return false;
    }
    match elements(bytes).as_slice() {
        // A certificate, a request, a CRL, or a SubjectPublicKeyInfo.
        [(SEQUENCE, first), ..] => element(first).is_some(),
        // A public key as PKCS#1 has it: modulus, exponent.
        [(INTEGER, _), (INTEGER, exponent)] => exponent.len() <= 8,
        [(OID, oid), ..] => oid.starts_with(CONTENT),
        _ => false,
    }
}

/// Length of the outermost element with its header, in bytes, as the header says.
pub(super) fn whole_length(bytes: &[u8]) -> Option<usize> {
    let (_, first) = bytes.split_first()?;
    let (&first, rest) = first.split_first()?;
    match first {
        0..=0x7f => Some(2 + usize::from(first)),
        0x81..=0x84 => {
            let octets = rest.get(..usize::from(first - 0x80))?;
            let length = octets
                .iter()
                .fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet));
            length.checked_add(2 + octets.len())
        }
        _ => None,
    }
}

/// SHA-256 over the SubjectPublicKeyInfo of a private key.
pub(super) fn spki_of(bytes: &[u8]) -> Option<String> {
    let kinds: [PrivateKeyDer<'_>; 3] = [
        PrivatePkcs8KeyDer::from(bytes).into(),
        PrivateSec1KeyDer::from(bytes).into(),
        PrivatePkcs1KeyDer::from(bytes).into(),
    ];
    let key = kinds.iter().find_map(|kind| KeyPair::try_from(kind).ok())?;
    Some(sha256(&key.subject_public_key_info()))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// The kinds of keys that a SubjectPublicKeyInfo can be made of.
pub(super) enum Public<'a> {
    /// Modulus and exponent.
    Rsa(&'a [u8], &'a [u8]),
    /// A curve by its name as SSH has it, and a point.
    Ec(&'a str, &'a [u8]),
    /// Ed25519.
    Ed25519(&'a [u8]),
}

/// SHA-256 over its SubjectPublicKeyInfo.
pub(super) fn spki_of_public(key: &Public<'_>) -> Option<String> {
    const RSA: &[u8] = &[
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
    let (algorithm, key) = match key {
        Public::Rsa(modulus, exponent) => {
            let numbers = [number(modulus), number(exponent)].concat();
            (RSA.to_vec(), encoded(SEQUENCE, &numbers))
        }
        Public::Ec(curve, point) => {
            let curve: &[u8] = match *curve {
                "nistp256" => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
                "nistp384" => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
                "nistp521" => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
                _ => return None,
            };
            ([EC, curve].concat(), point.to_vec())
        }
        Public::Ed25519(key) if key.len() == 32 => (ED25519.to_vec(), key.to_vec()),
        Public::Ed25519(_) => return None,
    };
    let bits = [&[0], key.as_slice()].concat();
    let spki = [encoded(SEQUENCE, &algorithm), encoded(0x03, &bits)].concat();
    Some(sha256(&encoded(SEQUENCE, &spki)))
}

/// A number that isn't negative.
fn number(octets: &[u8]) -> Vec<u8> {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let octets = &octets[zeros.min(octets.len().saturating_sub(1))..];
    let sign: &[u8] = if octets.first().is_some_and(|first| *first >= 0x80) {
        &[0]
    } else {
        &[]
    };
    encoded(INTEGER, &[sign, octets].concat())
}

fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        bytes.push(short);
    } else {
        let octets = length.to_be_bytes();
        let octets = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
        bytes.push(0x80 | u8::try_from(octets.len()).unwrap_or(8));
        bytes.extend_from_slice(octets);
    }
    bytes.extend_from_slice(content);
    bytes
}
