//! The CA of the agents: it signs the certificate by which an agent proves over TLS that it is itself, and
//! says which such certificates are trusted. Which of them counts is in the store; the certificates that the
//! platform is about come from elsewhere.
//!
//! A certificate's serial is made from its key. So the same request signed twice, by whichever server, has
//! one serial, and an answer that was lost or came late changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::pem_file::{self, PemRefusal};
use crate::domain::agent::AgentIdentity;
use crate::domain::csr::Csr;
use crate::domain::secret::Secret;
use crate::domain::x509;
use crate::problem::Problem;
use crate::services::certify::certify;

/// How long an identity is good. An agent renews it when half of that is over, so that it may be off for two
/// weeks and longer without a person having to enrol it again.
const GOOD_FOR: Duration = Duration::days(30);
/// Before so much of it is left, there is no other one: well before agents ask, whose clocks differ.
const RENEWED_FROM: Duration = Duration::days(20);
/// Servers' clocks differ: what one signs now, the other must not find in the future.
const BACKDATED: Duration = Duration::minutes(10);
/// The bytes of a serial; at most 20 (RFC 5280 §4.1.2.2).
const SERIAL_BYTES: usize = 16;

/// Why there is no such CA.
#[derive(Debug, thiserror::Error)]
pub enum IdentityCaError {
    /// Its certificates can't be used.
    #[error("`{path}`: {why}", path = path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Its key can't be used.
    #[error("the key of the CA for agents can't be used: {0}")]
    Key(&'static str),
    /// Its key can't be read.
    #[error("the key of the CA for agents {0}")]
    KeyText(PemRefusal),
}

/// See the module.
pub struct IdentityCa {
    issuer: Issuer<'static, KeyPair>,
    trust: Arc<dyn ClientCertVerifier>,
    ends: DateTime<Utc>,
}

/// A certificate for an agent.
pub(super) struct Signed {
    /// It, in PEM.
    pub(super) pem: String,
    /// What the store keeps of it.
    pub(super) identity: AgentIdentity,
}

impl IdentityCa {
    /// Reads the CA's certificate; further ones in the file are trusted beside it, which is how a CA is
    /// followed by another one. `key` is that of the first, in PEM.
    ///
    /// # Errors
    /// They can't be used, or don't belong together.
    pub fn load(certificates: &Path, key: &Secret) -> Result<Self, IdentityCaError> {
        let wrong = |why: String| IdentityCaError::Certificates {
            path: certificates.to_owned(),
            why,
        };
        let found = pem_file::certificates(certificates).map_err(|refusal| wrong(refusal.to_string()))?;
        let chain: Vec<CertificateDer<'static>> = found.into_iter().map(CertificateDer::from).collect();
        let Some(first) = chain.first() else {
            return Err(wrong("holds no certificate in PEM".to_owned()));
        };
        let key = match pem_file::private_key_of(key.expose().as_bytes()) {
            Ok(pem) => {
                KeyPair::from_pem(&pem).map_err(|_| IdentityCaError::Key("it is no private key in PEM"))?
            }
            Err(PemRefusal::NoKey) => return Err(IdentityCaError::Key("it is no private key in PEM")),
            Err(refusal) => return Err(IdentityCaError::KeyText(refusal)),
        };
        let (_, parsed) = X509Certificate::from_der(first)
            .map_err(|error| wrong(format!("holds no certificate: {error}")))?;
        if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err(IdentityCaError::Key(
                "it is not that of the first certificate in `agent_ca_cert`",
            ));
        }
        if !parsed.is_ca() {
            return Err(wrong("its first certificate is not that of a CA".to_owned()));
        }
        let ends = DateTime::from_timestamp(parsed.validity().not_after.timestamp(), 0)
            .ok_or_else(|| wrong("its end is out of range".to_owned()))?;
        let issuer =
            Issuer::from_ca_cert_der(first, key).map_err(|error| wrong(format!("can't sign: {error}")))?;
        let mut roots = RootCertStore::empty();
        for certificate in chain {
            roots
                .add(certificate)
                .map_err(|error| wrong(format!("can't be trusted: {error}")))?;
        }
        let provider = Arc::new(provider::default_provider());
        let trust = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| wrong(format!("can't be trusted: {error}")))?;
        Ok(Self { issuer, trust, ends })
    }

    /// Its last moment: from then on it certifies nobody.
    #[must_use]
    pub fn ends(&self) -> DateTime<Utc> {
        self.ends
    }

    /// Whom the TLS layer trusts to be an agent.
    #[must_use]
    pub fn trust(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.trust)
    }

    /// Signs for the key in a CSR; whatever else the CSR says is not taken from it.
    pub(super) fn sign(&self, agent_id: &str, csr: &Csr, now: DateTime<Utc>) -> Result<Signed, Problem> {
        if now >= self.ends {
            return Err(Problem::unavailable(format!(
                "the platform's CA for agents ended at {}, so that no agent can be certified",
                self.ends.format("%F %TZ")
            ))
            .hint("give the servers another one: docs/server.md, “Agents prove themselves”"));
        }
        let failed = |error: rcgen::Error| Problem::internal(format!("no identity could be signed: {error}"));
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, agent_id);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = std::time::SystemTime::from(now - BACKDATED).into();
        params.not_after = std::time::SystemTime::from((now + GOOD_FOR).min(self.ends)).into();
        params.serial_number = Some(SerialNumber::from(serial(&csr.key.spki_sha256())));
        let pem = certify(&params, &csr.key, &self.issuer).map_err(failed)?.pem();
        let facts =
            x509::read(&pem).map_err(|error| Problem::internal(format!("the identity is {error}")))?;
        Ok(Signed {
            identity: AgentIdentity {
                serial: facts.serial,
                not_after: facts.not_after,
            },
            pem,
        })
    }
}

impl std::fmt::Debug for IdentityCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityCa")
    }
}

/// Whether an identity is too young to be followed by another one.
pub(super) fn too_early(identity: &AgentIdentity, now: DateTime<Utc>) -> bool {
    identity.not_after - now > RENEWED_FROM
}

/// A positive number (RFC 5280 §4.1.2.2) out of a key's hash.
fn serial(spki_sha256: &str) -> Vec<u8> {
    let mut bytes = hex::decode(spki_sha256).unwrap_or_default();
    bytes.truncate(SERIAL_BYTES);
    if let Some(first) = bytes.first_mut() {
        // Neither negative nor with zeros in front, so that it is written in one way only.
        *first = (*first & 0x7f) | 0x40;
    }
    bytes
}
