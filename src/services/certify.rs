//! What this product's own CAs (the bundled Vault, the CA for agents) sign with: the key is copied into the
//! certificate byte for byte, and is given the usages that its kind has.

use rcgen::{Certificate, CertificateParams, Issuer, KeyPair, KeyUsagePurpose, SubjectPublicKeyInfo};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::domain::csr::PublicKey;
use crate::domain::key::KeyAlgorithm;

/// Signs for a public key.
///
/// # Errors
/// It can't be signed, or the certificate would carry the key in other bytes.
pub(crate) fn certify(
    params: &CertificateParams,
    key: &PublicKey,
    issuer: &Issuer<'static, KeyPair>,
) -> Result<Certificate, rcgen::Error> {
    let spki = SubjectPublicKeyInfo::from_der(&key.spki_der)?;
    let certificate = params.signed_by(&spki, issuer)?;
    let carries_it = X509Certificate::from_der(certificate.der())
        .is_ok_and(|(_, made)| made.public_key().raw == key.spki_der.as_slice());
    match carries_it {
        true => Ok(certificate),
        false => Err(rcgen::Error::UnsupportedSignatureAlgorithm),
    }
}

/// What a server's or client's key of this kind is used for in TLS: RSA also transports keys (RFC 4055 §1.2), which
/// an elliptic curve's can't (RFC 5480 §3).
pub(crate) fn usages(algorithm: KeyAlgorithm) -> Vec<KeyUsagePurpose> {
    match algorithm {
        KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => vec![KeyUsagePurpose::DigitalSignature],
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyEncipherment,
            ]
        }
    }
}
