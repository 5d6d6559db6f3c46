//! A clue: whatever somebody has in hand of a certificate — a serial in any notation, a fingerprint, a pin, a
//! name, an address, the certificate itself — read in every way that it can be meant. It looks for nothing
//! itself.

mod address;
mod number;
mod text;

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::prelude::{FromDer, X509Certificate, X509CertificationRequest};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::wrapping::{Inner, unwrapped};

/// What one reading of a clue is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clue {
    /// A serial, as lower-case hex pairs with colons.
    Serial(String),
    /// A SHA-256, of a certificate or of a key: lower-case hex.
    Sha256(String),
    /// A SHA-1 of a certificate: lower-case hex.
    Sha1(String),
    /// A certificate, a request or a public key itself: the SHA-256 of its SubjectPublicKeyInfo, by which it is
    /// known whatever else carries its key.
    Key(String),
    /// Several certificates: their SHA-256.
    Several(Vec<String>),
    /// Where something is served, `host:port`.
    Address(String),
    /// A name, or a part of one.
    Name(String),
}

/// One way to read a clue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it was read as, with its article.
    pub words: String,
    /// What it is about then.
    pub clue: Clue,
}

/// The longest filter that is asked for (`wire::filter`), and what is kept of each hash in one with several.
const LONGEST: usize = 200;
const SHORT: usize = 16;

impl Reading {
    fn new(words: impl Into<String>, clue: Clue) -> Self {
        Self {
            words: words.into(),
            clue,
        }
    }
}

/// Every way to read it, the most likely first; none where there is nothing to look for.
#[must_use]
pub fn readings(clue: &str) -> Vec<Reading> {
    let whole = things_in(clue);
    if !whole.is_empty() {
        return whole;
    }
    let said = text::without_label(clue);
    let mut found = Vec::new();
    let mut add = |words: &str, clue: Option<Clue>| {
        if let Some(clue) = clue {
            let reading = Reading::new(words, clue);
            if !found.contains(&reading) {
                found.push(reading);
            }
        }
    };
    let (value, label) = (said.value.as_str(), said.label);
    if value.is_empty() {
        return found;
    }
    let serial = number::serial(value);
    let decimal = number::decimal_serial(value);
    if label == text::Label::Serial {
        // openssl writes short ones in both: `4660 (0x1234)`.
        let in_hex = value
            .split_once("(0x")
            .and_then(|(_, hex)| number::serial(hex.trim_end_matches(')')));
        add("a serial", in_hex.map(Clue::Serial));
        add("a serial in hex", serial.clone().map(Clue::Serial));
        add("a decimal serial", decimal.clone().map(Clue::Serial));
    }
    if label == text::Label::Name {
        for (words, name) in text::names(value) {
            add(&words, Some(Clue::Name(name)));
        }
        return found;
    }
    // `sha256//…` has a slash for itself, and a pin may begin with one.
    let in_base64 = |octets| {
        let whole = number::base64_hash(value, octets);
        whole.or_else(|| number::base64_hash(value.trim_start_matches('/'), octets))
    };
    // Hashes are never written with `0x`.
    let is_number = value.starts_with("0x") || value.starts_with("0X");
    let sha1 = number::hash(value, 20).filter(|_| !is_number);
    add("a SHA-256", number::hash(value, 32).map(Clue::Sha256));
    add("a SHA-256 in base64", in_base64(32).map(Clue::Sha256));
    add("a SHA-1 thumbprint", sha1.clone().map(Clue::Sha1));
    add("a SHA-1 thumbprint in base64", in_base64(20).map(Clue::Sha1));
    let is_hash = number::hash(value, 32)
        .or(sha1.clone())
        .or_else(|| in_base64(32))
        .or_else(|| in_base64(20))
        .is_some();
    let looks_so = number::is_written_as_serial(value);
    if !is_hash || sha1.is_some() {
        add("a serial", serial.clone().filter(|_| looks_so).map(Clue::Serial));
        add("a decimal serial", decimal.map(Clue::Serial));
    }
    let address = address::of(value);
    add("an address", address.clone().map(Clue::Address));
    if is_hash || (looks_so && address.is_none() && value.contains(':')) {
        return found;
    }
    // What can't be asked at its address may still be on record there, or be known by its host.
    add("an address on record", address.clone().map(Clue::Name));
    let host = address.as_deref().and_then(address::host_of);
    for (words, name) in text::names(host.as_deref().unwrap_or(value)) {
        add(&words, Some(Clue::Name(name)));
    }
    if host.is_none() && value.len() >= 4 {
        add("a part of a serial", serial.map(Clue::Serial));
    }
    found
}

/// The certificates, requests and public keys in it, in whatever wrapping.
fn things_in(clue: &str) -> Vec<Reading> {
    let mut certificates = Vec::new();
    let mut keys = Vec::new();
    let mut broken = Vec::new();
    for inner in unwrapped(clue) {
        let (label, bytes) = match &inner {
            Inner::Text(_) => continue,
            Inner::Block(label, bytes) => (label.as_str(), bytes),
            Inner::Bytes(bytes) => ("", bytes),
        };
        if let Ok((rest, certificate)) = X509Certificate::from_der(bytes) {
            // `TRUSTED CERTIFICATE` has more behind it.
            let der = &bytes[..bytes.len() - rest.len()];
            let of = (sha256(der), sha256(certificate.public_key().raw));
            if !certificates.contains(&of) {
                certificates.push(of);
            }
        } else if let Ok((_, request)) = X509CertificationRequest::from_der(bytes) {
            keys.push((
                "a request",
                sha256(request.certification_request_info.subject_pki.raw),
            ));
        } else if let Ok((_, key)) = SubjectPublicKeyInfo::from_der(bytes) {
            keys.push(("a public key", sha256(key.raw)));
        } else if label.ends_with("CERTIFICATE") {
            broken.push(sha256(bytes));
        }
    }
    match certificates.as_slice() {
        [(_, spki)] => vec![Reading::new("a certificate", Clue::Key(spki.clone()))],
        [] => {
            let keys = keys
                .into_iter()
                .map(|(words, spki)| Reading::new(words, Clue::Key(spki)));
            let broken = broken.into_iter().map(|hash| {
                Reading::new(
                    "a certificate that can't be read, by its SHA-256",
                    Clue::Sha256(hash),
                )
            });
            keys.chain(broken).collect()
        }
        several => {
            let words = format!("{} certificates", several.len());
            let hashes = several
                .iter()
                .map(|(fingerprint, _)| fingerprint.clone())
                .collect();
            vec![Reading::new(words, Clue::Several(hashes))]
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

impl Clue {
    /// What a list of certificates is filtered by for it, and how many things that leaves out.
    #[must_use]
    pub fn filter(&self) -> (String, usize) {
        match self {
            Self::Serial(text) | Self::Sha256(text) | Self::Sha1(text) | Self::Key(text) => (text.clone(), 0),
            Self::Several(hashes) => {
                let most = LONGEST / (SHORT + 1);
                let short = hashes.iter().take(most).filter_map(|hash| hash.get(..SHORT));
                (
                    short.collect::<Vec<_>>().join("|"),
                    hashes.len().saturating_sub(most),
                )
            }
            // A space would be another word.
            Self::Name(name) => (name.chars().take(LONGEST).collect(), 0),
            Self::Address(address) => (address::host_of(address).unwrap_or_else(|| address.clone()), 0),
        }
    }
}

#[cfg(test)]
mod tests;
