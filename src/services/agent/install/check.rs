//! Key, certificate and chain checked against each other before anything is written.
//!
//! It trusts nothing that came with the job: fingerprint and key hash are computed again.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, TimeDelta, Utc};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::generations::Set;
use crate::config::agent::Layout;
use crate::domain::chain;
use crate::domain::told::quoted;
use crate::services::agent::keys::HeldKey;

/// How far this host's clock may be behind the CA's.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);
/// More certificates than any real chain has.
const MAX_CHAIN: usize = 10;

/// A set that fits together.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) set: Set,
    /// What a client asks for to be shown this certificate.
    pub(super) server_name: Option<String>,
}

/// Why a set does not fit together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum CheckRefusal {
    #[error("{what} is not PEM: {why}")]
    NotPem { what: &'static str, why: String },
    #[error("{what} holds {n} certificates, {expected} expected")]
    Count {
        what: &'static str,
        n: usize,
        expected: &'static str,
    },
    #[error("{what} is not a certificate: {why}")]
    NotACertificate { what: String, why: String },
    #[error("the certificate's fingerprint is `{found}`, the job says `{expected}`")]
    Fingerprint { found: String, expected: String },
    #[error("the certificate is for the key `{found}`, the job says `{expected}`")]
    OtherKey { found: String, expected: String },
    #[error("{what} ({}) expired at {at}", quoted(.subject))]
    Expired {
        what: String,
        subject: String,
        at: DateTime<Utc>,
    },
    #[error("{what} ({}) is not valid before {at}; check this host's clock, which says {now}", quoted(.subject))]
    NotYetValid {
        what: String,
        subject: String,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    },
    #[error("{} is issued by {}, but the next certificate of the chain is {}", quoted(.subject), quoted(.issuer), quoted(.next))]
    Order {
        subject: String,
        issuer: String,
        next: String,
    },
    #[error("the chain does not verify: {0}")]
    Chain(String),
}

/// Checks the parts that a job brought against the key that this agent holds.
pub(super) fn check(
    certificate_pem: &str,
    chain_pem: &str,
    fingerprint_sha256: &str,
    key: &HeldKey,
    layout: Layout,
    now: DateTime<Utc>,
) -> Result<Checked, CheckRefusal> {
    let mut leaf = certificates("the certificate", certificate_pem)?;
    let n = leaf.len();
    let (Some(leaf_der), 1) = (leaf.pop(), n) else {
        return Err(CheckRefusal::Count {
            what: "the certificate",
            n,
            expected: "exactly one",
        });
    };
    let chain = certificates("the chain", chain_pem)?;
    if chain.is_empty() || chain.len() > MAX_CHAIN {
        return Err(CheckRefusal::Count {
            what: "the chain",
            n: chain.len(),
            expected: "the issuer and at most nine more",
        });
    }
    let found = hex::encode(digest(&SHA256, &leaf_der));
    if !found.eq_ignore_ascii_case(fingerprint_sha256) {
        return Err(CheckRefusal::Fingerprint {
            found,
            expected: fingerprint_sha256.to_owned(),
        });
    }
    let parsed = parse("the certificate", &leaf_der)?;
    let found = hex::encode(digest(&SHA256, parsed.public_key().raw));
    if found != key.spki_sha256 {
        return Err(CheckRefusal::OtherKey {
            found,
            expected: key.spki_sha256.clone(),
        });
    }
    walk(&parsed, &chain, now)?;
    verify(
        &leaf_der,
        &chain,
        now.max(moment(parsed.validity().not_before.timestamp())),
    )?;
    Ok(Checked {
        server_name: server_name(&parsed),
        set: laid_out(layout, &leaf_der, &chain, key),
    })
}

/// The files as servers read them: with what they have to send in the one that they are told of.
fn laid_out(layout: Layout, leaf: &[u8], chain: &[Vec<u8>], key: &HeldKey) -> Set {
    let mut sent = vec![leaf.to_vec()];
    if layout.has_chain() {
        sent.extend(chain::to_send(chain));
    }
    let mut certificate = encode(&sent);
    if layout == Layout::Combined {
        // With room for the key, so that no copy of it stays behind when the text grows.
        certificate.reserve_exact(key.pem().len());
        certificate.extend_from_slice(key.pem().as_bytes());
        return Set {
            certificate: Some(Zeroizing::new(certificate)),
            ..Set::default()
        };
    }
    Set {
        certificate: Some(Zeroizing::new(certificate)),
        key: Some(Zeroizing::new(key.pem().as_bytes().to_vec())),
        chain: Some(encode(chain)),
    }
}

/// The name to ask for in a handshake, from the certificate in a file.
pub(in crate::services::agent) fn server_name_in(der: &[u8]) -> Option<String> {
    X509Certificate::from_der(der)
        .ok()
        .and_then(|(_, certificate)| server_name(&certificate))
}

/// The certificates of a PEM text, of which there is at least one, and the first one's fingerprint.
pub(in crate::services::agent) fn certificates_in(pem: &[u8]) -> Result<(Vec<Vec<u8>>, String), String> {
    let text = std::str::from_utf8(pem).map_err(|_| "the file is not text".to_owned())?;
    let found = certificates("the file", text).map_err(|error| error.to_string())?;
    let first = found.first().ok_or("the file holds no certificate")?;
    parse("the file", first).map_err(|error| error.to_string())?;
    let fingerprint = hex::encode(digest(&SHA256, first));
    Ok((found, fingerprint))
}

fn certificates(what: &'static str, text: &str) -> Result<Vec<Vec<u8>>, CheckRefusal> {
    let blocks = pem::parse_many(text).map_err(|error| CheckRefusal::NotPem {
        what,
        why: error.to_string(),
    })?;
    Ok(blocks
        .into_iter()
        .filter(|block| block.tag() == "CERTIFICATE")
        .map(pem::Pem::into_contents)
        .collect())
}

fn parse<'a>(what: &str, der: &'a [u8]) -> Result<X509Certificate<'a>, CheckRefusal> {
    let refused = |why: String| CheckRefusal::NotACertificate {
        what: what.to_owned(),
        why,
    };
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| refused(error.to_string()))?;
    if !rest.is_empty() {
        return Err(refused("bytes follow it".to_owned()));
    }
    Ok(certificate)
}

/// Dates and order of the whole chain, for which the verifier below has poorer words.
fn walk(leaf: &X509Certificate<'_>, chain: &[Vec<u8>], now: DateTime<Utc>) -> Result<(), CheckRefusal> {
    dates("the certificate", leaf, now)?;
    let mut issuer = leaf.issuer().as_raw().to_vec();
    let mut words = (leaf.subject().to_string(), leaf.issuer().to_string());
    for (index, der) in chain.iter().enumerate() {
        let what = format!("number {} of the chain", index + 1);
        let next = parse(&what, der)?;
        dates(&what, &next, now)?;
        if next.subject().as_raw() != issuer {
            return Err(CheckRefusal::Order {
                subject: words.0,
                issuer: words.1,
                next: next.subject().to_string(),
            });
        }
        issuer = next.issuer().as_raw().to_vec();
        words = (next.subject().to_string(), next.issuer().to_string());
    }
    Ok(())
}

fn dates(what: &str, certificate: &X509Certificate<'_>, now: DateTime<Utc>) -> Result<(), CheckRefusal> {
    let validity = certificate.validity();
    let (from, until) = (
        moment(validity.not_before.timestamp()),
        moment(validity.not_after.timestamp()),
    );
    let subject = || certificate.subject().to_string();
    if until <= now {
        return Err(CheckRefusal::Expired {
            what: what.to_owned(),
            subject: subject(),
            at: until,
        });
    }
    if from > now + CLOCK_SKEW {
        return Err(CheckRefusal::NotYetValid {
            what: what.to_owned(),
            subject: subject(),
            at: from,
            now,
        });
    }
    Ok(())
}

/// Every signature from the certificate up to the last of the chain, which is taken as the anchor:
/// whether that CA is trusted is for its clients to say.
fn verify(leaf: &[u8], chain: &[Vec<u8>], at: DateTime<Utc>) -> Result<(), CheckRefusal> {
    let refused = |error: rustls::Error| CheckRefusal::Chain(words(&error));
    let certificates: Vec<CertificateDer<'_>> = chain.iter().map(|der| der.as_slice().into()).collect();
    let (anchor, between) = certificates
        .split_last()
        .ok_or_else(|| CheckRefusal::Chain("it is empty".to_owned()))?;
    let mut roots = RootCertStore::empty();
    roots.add(anchor.clone().into_owned()).map_err(refused)?;
    let leaf = CertificateDer::from(leaf);
    let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let provider = Arc::new(provider::default_provider());
    let parsed = ParsedCertificate::try_from(&leaf).map_err(refused)?;
    let algorithms = provider.signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&parsed, &roots, between, at, algorithms) {
        // A certificate for clients alone is as good a thing to install.
        Err(error) if is_about_purpose(&error) => {
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| CheckRefusal::Chain(error.to_string()))?
                .verify_client_cert(&leaf, between, at)
                .map(drop)
                .map_err(refused)
        }
        other => other.map_err(refused),
    }
}

fn is_about_purpose(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. }
        )
    )
}

fn words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
            "a signature does not match its issuer's key".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "a certificate is not signed by the next one of the chain".to_owned()
        }
        other => other.to_string(),
    }
}

/// The first DNS name: what a client asks for. Without one the handshake asks for the address.
fn server_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let sans = certificate.subject_alternative_name().ok().flatten();
    let names = sans.iter().flat_map(|sans| &sans.value.general_names);
    crate::domain::server_name::server_name(names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    }))
}

fn encode(certificates: &[Vec<u8>]) -> Vec<u8> {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    certificates
        .iter()
        .map(|der| pem::encode_config(&pem::Pem::new("CERTIFICATE", der.clone()), config))
        .collect::<String>()
        .into_bytes()
}

fn moment(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}
