//! The signature over a certificate or a revocation list, held against the key of the CA that it names. What can't be
//! verified here is told apart from what is forged, and proves as little.

use aws_lc_rs::signature::{
    ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    UnparsedPublicKey, VerificationAlgorithm,
};
use chrono::TimeDelta;
use x509_parser::asn1_rs::BitString;
use x509_parser::error::X509Error;
use x509_parser::oid_registry::{
    OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512,
};
use x509_parser::prelude::{CertificateRevocationList, X509Certificate};
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// Time that a signer's clock may be ahead of this one: a later date proves nothing yet.
pub const CLOCK_AHEAD: TimeDelta = TimeDelta::minutes(5);

/// Relation of a signature to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Made with that key.
    Verified,
    /// Made with another one, or not for this.
    Forged,
    /// Of a kind that can't be verified here.
    Unknown,
}

impl Signature {
    /// The one over a certificate.
    #[must_use]
    pub fn of_certificate(it: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>) -> Self {
        match it.verify_signature(Some(key)) {
            Ok(()) => Self::Verified,
            Err(X509Error::SignatureUnsupportedAlgorithm) => Self::other(
                &it.signature_algorithm,
                key,
                it.tbs_certificate.as_ref(),
                &it.signature_value,
            ),
            Err(_) => Self::Forged,
        }
    }

    /// The one over a revocation list.
    #[must_use]
    pub fn of_list(it: &CertificateRevocationList<'_>, key: &SubjectPublicKeyInfo<'_>) -> Self {
        match it.verify_signature(key) {
            Ok(()) => Self::Verified,
            Err(X509Error::SignatureUnsupportedAlgorithm) => Self::other(
                &it.signature_algorithm,
                key,
                it.tbs_cert_list.as_ref(),
                &it.signature_value,
            ),
            Err(_) => Self::Forged,
        }
    }

    /// Larger curves and hashes, which private CAs have and `x509-parser` leaves out.
    fn other(
        algorithm: &AlgorithmIdentifier<'_>,
        key: &SubjectPublicKeyInfo<'_>,
        message: &[u8],
        value: &BitString<'_>,
    ) -> Self {
        let curve = key.algorithm.parameters.as_ref().and_then(|it| it.as_oid().ok());
        let Some(curve) = curve else {
            return Self::Unknown;
        };
        let hash = &algorithm.algorithm;
        let with: &'static dyn VerificationAlgorithm = if curve == OID_NIST_EC_P521 {
            match hash {
                hash if *hash == OID_SIG_ECDSA_WITH_SHA256 => &ECDSA_P521_SHA256_ASN1,
                hash if *hash == OID_SIG_ECDSA_WITH_SHA384 => &ECDSA_P521_SHA384_ASN1,
                hash if *hash == OID_SIG_ECDSA_WITH_SHA512 => &ECDSA_P521_SHA512_ASN1,
                _ => return Self::Unknown,
            }
        } else if curve == OID_NIST_EC_P384 && *hash == OID_SIG_ECDSA_WITH_SHA512 {
            &ECDSA_P384_SHA512_ASN1
        } else {
            return Self::Unknown;
        };
        match UnparsedPublicKey::new(with, &key.subject_public_key.data).verify(message, &value.data) {
            Ok(()) => Self::Verified,
            Err(_) => Self::Forged,
        }
    }
}
