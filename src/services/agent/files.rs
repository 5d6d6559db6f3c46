//! Files that are whole or absent: written beside their place, synced, renamed over it.
//!
//! Small state only; installations have a scheme of their own (`install/generations.rs`).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Readable by the owner alone: everything in the state directory.
const PRIVATE: u32 = 0o600;

/// A larger file is none that this agent wrote, and no certificate either.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// `O_NONBLOCK`, as `open(2)` takes it.
const WITHOUT_WAITING: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} `{path}`: {source}", path = path.display())]
pub struct FileError {
    /// A verb: read, write, sync …
    pub doing: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Says what was being done to which file.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError {
            doing,
            path: path.to_owned(),
            source,
        })
    }
}

/// Makes a directory that only the owner may enter, with its parents.
pub(super) fn private_dir(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .doing("make the directory", path)
}

/// Replaces `path` by `content` at once, with mode 0600.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let staged = staged_name(path);
    // Left over by a crash: nobody reads it, and create_new below must not meet it.
    remove_if_there(&staged)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(&staged)
        .doing("create", &staged)?;
    file.write_all(content).doing("write", &staged)?;
    file.sync_all().doing("sync", &staged)?;
    fs::rename(&staged, path).doing("replace", path)?;
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// The content, or `None` where there is no file. What isn't a plain file is not opened: a pipe or a device may never
/// answer.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let plain = |found: &fs::Metadata| match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "it is a {}, not a plain file; put a file there, or move it away",
                sort(found.file_type())
            ),
        ))
        .doing("read", path),
    };
    match fs::metadata(path) {
        Ok(found) => plain(&found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).doing("read", path),
    }
    // Another thing may be there by now: it is opened without waiting for anybody, and looked at again.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(WITHOUT_WAITING)
        .open(path)
        .doing("read", path)?;
    plain(&file.metadata().doing("read", path)?)?;
    let mut content = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut content)
        .doing("read", path)?;
    if content.len() as u64 > MAX_BYTES {
        let large = io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB");
        return Err(large).doing("read", path);
    }
    Ok(Some(content))
}

fn sort(is: fs::FileType) -> &'static str {
    if is.is_fifo() {
        "FIFO"
    } else if is.is_dir() {
        "directory"
    } else if is.is_socket() {
        "socket"
    } else {
        "device"
    }
}

/// Removes a file or link if there is one.
pub(super) fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).doing("remove", path),
        _ => Ok(()),
    }
}

/// Makes renames in a directory last.
pub(super) fn sync_dir(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .doing("sync the directory", path)
}

/// Removes what [`write_whole`] was cut off at in `dir`: nothing ever reads it.
pub(super) fn sweep(dir: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(dir).doing("list", dir)?.filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(STAGED) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

/// What a file's hidden name ends in before it takes another one's place.
const STAGED: &str = ".new";

fn staged_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(STAGED);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_no_plain_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("site.pem");
        // Nobody ever writes into it: opened, it would wait for that.
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for not_plain in [&pipe, &dir.path().to_owned(), &PathBuf::from("/dev/zero")] {
            let refusal = read_if_there(not_plain).unwrap_err().to_string();
            assert!(refusal.contains("not a plain file"), "{refusal}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        fs::write(staged_name(&path), "half").unwrap();
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(read_if_there(&path).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!staged_name(&path).exists());
        assert_eq!(read_if_there(&dir.path().join("none")).unwrap(), None);
        fs::write(staged_name(&path), "half").unwrap();
        sweep(dir.path()).unwrap();
        assert!(path.exists() && !staged_name(&path).exists());
    }
}
