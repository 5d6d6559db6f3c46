//! The signature of a revocation list: anybody can make a list and put a CA's name into it. The key that counts is the one
//! that signed the certificate: whatever else came with that, or was put beside it, proves nothing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::domain::certificate::Certificate;
use crate::domain::signature::Signature;
use crate::domain::{chain, x509};

/// The bytes that were signed, with the signature, and by whom it was found to be.
#[derive(Clone)]
pub(super) struct Signed {
    der: Arc<[u8]>,
    /// A list may be long, and is looked at with each frame.
    checked: Arc<Mutex<Vec<Checked>>>,
    /// The certificate that was asked about last.
    last: Arc<Mutex<Option<Asked>>>,
}

/// Relation of a list to the CA of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Its signature, held against the key that signed the certificate.
    Key(Signature),
    /// No certificate of an issuer is kept with the certificate.
    NothingKept,
    /// None of those that are kept is shown to have signed the certificate.
    NoSigner,
}

/// A certificate with its chain, in PEM, and what was found of them.
struct Asked {
    pem: Option<String>,
    chain_pem: Option<String>,
    by: By,
}

/// A CA's certificate, and what the list's signature is to its key.
type Checked = (Vec<u8>, Signature);

impl Signed {
    pub(super) fn new(der: &[u8]) -> Self {
        Self {
            der: der.into(),
            checked: Arc::default(),
            last: Arc::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its signature, held against the CA of this certificate.
    pub(super) fn by_signer_of(&self, certificate: &Certificate) -> By {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |it: &&Asked| it.pem == certificate.pem && it.chain_pem == certificate.chain_pem;
        if let Some(asked) = last.as_ref().filter(is_same) {
            return asked.by;
        }
        let by = self.looked_up(certificate);
        *last = Some(Asked {
            pem: certificate.pem.clone(),
            chain_pem: certificate.chain_pem.clone(),
            by,
        });
        by
    }

    fn looked_up(&self, certificate: &Certificate) -> By {
        let read = |text: &Option<String>| {
            x509::certificates(text.as_deref().unwrap_or_default()).unwrap_or_default()
        };
        let chain = read(&certificate.chain_pem);
        if chain.is_empty() {
            return By::NothingKept;
        }
        let pem = read(&certificate.pem);
        let signers = pem
            .first()
            .map_or(Vec::new(), |leaf| chain::signers(leaf, &chain));
        let signatures = signers.iter().map(|ca| self.by(ca));
        signatures.reduce(better).map_or(By::NoSigner, By::Key)
    }

    /// Its signature, held against the key of a CA's certificate in DER.
    pub(super) fn by(&self, ca: &[u8]) -> Signature {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, by)) = checked.iter().find(|(known, _)| known == ca) {
            return *by;
        }
        let by = by(&self.der, ca);
        checked.push((ca.to_vec(), by));
        by
    }
}

fn better(one: Signature, other: Signature) -> Signature {
    match (one, other) {
        (Signature::Verified, _) | (_, Signature::Verified) => Signature::Verified,
        (Signature::Unknown, _) | (_, Signature::Unknown) => Signature::Unknown,
        (Signature::Forged, Signature::Forged) => Signature::Forged,
    }
}

fn by(list: &[u8], ca: &[u8]) -> Signature {
    let (Ok((_, list)), Ok((_, ca))) = (
        CertificateRevocationList::from_der(list),
        X509Certificate::from_der(ca),
    ) else {
        return Signature::Forged;
    };
    // A CA's certificate says what its key is for (RFC 5280 §6.3.3 f), or nothing.
    let may_sign = match ca.key_usage() {
        Ok(Some(usage)) => usage.value.crl_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    if list.issuer().as_raw() != ca.subject().as_raw() || !may_sign {
        return Signature::Forged;
    }
    Signature::of_list(&list, ca.public_key())
}

impl PartialEq for Signed {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Signed {}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({} bytes)", self.der.len())
    }
}
