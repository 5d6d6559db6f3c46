//! The signature of a revocation list: anybody can make a list and put a CA's name into it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use x509_parser::error::X509Error;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// The bytes that were signed, with the signature, and by whom it was found to be.
#[derive(Clone)]
pub(super) struct Signed {
    der: Arc<[u8]>,
    /// A list may be long, and is looked at with each frame.
    checked: Arc<Mutex<Vec<Checked>>>,
}

/// A CA's certificate, and whether that CA made the list.
type Checked = (Vec<u8>, bool);

impl Signed {
    pub(super) fn new(der: &[u8]) -> Self {
        Self {
            der: der.into(),
            checked: Arc::default(),
        }
    }

    /// True if the CA of one of these certificates, in DER, signed it. By name alone where the signature is of a kind
    /// that can't be checked here.
    pub(super) fn is_by_one_of(&self, cas: &[Vec<u8>]) -> bool {
        cas.iter().any(|ca| {
            let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, is_by)) = checked.iter().find(|(known, _)| known == ca) {
                return *is_by;
            }
            let is_by = is_by(&self.der, ca);
            checked.push((ca.clone(), is_by));
            is_by
        })
    }
}

fn is_by(list: &[u8], ca: &[u8]) -> bool {
    let (Ok((_, list)), Ok((_, ca))) = (
        CertificateRevocationList::from_der(list),
        X509Certificate::from_der(ca),
    ) else {
        return false;
    };
    list.issuer().as_raw() == ca.subject().as_raw()
        && matches!(
            list.verify_signature(ca.public_key()),
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm)
        )
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
