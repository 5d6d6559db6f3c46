//! A clue: whatever somebody has in hand of a certificate — a serial in any notation, a fingerprint, a
//! key's hash, a name, an address, the certificate itself — read into what can be looked for. It looks
//! for nothing itself.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::normal_serial;

/// What a clue turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clue {
    /// A serial, as lower-case hex pairs with colons.
    Serial(String),
    /// A SHA-256, of a certificate or of a key: lower-case hex.
    Sha256(String),
    /// A certificate itself: the SHA-256 of its SubjectPublicKeyInfo, by which it is known whatever else
    /// carries its key.
    Key(String),
    /// Where something is served, `host:port`.
    Address(String),
    /// A name, or a part of one.
    Name(String),
}

impl Clue {
    /// Reads a clue; `None` where there is nothing to look for.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(der) = der_of_pem(text) {
            return Some(
                spki_of(&der).map_or_else(|| Self::Sha256(hex::encode(digest(&SHA256, &der))), Self::Key),
            );
        }
        // As openssl writes it: `SHA256 Fingerprint=AA:BB…`, `serial=4F2A…`.
        let (label, value) = text.split_once('=').unwrap_or(("", text));
        let value = value
            .trim()
            .trim_start_matches("sha256:")
            .trim_start_matches("SHA256:");
        if let Some(sha256) = hex_of(value, 64) {
            return Some(Self::Sha256(sha256));
        }
        let digits = value.chars().filter(char::is_ascii_hexdigit).count();
        let is_written_as_serial = value.contains(':') || value.starts_with("0x") || digits >= 16;
        if (is_written_as_serial || label.eq_ignore_ascii_case("serial"))
            && let Some(serial) = normal_serial(value)
        {
            return Some(Self::Serial(serial));
        }
        if let Some(address) = address_of(text) {
            return Some(Self::Address(address));
        }
        (!text.is_empty()).then(|| Self::Name(text.to_owned()))
    }

    /// What a list of certificates is filtered by for it.
    #[must_use]
    pub fn filter(&self) -> &str {
        match self {
            Self::Serial(text) | Self::Sha256(text) | Self::Key(text) | Self::Name(text) => text,
            Self::Address(address) => address.rsplit_once(':').map_or(address, |(host, _)| host),
        }
    }
}

/// Exactly `n` hex digits, whatever separates them.
fn hex_of(text: &str, n: usize) -> Option<String> {
    let mut digits = String::with_capacity(n);
    for c in text.chars() {
        match c {
            ':' | ' ' | '-' => {}
            c if c.is_ascii_hexdigit() && digits.len() < n => digits.push(c.to_ascii_lowercase()),
            _ => return None,
        }
    }
    (digits.len() == n).then_some(digits)
}

/// The first certificate in PEM, whose line breaks a terminal may have eaten.
fn der_of_pem(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok()
}

/// The SHA-256 over a certificate's SubjectPublicKeyInfo, lower-case hex.
fn spki_of(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(hex::encode(digest(&SHA256, certificate.public_key().raw)))
}

/// `host:port`, or the address that a URL leads to.
fn address_of(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix("https://") {
        let host = rest.split(['/', '?', '#']).next()?;
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if has_port { "" } else { ":443" };
        return (!host.is_empty()).then(|| format!("{host}{port}"));
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_host = !host.is_empty() && !host.contains(char::is_whitespace) && !host.contains('/');
    (is_host && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_notation_is_read() {
        let serial = || Some(Clue::Serial("4f:2a:00:11:22:33:44:55".to_owned()));
        for text in [
            "4f:2a:00:11:22:33:44:55",
            "4F2A001122334455",
            "0x4f2a001122334455",
            "serial=4F2A001122334455",
            " 4f 2a 00 11 22 33 44 55 ",
        ] {
            assert_eq!(Clue::read(text), serial(), "{text}");
        }
        let hash = "ab".repeat(32);
        let with_colons = vec!["AB"; 32].join(":");
        for text in [
            hash.clone(),
            with_colons.clone(),
            format!("SHA256 Fingerprint={with_colons}"),
            format!("sha256:{hash}"),
        ] {
            assert_eq!(Clue::read(&text), Some(Clue::Sha256(hash.clone())), "{text}");
        }
        for (text, address) in [
            ("web-01:443", "web-01:443"),
            ("10.0.0.1:8443", "10.0.0.1:8443"),
            ("https://shop.example.com/cart?x=1", "shop.example.com:443"),
            ("https://shop.example.com:8443", "shop.example.com:8443"),
        ] {
            assert_eq!(
                Clue::read(text),
                Some(Clue::Address(address.to_owned())),
                "{text}"
            );
        }
        for name in ["shop.example.com", "web-01", "cafe", "crt_0001", "a b"] {
            assert_eq!(Clue::read(name), Some(Clue::Name(name.to_owned())));
        }
        assert_eq!(Clue::read("  "), None);
    }

    #[test]
    fn a_certificate_is_known_by_its_key_with_or_without_its_lines() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()])
            .and_then(|params| params.self_signed(&key))
            .unwrap()
            .pem();
        let spki = hex::encode(digest(
            &SHA256,
            &rcgen::PublicKeyData::subject_public_key_info(&key),
        ));
        let expected = Some(Clue::Key(spki));
        let broken = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        let fingerprint = hex::encode(digest(&SHA256, &[1, 2, 3]));
        assert_eq!(Clue::read(broken), Some(Clue::Sha256(fingerprint)));
        assert_eq!(Clue::read(&pem), expected);
        assert_eq!(Clue::read(&pem.replace('\n', "")), expected);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,120}") {
            let _ = Clue::read(&text).map(|clue| clue.filter().len());
        }
    }
}
