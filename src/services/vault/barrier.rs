//! The barrier: every entry is one file, sealed with AES-256-GCM with its path as additional data, so
//! that neither its content nor its place can be changed unseen. Files are replaced by rename: a crash
//! leaves the old or the new entry, never half of one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::reply::random;

/// Bytes of a GCM nonce.
const NONCE: usize = 12;

/// The storage of everything but the seal itself.
pub(super) struct Barrier {
    dir: PathBuf,
    key: Option<LessSafeKey>,
}

impl Barrier {
    /// Opens the directory; the barrier is closed.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            key: None,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.key.is_some()
    }

    /// Takes the key; entries can be read from now on.
    pub(super) fn unlock(&mut self, key: &Zeroizing<Vec<u8>>) -> io::Result<()> {
        self.key = Some(aead(key)?);
        Ok(())
    }

    /// Drops the key.
    pub(super) fn lock(&mut self) {
        self.key = None;
    }

    /// Reads an entry; `None` if there is none.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &str) -> io::Result<Option<T>> {
        let Some(key) = &self.key else {
            return Err(io::Error::other("the barrier is sealed"));
        };
        let bytes = match fs::read(self.file(path)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let plain = unseal(key, path, &bytes)?;
        serde_json::from_slice(&plain).map(Some).map_err(io::Error::other)
    }

    /// Reads an entry, or what it is when there is none or it can't be read.
    pub(super) fn read_or_default<T: DeserializeOwned + Default>(&self, path: &str) -> T {
        self.read(path).ok().flatten().unwrap_or_default()
    }

    /// Writes an entry.
    pub(super) fn write(&self, path: &str, value: &impl Serialize) -> io::Result<()> {
        let Some(key) = &self.key else {
            return Err(io::Error::other("the barrier is sealed"));
        };
        let plain = Zeroizing::new(serde_json::to_vec(value)?);
        let file = self.file(path);
        if let Some(folder) = file.parent() {
            make_folder(folder, &self.dir)?;
        }
        replace(&file, &seal(key, path, &plain)?)
    }

    /// Removes an entry.
    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        let file = self.file(path);
        match fs::remove_file(&file) {
            Ok(()) => sync_folder_of(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes all entries below `folder`.
    pub(super) fn remove_all(&self, folder: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.dir.join(encode_path(folder))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of the entries directly below `folder`, in order; names with more below end in `/`.
    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.dir.join(encode_path(folder))) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                match name.strip_suffix(SUFFIX) {
                    Some(name) => decode(name),
                    None if entry.path().is_dir() => decode(&name).map(|name| format!("{name}/")),
                    None => None,
                }
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn file(&self, path: &str) -> PathBuf {
        self.dir.join(format!("{}{SUFFIX}", encode_path(path)))
    }
}

/// What entries' files end in, so that a folder and an entry of one name don't meet.
const SUFFIX: &str = ".e";

/// A name as a safe file name: what isn't plain is written in hex.
fn encode(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
            byte => format!("_{byte:02x}"),
        })
        .collect()
}

fn decode(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'_' => {
                let pair = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

fn encode_path(path: &str) -> String {
    path.split('/')
        .filter(|part| !part.is_empty())
        .map(encode)
        .collect::<Vec<_>>()
        .join("/")
}

fn aead(key: &[u8]) -> io::Result<LessSafeKey> {
    let key =
        UnboundKey::new(&AES_256_GCM, key).map_err(|_| io::Error::other("the key has a wrong length"))?;
    Ok(LessSafeKey::new(key))
}

/// Seals bytes: nonce, then ciphertext with its tag.
fn seal(key: &LessSafeKey, context: &str, plain: &[u8]) -> io::Result<Vec<u8>> {
    let nonce: [u8; NONCE] = random();
    let mut sealed = plain.to_vec();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(context),
        &mut sealed,
    )
    .map_err(|_| io::Error::other("an entry can't be sealed"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens sealed bytes; fails when they, or the place they are read from, were changed.
fn unseal(key: &LessSafeKey, context: &str, sealed: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let broken = || io::Error::other(format!("the entry `{context}` was changed or is damaged"));
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or_else(broken)?;
    let mut plain = Zeroizing::new(rest.to_vec());
    let length = key
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(context),
            &mut plain,
        )
        .map_err(|_| broken())?
        .len();
    plain.truncate(length);
    Ok(plain)
}

/// Seals bytes with a key that is used once.
pub(super) fn seal_with(key: &[u8], context: &str, plain: &[u8]) -> io::Result<Vec<u8>> {
    seal(&aead(key)?, context, plain)
}

/// Opens what [`seal_with`] sealed.
pub(super) fn unseal_with(key: &[u8], context: &str, sealed: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    unseal(&aead(key)?, context, sealed)
}

/// What a file's name ends in before it takes another one's place.
const STAGED: &str = "new-";

/// Replaces a file by rename. It is on the disk when this returns, its name too: what was acknowledged outlives a
/// loss of power. Where it can't be written, nothing of the try stays behind.
pub(super) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = file.with_extension(format!("{STAGED}{}", hex::encode(random::<4>())));
    let written = write_whole(&staged, bytes).and_then(|()| fs::rename(&staged, file));
    if let Err(error) = written {
        // On a full disk each try would leave one. That it can't be removed changes nothing about the error.
        let _ = fs::remove_file(&staged);
        return Err(error);
    }
    sync_folder_of(file)
}

fn write_whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(file)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name is the folder's, which is synced by itself.
fn sync_folder_of(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes a folder below `top`, and those between them; each one's name is on the disk when this returns.
fn make_folder(folder: &Path, top: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|_| folder != top) {
        make_folder(above, top)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder_of(folder),
    }
}

/// Removes what [`replace`] was cut off at: nothing ever reads it.
pub(super) fn sweep(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let staged = path
            .extension()
            .is_some_and(|it| it.to_string_lossy().starts_with(STAGED));
        if entry.file_type()?.is_dir() {
            sweep(&path)?;
        } else if staged {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn open() -> (tempfile::TempDir, Barrier) {
        let dir = tempfile::tempdir().unwrap();
        let mut barrier = Barrier::open(dir.path()).unwrap();
        barrier.unlock(&Zeroizing::new(vec![7; 32])).unwrap();
        (dir, barrier)
    }

    #[test]
    fn what_was_changed_or_moved_on_disk_is_not_believed() {
        let (_dir, barrier) = open();
        barrier.write("a/b", &json!({"x": 1})).unwrap();
        assert_eq!(barrier.read::<Value>("a/b").unwrap(), Some(json!({"x": 1})));
        fs::copy(barrier.file("a/b"), barrier.file("a/c")).unwrap();
        assert!(barrier.read::<Value>("a/c").is_err());
        let mut bytes = fs::read(barrier.file("a/b")).unwrap();
        bytes[20] ^= 1;
        fs::write(barrier.file("a/b"), bytes).unwrap();
        assert!(barrier.read::<Value>("a/b").is_err());
    }

    #[test]
    fn what_a_crash_left_half_written_is_swept_and_nothing_else() {
        let (dir, barrier) = open();
        barrier.write("a/b", &json!(1)).unwrap();
        let half = dir.path().join("a").join("b.new-0011aabb");
        fs::write(&half, "half").unwrap();
        sweep(dir.path()).unwrap();
        assert!(!half.exists());
        assert_eq!(barrier.read::<Value>("a/b").unwrap(), Some(json!(1)));
        sweep(&dir.path().join("absent")).unwrap();
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let (dir, barrier) = open();
        // A folder stands where the file has to go.
        fs::create_dir_all(barrier.file("a/b").join("in-the-way")).unwrap();
        for _ in 0..3 {
            assert!(barrier.write("a/b", &json!("x")).is_err());
        }
        let left: Vec<_> = fs::read_dir(dir.path().join("a"))
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect();
        assert_eq!(left, [barrier.file("a/b")]);
    }

    #[test]
    fn a_locked_barrier_tells_nothing() {
        let (_dir, mut barrier) = open();
        barrier.write("a", &json!(1)).unwrap();
        barrier.lock();
        assert!(barrier.read::<Value>("a").is_err());
        assert!(barrier.write("a", &json!(2)).is_err());
    }

    proptest! {
        #[test]
        fn names_round_trip_and_never_leave_the_directory(name in "\\PC{1,30}") {
            let encoded = encode(&name);
            prop_assert!(!encoded.contains('/') && !encoded.contains('.'));
            prop_assert_eq!(decode(&encoded), Some(name));
        }
    }
}
