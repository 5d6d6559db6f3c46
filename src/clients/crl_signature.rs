//! The signature of a revocation list: anybody can make a list and put a CA's name into it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::domain::signature::Signature;

/// The bytes that were signed, with the signature, and by whom it was found to be.
#[derive(Clone)]
pub(super) struct Signed {
    der: Arc<[u8]>,
    /// A list may be long, and is looked at with each frame.
    checked: Arc<Mutex<Vec<Checked>>>,
}

/// A CA's certificate, and what the list's signature is to its key.
type Checked = (Vec<u8>, Signature);

impl Signed {
    pub(super) fn new(der: &[u8]) -> Self {
        Self {
            der: der.into(),
            checked: Arc::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// The best that it is to the CAs of these certificates, in DER.
    pub(super) fn by_one_of(&self, cas: &[Vec<u8>]) -> Signature {
        let mut best = Signature::Forged;
        for ca in cas {
            match self.by(ca) {
                Signature::Verified => return Signature::Verified,
                Signature::Unknown => best = Signature::Unknown,
                Signature::Forged => {}
            }
        }
        best
    }

    fn by(&self, ca: &[u8]) -> Signature {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, by)) = checked.iter().find(|(known, _)| known == ca) {
            return *by;
        }
        let by = by(&self.der, ca);
        checked.push((ca.to_vec(), by));
        by
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
