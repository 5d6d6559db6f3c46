//! The private keys that this agent made: one PKCS #8 PEM a key, named by the SHA-256 of its
//! SubjectPublicKeyInfo. They never leave the host, and only this file reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SanType,
};
use zeroize::Zeroizing;

use super::files::{Doing, FileError, private_dir, read_if_there, sweep, write_whole};
use crate::domain::key::KeyAlgorithm;
use crate::domain::name;
use crate::domain::secret::Secret;

/// Where keys are kept, and which request each was made for.
#[derive(Debug)]
pub struct KeyStore {
    dir: PathBuf,
    /// Request → SPKI hash; also serialises making, so that two wishes for one request make one key.
    by_request: Mutex<BTreeMap<String, String>>,
}

/// A key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// No such algorithm.
    #[error("`{0}` is not a key algorithm; allowed are {allowed}", allowed = algorithms())]
    Algorithm(String),
    /// The library refused.
    #[error("cannot {doing}: {source}")]
    Crypto {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: rcgen::Error,
    },
    /// A name can't be asked for.
    #[error("`{0}` can't be a subject alternative name: only host names and IP addresses can")]
    San(String),
    /// The map from requests to keys is damaged.
    #[error("`{path}` is damaged: {source}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
}

impl KeyStore {
    /// Opens `{state_dir}/keys`, making it if needed.
    pub fn open(state_dir: &Path) -> Result<Self, KeyError> {
        let dir = state_dir.join("keys");
        private_dir(&dir)?;
        // Half a private key that a crash left lies about nowhere.
        sweep(&dir)?;
        let path = dir.join("requests.json");
        let by_request = match read_if_there(&path)? {
            Some(text) => {
                serde_json::from_slice(&text).map_err(|source| KeyError::Damaged { path, source })?
            }
            None => BTreeMap::new(),
        };
        Ok(Self {
            dir,
            by_request: Mutex::new(by_request),
        })
    }

    /// The key of a request: the one already made for it, or a fresh one. It is on disk when this
    /// returns. Slow for RSA: call it off the async threads.
    pub fn for_request(&self, request_id: &str, algorithm: &str) -> Result<HeldKey, KeyError> {
        let algorithm =
            KeyAlgorithm::from_word(algorithm).ok_or_else(|| KeyError::Algorithm(algorithm.to_owned()))?;
        let mut by_request = self.by_request.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spki) = by_request.get(request_id)
            && let Some(held) = self.find(spki)?
        {
            return Ok(held);
        }
        let made = HeldKey::make(algorithm)?;
        self.keep(&made)?;
        // The key first, then the map: a crash between the two leaves a key that nobody asks for,
        // never a request whose key is missing.
        by_request.insert(request_id.to_owned(), made.spki_sha256.clone());
        let text = serde_json::to_vec(&*by_request).unwrap_or_default();
        write_whole(&self.dir.join("requests.json"), &text)?;
        Ok(made)
    }

    /// Takes a key over that was made elsewhere.
    pub fn adopt(&self, pkcs8_pem: &Secret) -> Result<HeldKey, KeyError> {
        let held = HeldKey::parse(Zeroizing::new(pkcs8_pem.expose().to_owned()))?;
        self.keep(&held)?;
        Ok(held)
    }

    /// The key with this SPKI hash, if it is held.
    pub fn find(&self, spki_sha256: &str) -> Result<Option<HeldKey>, KeyError> {
        // It becomes a file name: nothing but a hash may.
        if !is_hash(spki_sha256) {
            return Ok(None);
        }
        let Some(pem) = read_if_there(&self.path(spki_sha256))? else {
            return Ok(None);
        };
        let pem = Zeroizing::new(pem);
        let text = Zeroizing::new(String::from_utf8_lossy(&pem).into_owned());
        let held = HeldKey::parse(text)?;
        Ok((held.spki_sha256 == spki_sha256).then_some(held))
    }

    /// The SPKI hashes of all keys that are held, sorted.
    pub fn held(&self) -> Result<Vec<String>, FileError> {
        let mut held: Vec<_> = fs::read_dir(&self.dir)
            .doing("list", &self.dir)?
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".pem").map(str::to_owned))
            .filter(|name| is_hash(name))
            .collect();
        held.sort_unstable();
        Ok(held)
    }

    fn keep(&self, key: &HeldKey) -> Result<(), FileError> {
        write_whole(&self.path(&key.spki_sha256), key.pem().as_bytes())
    }

    fn path(&self, spki_sha256: &str) -> PathBuf {
        self.dir.join(format!("{spki_sha256}.pem"))
    }
}

/// A private key in memory. It has no `Debug` with content, and its PEM is wiped when dropped.
pub struct HeldKey {
    /// SHA-256 over its SubjectPublicKeyInfo, lower-case hex.
    pub spki_sha256: String,
    pair: KeyPair,
    pem: Zeroizing<String>,
}

impl HeldKey {
    pub(super) fn make(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let made = match algorithm {
            KeyAlgorithm::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyAlgorithm::EcdsaP384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            KeyAlgorithm::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            KeyAlgorithm::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
            KeyAlgorithm::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        };
        let pair = made.map_err(|source| KeyError::Crypto {
            doing: "make a key",
            source,
        })?;
        let pem = Zeroizing::new(pair.serialize_pem());
        Ok(Self::of(pair, pem))
    }

    pub(super) fn parse(pem: Zeroizing<String>) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pem(&pem).map_err(|source| KeyError::Crypto {
            doing: "read a private key",
            source,
        })?;
        Ok(Self::of(pair, pem))
    }

    fn of(pair: KeyPair, pem: Zeroizing<String>) -> Self {
        let spki_sha256 = hex::encode(digest(&SHA256, &pair.subject_public_key_info()));
        Self {
            spki_sha256,
            pair,
            pem,
        }
    }

    /// PKCS #8 in PEM, for the one file that the server reads it from.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certification request in PEM. A name that is an IP address is asked for as one.
    pub fn csr(&self, common_name: &str, sans: &[String]) -> Result<String, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = name::common_name(common_name).filter(|name| !name.is_empty()) {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = sans
            .iter()
            .map(|san| alternative(san))
            .collect::<Result<_, _>>()?;
        params
            .serialize_request(&self.pair)
            .and_then(|csr| csr.pem())
            .map_err(|source| KeyError::Crypto {
                doing: "make a CSR",
                source,
            })
    }
}

impl std::fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeldKey({})", self.spki_sha256)
    }
}

fn alternative(san: &str) -> Result<SanType, KeyError> {
    if let Ok(address) = san.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let plain = !san.is_empty()
        && san
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'*'));
    let name = san.try_into().ok().filter(|_| plain);
    name.map(SanType::DnsName)
        .ok_or_else(|| KeyError::San(san.to_owned()))
}

fn algorithms() -> String {
    KeyAlgorithm::ALL.map(KeyAlgorithm::word).join(", ")
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::csr::Csr;

    #[test]
    fn a_request_asked_again_gets_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(dir.path()).unwrap();
        let first = keys.for_request("req_1", "ecdsa-p256").unwrap();
        let again = KeyStore::open(dir.path())
            .unwrap()
            .for_request("req_1", "ecdsa-p256")
            .unwrap();
        assert_eq!(first.spki_sha256, again.spki_sha256);
        let other = keys.for_request("req_2", "ecdsa-p384").unwrap();
        assert_ne!(first.spki_sha256, other.spki_sha256);
        assert_eq!(keys.held().unwrap().len(), 2);
        let file = fs::metadata(keys.path(&first.spki_sha256)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn only_hashes_become_file_names() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(dir.path()).unwrap();
        assert!(keys.find("../identity").unwrap().is_none());
        assert!(keys.find(&"0".repeat(64)).unwrap().is_none());
        assert!(matches!(
            keys.for_request("req_1", "dsa-1024"),
            Err(KeyError::Algorithm(_))
        ));
    }

    #[test]
    fn a_csr_carries_names_and_addresses() {
        let key = HeldKey::make(KeyAlgorithm::EcdsaP256).unwrap();
        let sans = [
            "web-01.example".to_owned(),
            "10.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        let pem = key.csr("web-01.example", &sans).unwrap();
        let params = rcgen::CertificateSigningRequestParams::from_pem(&pem).unwrap();
        let names = &params.params.subject_alt_names;
        assert!(matches!(&names[0], SanType::DnsName(name) if name.as_str() == "web-01.example"));
        assert!(matches!(names[1], SanType::IpAddress(_)));
        assert!(matches!(names[2], SanType::IpAddress(_)));
        assert!(key.csr("x", &["a b".to_owned()]).is_err());
        // Too long for a subject, which is empty then, and the names are critical.
        let long = format!("{}.example", "a".repeat(60));
        let csr = Csr::read(&key.csr(&long, std::slice::from_ref(&long)).unwrap()).unwrap();
        assert_eq!((csr.common_name, csr.dns), (None, vec![long]));
    }

    proptest! {
        #[test]
        fn parsing_what_is_no_key_never_panics(text in "\\PC{0,200}") {
            prop_assert!(HeldKey::parse(Zeroizing::new(text)).is_err());
        }

        #[test]
        fn any_alternative_name_is_taken_or_refused(text in "\\PC{0,40}") {
            let _ = alternative(&text);
        }
    }
}
