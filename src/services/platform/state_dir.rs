//! Where the platform keeps its state: a directory that the user names, or a temporary one that is
//! gone afterwards. It knows whose directory it is, not what is in it.
//!
//! Each run holds a lock (`flock`) on a file in its directory. The kernel drops the lock however the
//! process ends, so a temporary directory whose lock is free belongs to nobody and is swept by the
//! next run.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

/// The lock's name, by which a directory is known to be ours.
const LOCK: &str = "cmp-demo.lock";
/// How temporary directories begin.
const PREFIX: &str = "cmp-demo-";
/// How they begin while they have no lock yet.
const NEWBORN: &str = ".cmp-demo-new-";
/// A newborn this old has no parent any more.
const NEWBORN_DEAD_AFTER: Duration = Duration::from_secs(60);
/// There once a directory was filled to the end.
const FILLED: &str = "filled";

/// Why there is no state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process uses it.
    #[error("the state directory `{path}` is in use by another demo; stop that one or choose another directory", path = .0.display())]
    InUse(PathBuf),
    /// It holds something else.
    #[error("`{path}` is not empty and holds no demo's state; choose an empty or a new directory with --state", path = .0.display())]
    NotOurs(PathBuf),
    /// The system refused.
    #[error("{doing} `{path}`: {source}", path = .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StateDirError + 'a {
    move |source| StateDirError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// The directory of one run, locked. Dropped, a temporary one is removed.
#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    temporary: bool,
    _lock: File,
}

impl StateDir {
    /// Takes the user's directory, which is kept.
    pub(super) fn kept(path: &Path) -> Result<Self, StateDirError> {
        private_dir(path)?;
        let path = path
            .canonicalize()
            .map_err(io_error("opening the state directory", path))?;
        let is_ours = path.join(LOCK).exists();
        let mut entries = fs::read_dir(&path).map_err(io_error("reading the state directory", &path))?;
        if !is_ours && entries.next().is_some() {
            return Err(StateDirError::NotOurs(path));
        }
        let lock = lock(&path.join(LOCK))?.ok_or_else(|| StateDirError::InUse(path.clone()))?;
        Ok(Self {
            path,
            temporary: false,
            _lock: lock,
        })
    }

    /// Makes one under the system's temporary directory, which is removed at the end.
    pub(super) fn temporary() -> Result<Self, StateDirError> {
        Self::temporary_in(&std::env::temp_dir())
    }

    fn temporary_in(parent: &Path) -> Result<Self, StateDirError> {
        // Under its final name from the moment on that it is locked, and not before: else a sweep of
        // another run could take it for a leftover.
        let newborn = tempfile::Builder::new()
            .prefix(NEWBORN)
            .tempdir_in(parent)
            .map_err(io_error("making a temporary directory in", parent))?
            .keep();
        let file = lock(&newborn.join(LOCK))?.ok_or_else(|| StateDirError::InUse(newborn.clone()))?;
        let tail = newborn
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix(NEWBORN))
            .unwrap_or_default();
        let path = parent.join(format!("{PREFIX}{tail}"));
        fs::rename(&newborn, &path).map_err(io_error("naming the temporary directory", &path))?;
        Ok(Self {
            path,
            temporary: true,
            _lock: file,
        })
    }

    /// Where.
    #[must_use]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was filled to the end in an earlier run.
    #[must_use]
    pub(super) fn is_filled(&self) -> bool {
        self.path.join(FILLED).exists()
    }

    /// Marks it as filled, durably.
    pub(super) fn mark_filled(&self) -> Result<(), StateDirError> {
        let path = self.path.join(FILLED);
        let marked = File::create(&path).and_then(|file| file.sync_all());
        marked.map_err(io_error("marking the state as complete", &path))?;
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(io_error("marking the state as complete", &self.path))
    }

    /// Removes what a run that was killed while it filled the directory left there.
    pub(super) fn clear(&self) -> Result<(), StateDirError> {
        let entries =
            fs::read_dir(&self.path).map_err(io_error("reading the state directory", &self.path))?;
        for entry in entries.flatten().filter(|entry| entry.file_name() != LOCK) {
            let path = entry.path();
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.map_err(io_error("removing half of a state", &path))?;
        }
        Ok(())
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the temporary state is still there");
        }
    }
}

/// Removes the temporary directories of runs that are dead.
pub(super) fn sweep() {
    sweep_in(&std::env::temp_dir());
}

fn sweep_in(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    let me = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_dir() || metadata.uid() != me {
            continue;
        }
        let path = entry.path();
        let dead = if name.starts_with(PREFIX) {
            is_unlocked(&path.join(LOCK))
        } else {
            name.starts_with(NEWBORN) && older_than(&metadata, NEWBORN_DEAD_AFTER)
        };
        if dead && let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %error, "a leftover of a dead run can't be removed");
        }
    }
}

fn older_than(metadata: &fs::Metadata, age: Duration) -> bool {
    metadata
        .modified()
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok())
        .is_some_and(|it| it > age)
}

/// Makes a directory that only its owner can look into.
pub(super) fn private_dir(path: &Path) -> Result<(), StateDirError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io_error("making the directory", path))
}

/// The lock, or `None` if somebody else has it.
fn lock(path: &Path) -> Result<Option<File>, StateDirError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("opening the lock", path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(io_error("locking", path)(errno.into())),
    }
}

/// Whether there is a lock file that nobody holds.
fn is_unlocked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_directory_is_used_by_one_at_a_time_and_kept() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let first = StateDir::kept(&path).unwrap();
        assert!(matches!(StateDir::kept(&path), Err(StateDirError::InUse(_))));
        first.mark_filled().unwrap();
        drop(first);
        assert!(StateDir::kept(&path).unwrap().is_filled());
    }

    #[test]
    fn somebody_elses_directory_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("thesis.tex"), "x").unwrap();
        assert!(matches!(
            StateDir::kept(parent.path()),
            Err(StateDirError::NotOurs(_))
        ));
        assert!(!parent.path().join(LOCK).exists());
    }

    #[test]
    fn half_a_state_is_cleared_and_the_lock_stays() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDir::kept(parent.path()).unwrap();
        fs::create_dir(parent.path().join("vault")).unwrap();
        fs::write(parent.path().join("cmp.db"), "x").unwrap();
        state.clear().unwrap();
        let left: Vec<_> = fs::read_dir(parent.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn leftovers_of_the_dead_are_swept_and_the_living_are_not() {
        let parent = tempfile::tempdir().unwrap();
        let living = StateDir::temporary_in(parent.path()).unwrap();
        let dead = parent.path().join("cmp-demo-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::create_dir(parent.path().join("cmp-demo-unknown")).unwrap();
        sweep_in(parent.path());
        assert!(!dead.exists());
        assert!(living.path().join(LOCK).exists());
        assert!(
            parent.path().join("cmp-demo-unknown").exists(),
            "without a lock it may be anybody's"
        );
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
