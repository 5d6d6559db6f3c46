//! Secrets in files, systemd's credentials among them: only in files that others can't read.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::bare;
use super::error::SecretError;
use crate::domain::secret::Secret;

/// Others than the owner and the group may read it (4) or write it (2).
const OTHERS: u32 = 0o006;
/// Variable with the directory that systemd puts a unit's credentials into.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// True if others than owner and group may read or write a file of this mode.
pub(in crate::config) fn is_open(mode: u32) -> bool {
    mode & OTHERS != 0
}

pub(super) fn of_file(path: &Path) -> Result<Secret, SecretError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => SecretError::NoFile(path.to_owned()),
        _ => SecretError::Unreadable {
            path: path.to_owned(),
            why: error.to_string(),
        },
    };
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if is_open(mode) {
        return Err(SecretError::Open {
            path: path.to_owned(),
        });
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
    Ok(bare(&text))
}

/// A pipe would wait for whoever writes into it, and what was read out of it is gone.
pub(super) fn of_plain_file(path: &Path) -> Result<Secret, SecretError> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Err(SecretError::Unreadable {
            path: path.to_owned(),
            why: "it is no plain file, so it is read only for the context that is opened".to_owned(),
        }),
        _ => of_file(path),
    }
}

pub(super) fn of_credential(name: &str) -> Result<Secret, SecretError> {
    let absent = || SecretError::NoCredential(name.to_owned());
    let folder = std::env::var_os(CREDENTIALS).ok_or_else(absent)?;
    match of_file(&Path::new(&folder).join(name)) {
        Err(SecretError::NoFile(_)) => Err(absent()),
        other => other,
    }
}
