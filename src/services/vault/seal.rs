//! The seal: k of n Shamir shares of the key that opens the keyring. A wrong share is noticed only when
//! the threshold is reached, and then all shares are dropped, as Vault does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blahaj::{Share, Sharks};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::barrier::{replace, seal_with, unseal_with};
use super::reply::{random, uuid};

/// How long a key or a share of one is, in bytes: AES-128's least, and AES-256's with the share's number.
pub(super) const SHORTEST: usize = 16;
pub(super) const LONGEST: usize = 33;

/// What is stored beside the barrier: nothing in it opens anything without the shares.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SealConfig {
    pub(super) shares: u8,
    pub(super) threshold: u8,
    pub(super) cluster_id: String,
    /// The keyring, sealed with the key that is split into shares.
    keyring: String,
}

/// The bytes of a key or a share.
pub(super) type KeyBytes = Zeroizing<Vec<u8>>;

/// The unseal attempt and what it opens.
pub(super) struct Seal {
    file: PathBuf,
    pub(super) config: Option<SealConfig>,
    parts: Vec<Zeroizing<Vec<u8>>>,
    pub(super) nonce: String,
}

/// What a share came to.
#[derive(Debug)]
pub(super) enum Entered {
    /// More are needed.
    More,
    /// The keyring's key.
    Opened(Zeroizing<Vec<u8>>),
    /// The shares don't fit; all were dropped.
    Wrong,
    /// That is no share at all.
    Malformed,
    /// It is shorter or longer than a share is.
    OfWrongLength,
}

impl Seal {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let file = dir.join("seal.json");
        let config = match fs::read(&file) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(io::Error::other)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            file,
            config,
            parts: Vec::new(),
            nonce: String::new(),
        })
    }

    pub(super) fn is_initialized(&self) -> bool {
        self.config.is_some()
    }

    pub(super) fn progress(&self) -> usize {
        self.parts.len()
    }

    /// Makes the keyring and its shares; gives the keyring's key and the shares.
    pub(super) fn initialize(&mut self, shares: u8, threshold: u8) -> io::Result<(KeyBytes, Vec<KeyBytes>)> {
        let root = Zeroizing::new(random::<32>().to_vec());
        let keyring = Zeroizing::new(random::<32>().to_vec());
        let parts: Vec<Zeroizing<Vec<u8>>> = match threshold {
            // One share is the key itself, as in Vault.
            1 => (0..shares).map(|_| root.clone()).collect(),
            _ => {
                let dealer = Sharks(threshold).dealer(&root);
                dealer
                    .take(usize::from(shares))
                    .map(|share| Zeroizing::new(Vec::from(&share)))
                    .collect()
            }
        };
        let config = SealConfig {
            shares,
            threshold,
            cluster_id: uuid(),
            keyring: STANDARD.encode(seal_with(&root, "keyring", &keyring)?),
        };
        replace(&self.file, &serde_json::to_vec_pretty(&config)?)?;
        fs::File::open(&self.file)?.sync_all()?;
        self.config = Some(config);
        Ok((keyring, parts))
    }

    /// Drops what was entered.
    pub(super) fn reset(&mut self) {
        self.parts.clear();
        self.nonce.clear();
    }

    /// Takes one share, in hex or base64.
    pub(super) fn enter(&mut self, text: &str) -> Entered {
        let Some(config) = self.config.clone() else {
            return Entered::Malformed;
        };
        let Some(part) = decode(text) else {
            return Entered::Malformed;
        };
        if !(SHORTEST..=LONGEST).contains(&part.len()) {
            return Entered::OfWrongLength;
        }
        if self.parts.contains(&part) {
            return Entered::More;
        }
        if self.nonce.is_empty() {
            self.nonce = uuid();
        }
        self.parts.push(part);
        if self.parts.len() < usize::from(config.threshold) {
            return Entered::More;
        }
        let parts = std::mem::take(&mut self.parts);
        self.reset();
        combine(&parts, config.threshold)
            .and_then(|root| unseal_with(&root, "keyring", &STANDARD.decode(&config.keyring).ok()?).ok())
            .map_or(Entered::Wrong, Entered::Opened)
    }
}

fn combine(parts: &[Zeroizing<Vec<u8>>], threshold: u8) -> Option<Zeroizing<Vec<u8>>> {
    if threshold == 1 {
        return parts.first().cloned();
    }
    let shares: Option<Vec<Share>> = parts
        .iter()
        .map(|part| Share::try_from(part.as_slice()).ok())
        .collect();
    Sharks(threshold).recover(&shares?).ok().map(Zeroizing::new)
}

/// Whether a text is in hex or base64, as a share is.
pub(super) fn is_share(text: &str) -> bool {
    decode(text).is_some()
}

/// A share in hex or base64; `None` if it is neither.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim();
    hex::decode(text)
        .ok()
        .or_else(|| STANDARD.decode(text).ok())
        .map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed() -> (tempfile::TempDir, Seal, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let mut seal = Seal::open(dir.path()).unwrap();
        let (_, shares) = seal.initialize(5, 3).unwrap();
        (dir, seal, shares.iter().map(hex::encode).collect())
    }

    #[test]
    fn any_three_of_five_open_it() {
        let (_dir, mut seal, shares) = sealed();
        for (a, b, c) in [(0, 1, 2), (4, 2, 0), (1, 3, 4)] {
            assert!(matches!(seal.enter(&shares[a]), Entered::More));
            assert!(matches!(seal.enter(&shares[b]), Entered::More));
            assert!(matches!(seal.enter(&shares[c]), Entered::Opened(_)));
            assert_eq!((seal.progress(), seal.nonce.as_str()), (0, ""));
        }
    }

    #[test]
    fn a_wrong_share_is_noticed_at_the_threshold_and_drops_all() {
        let (_dir, mut seal, shares) = sealed();
        let mut wrong = hex::decode(&shares[2]).unwrap();
        wrong[5] ^= 1;
        seal.enter(&shares[0]);
        assert!(matches!(seal.enter(&hex::encode(wrong)), Entered::More));
        assert!(matches!(seal.enter(&shares[1]), Entered::Wrong));
        assert_eq!(seal.progress(), 0);
    }

    #[test]
    fn a_share_counts_once_and_a_reset_forgets_it() {
        let (_dir, mut seal, shares) = sealed();
        seal.enter(&shares[0]);
        let nonce = seal.nonce.clone();
        seal.enter(&shares[0]);
        assert_eq!((seal.progress(), &seal.nonce), (1, &nonce));
        seal.reset();
        assert_eq!(seal.progress(), 0);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", pick in 0usize..3) {
            let (_dir, mut seal, shares) = sealed();
            seal.enter(&text);
            seal.enter(&shares[pick]);
            seal.enter(&text);
        }
    }
}
