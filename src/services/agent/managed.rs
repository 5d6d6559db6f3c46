//! The paths that this agent looks after: what it installed there last. It reads no certificates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::files::{FileError, read_if_there, write_whole};

/// What was installed at a path last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPath {
    /// The SPKI hash of its key.
    pub spki_sha256: String,
    /// The certificate's fingerprint.
    pub fingerprint_sha256: String,
}

/// The managed paths, kept in `managed.json`.
#[derive(Debug)]
pub struct Managed {
    file: PathBuf,
    paths: Mutex<BTreeMap<String, ManagedPath>>,
}

impl Managed {
    /// From the state directory. A damaged file is started again: the server asks for every path
    /// that it knows of anyway.
    pub fn open(state_dir: &Path) -> Result<Self, FileError> {
        let file = state_dir.join("managed.json");
        let paths = match read_if_there(&file)? {
            Some(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::error!(%error, "`managed.json` is damaged; starting an empty list");
                BTreeMap::new()
            }),
            None => BTreeMap::new(),
        };
        Ok(Self {
            file,
            paths: Mutex::new(paths),
        })
    }

    /// All paths, sorted.
    pub fn all(&self) -> Vec<(String, ManagedPath)> {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths
            .iter()
            .map(|(path, was)| (path.clone(), was.clone()))
            .collect()
    }

    /// Adds a path or says what is there now.
    pub fn set(&self, path: &str, now: ManagedPath) -> Result<(), FileError> {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if paths.get(path) == Some(&now) {
            return Ok(());
        }
        paths.insert(path.to_owned(), now);
        let text = serde_json::to_vec(&*paths).unwrap_or_default();
        write_whole(&self.file, &text)
    }
}
