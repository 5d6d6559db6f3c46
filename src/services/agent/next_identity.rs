//! The key of the certificate that the agent will prove itself with next, and the CSR for it. Both are on
//! disk before the platform hears of them and stay as they are until it has answered: sent again, the same
//! CSR has the same answer.
//!
//! When it is asked for is in `checkin`; what it becomes is in `identity`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::files::{FileError, read_if_there, remove_if_there, write_whole};
use super::identity::Proof;
use super::keys::{HeldKey, KeyError};
use crate::domain::csr::Csr;
use crate::domain::key::KeyAlgorithm;
use crate::domain::secret::Secret;
use crate::domain::x509;

/// Why there is none, or why what the platform answered is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum NextError {
    /// Its file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key can't be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The answer is no certificate.
    #[error("the platform's certificate for this agent is {0}")]
    NotACertificate(#[from] x509::FactsError),
    /// The answer is for somebody else.
    #[error("the platform's certificate for this agent is not for the key that the agent made")]
    OtherKey,
}

/// See the module.
pub(super) struct NextIdentity {
    file: PathBuf,
    key: HeldKey,
    /// In PEM.
    pub(super) csr_pem: String,
}

#[derive(Deserialize)]
struct Kept {
    key_pem: Secret,
    csr_pem: String,
}

impl Kept {
    /// What it holds, if the two belong together.
    fn whole(self) -> Option<(HeldKey, String)> {
        let key = HeldKey::parse(Zeroizing::new(self.key_pem.expose().to_owned())).ok()?;
        let fits = Csr::read(&self.csr_pem).is_ok_and(|csr| csr.key.spki_sha256() == key.spki_sha256);
        fits.then_some((key, self.csr_pem))
    }
}

impl NextIdentity {
    /// The one that was begun, or a new one. `now` is what the agent proves itself with: a key that is in use
    /// already is not asked for again.
    pub(super) fn begin(state_dir: &Path, now: Option<&Proof>) -> Result<Self, NextError> {
        let file = state_dir.join("next-identity.json");
        let kept = read_if_there(&file)?.map(Zeroizing::new);
        // A damaged one is as good as none: nobody has answered it yet.
        let kept = kept.and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        let kept = kept.filter(|kept| now.is_none_or(|now| now.key_pem != kept.key_pem));
        if let Some((key, csr_pem)) = kept.and_then(Kept::whole) {
            return Ok(Self { file, key, csr_pem });
        }
        let key = HeldKey::make(KeyAlgorithm::EcdsaP256)?;
        // Whose it is, the platform says.
        let csr_pem = key.csr("cmp-agent", &[])?;
        let text = serde_json::json!({"key_pem": key.pem(), "csr_pem": csr_pem});
        write_whole(&file, Zeroizing::new(text.to_string()).as_bytes())?;
        Ok(Self { file, key, csr_pem })
    }

    /// What the platform answered, made usable.
    pub(super) fn certified(&self, certificate_pem: String) -> Result<Proof, NextError> {
        if x509::read(&certificate_pem)?.spki_sha256 != self.key.spki_sha256 {
            return Err(NextError::OtherKey);
        }
        Ok(Proof {
            certificate_pem,
            key_pem: Secret::new(self.key.pem().to_owned()),
        })
    }

    /// Ends it, once what came of it is on disk.
    pub(super) fn done(self) -> Result<(), FileError> {
        remove_if_there(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertificateSigningRequestParams, Issuer, KeyPair};

    use super::*;

    fn certified(csr_pem: &str) -> String {
        let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
        let request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        request.signed_by(&issuer).unwrap().pem()
    }

    #[test]
    fn it_stays_the_same_until_it_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let begun = NextIdentity::begin(dir.path(), None).unwrap();
        let again = NextIdentity::begin(dir.path(), None).unwrap();
        assert_eq!(begun.csr_pem, again.csr_pem);
        let proof = begun.certified(certified(&begun.csr_pem)).unwrap();
        // The proof is on disk, and the agent was cut off before it ended this.
        let other = NextIdentity::begin(dir.path(), Some(&proof)).unwrap();
        assert_ne!(other.csr_pem, begun.csr_pem);
        assert!(matches!(
            other.certified(proof.certificate_pem),
            Err(NextError::OtherKey)
        ));
        other.done().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_one_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("next-identity.json");
        std::fs::write(&file, "{").unwrap();
        let begun = NextIdentity::begin(dir.path(), None).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("BEGIN CERTIFICATE", "BEGIN")).unwrap();
        let again = NextIdentity::begin(dir.path(), None).unwrap();
        assert_ne!(again.csr_pem, begun.csr_pem);
    }
}
