//! The local snapshot on disk: one file a platform, for its owner alone, replaced as a whole.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::state::snapshot::Snapshot;

/// What was kept in the file at `path`; one that can't be read is none.
pub(super) fn load(path: &Path) -> Snapshot {
    let text = std::fs::read(path).unwrap_or_default();
    if text.is_empty() {
        return Snapshot::default();
    }
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        // Of another version, most likely; the next one replaces it.
        tracing::warn!(path = %path.display(), %error, "the local snapshot can't be read");
        Snapshot::default()
    })
}

/// Keeps it.
///
/// # Errors
/// The file can't be written.
pub(super) fn keep(path: &Path, snapshot: &Snapshot) -> std::io::Result<()> {
    let text = serde_json::to_vec(snapshot)?;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // Two consoles may keep theirs at once: each writes beside it under a name of its own.
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
