//! The swap: all three files of an installation change in one rename, and change back the same way.
//!
//! ```text
//! dir/site.pem        -> .cmp/site/current/cert.pem      what servers read: links that never change
//! dir/site.key        -> .cmp/site/current/key.pem
//! dir/site.chain.pem  -> .cmp/site/current/chain.pem
//! dir/.cmp/site/current -> g00000002                     the one link that is swapped
//! dir/.cmp/site/g00000001/{cert,key,chain}.pem           kept for going back
//! dir/.cmp/site/g00000002/{cert,key,chain}.pem           complete and synced before the swap
//! dir/.cmp/site/unproven                                 names the last proven generation while the
//!                                                        current one awaits its proof
//! ```
//! A crash at any point leaves `current` on a whole generation; what is half made is cleaned the
//! next time. It judges neither paths nor certificates (`paths.rs`, `check.rs`).

use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::paths::{HIDDEN, Part, Target};
use crate::services::agent::files::{
    Doing, FileError, read_if_there, remove_if_there, sync_dir, write_whole,
};
use crate::services::agent::patience::Decision;

const CURRENT: &str = "current";
const UNPROVEN: &str = "unproven";
const STAGING: &str = "staging";
const NEW_LINK: &str = ".link.new";

/// The content of the three files; what is `None` is absent.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Set {
    /// With the key in it, where the layout is combined.
    pub(super) certificate: Option<Zeroizing<Vec<u8>>>,
    pub(super) key: Option<Zeroizing<Vec<u8>>>,
    pub(super) chain: Option<Vec<u8>>,
}

impl Set {
    fn part(&self, part: Part) -> Option<&[u8]> {
        match part {
            Part::Certificate => self
                .certificate
                .as_ref()
                .map(|certificate| certificate.as_slice()),
            Part::Key => self.key.as_ref().map(|key| key.as_slice()),
            Part::Chain => self.chain.as_deref(),
        }
    }

    fn put(&mut self, part: Part, content: Option<Vec<u8>>) {
        match part {
            Part::Certificate => self.certificate = content.map(Zeroizing::new),
            Part::Key => self.key = content.map(Zeroizing::new),
            Part::Chain => self.chain = content,
        }
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Set(…)")
    }
}

/// The generations of one target.
#[derive(Debug)]
pub(super) struct Generations<'a> {
    target: &'a Target,
    store: PathBuf,
}

impl<'a> Generations<'a> {
    /// Opens them, makes their directory if needed and cleans what a crash left half made.
    pub(super) fn open(target: &'a Target) -> Result<Self, FileError> {
        let store = target.store();
        for dir in [&target.dir().join(HIDDEN), &store] {
            own_dir(dir)?;
        }
        clean(&store)?;
        Ok(Self { target, store })
    }

    /// Takes over files that somebody put at the visible paths by hand: copied into a generation,
    /// then replaced by links of identical content, one rename at a time.
    pub(super) fn adopt(&self) -> Result<(), FileError> {
        let mut plain = Vec::new();
        for part in Part::ALL {
            if self.visible(part)? == Visible::Plain {
                plain.push(part);
            }
        }
        if plain.is_empty() {
            return Ok(());
        }
        let mut set = Set::default();
        let mut like = Vec::new();
        for part in Part::ALL {
            let path = self.target.visible(part);
            set.put(part, read_if_there(&path)?);
            like.push((part, fs::metadata(&path).ok()));
        }
        let generation = self.stage(&set, &like)?;
        self.point_current(&generation)?;
        // What a person put there is what to come back to.
        remove_if_there(&self.store.join(UNPROVEN))?;
        for part in plain {
            self.link(part)?;
        }
        sync_dir(self.target.dir())
    }

    /// Whether exactly this is in place already.
    pub(super) fn holds(&self, set: &Set) -> Result<bool, FileError> {
        if self.current()?.is_none() {
            return Ok(false);
        }
        let mut found = Set::default();
        for part in Part::ALL {
            found.put(part, read_if_there(&self.store.join(CURRENT).join(part.file()))?);
        }
        Ok(found == *set)
    }

    /// Writes a new generation beside the current one, owner and mode as they are now.
    pub(super) fn stage_like_current(&self, set: &Set) -> Result<String, FileError> {
        let like: Vec<_> = Part::ALL
            .into_iter()
            .map(|part| {
                (
                    part,
                    fs::metadata(self.store.join(CURRENT).join(part.file())).ok(),
                )
            })
            .collect();
        self.stage(set, &like)
    }

    /// Puts a generation in place. Until [`Self::proven`], [`Self::roll_back`] undoes it.
    pub(super) fn swap(&self, generation: &str) -> Result<(), FileError> {
        let unproven = self.store.join(UNPROVEN);
        // One that is there names what was proven last: better to come back to than the current one.
        if read_if_there(&unproven)?.is_none() {
            let before = self.current()?.unwrap_or_default();
            write_whole(&unproven, before.as_bytes())?;
        }
        self.point_current(generation)?;
        self.show()
    }

    /// Makes the visible links say what they should.
    pub(super) fn show(&self) -> Result<(), FileError> {
        for part in Part::ALL {
            let held = self.store.join(CURRENT).join(part.file()).exists();
            match (self.visible(part)?, held) {
                (Visible::Absent, true) => self.link(part)?,
                (Visible::Ours, false) => remove_if_there(&self.target.visible(part))?,
                _ => {}
            }
        }
        sync_dir(self.target.dir())
    }

    /// The current generation is proven: it and the one before stay, older ones go.
    pub(super) fn proven(&self) -> Result<(), FileError> {
        let marker = self.store.join(UNPROVEN);
        let Some(before) = read_if_there(&marker)? else {
            return Ok(());
        };
        let before = String::from_utf8_lossy(&before).into_owned();
        let current = self.current()?.unwrap_or_default();
        remove_if_there(&marker)?;
        self.prune(|generation| generation == current || generation == before)
    }

    /// Goes back to what was proven last, which may be nothing. Says whether there was a way back.
    pub(super) fn roll_back(&self) -> Result<bool, FileError> {
        let marker = self.store.join(UNPROVEN);
        let Some(before) = read_if_there(&marker)? else {
            return Ok(false);
        };
        let before = String::from_utf8_lossy(&before).into_owned();
        if is_generation(&before) && self.store.join(&before).is_dir() {
            self.point_current(&before)?;
            self.show()?;
            remove_if_there(&marker)?;
            self.prune(|generation| generation <= before.as_str())?;
        } else {
            // The certificate first, so that it is never there without its key.
            for part in Part::ALL.into_iter().rev() {
                if self.visible(part)? == Visible::Ours {
                    remove_if_there(&self.target.visible(part))?;
                }
            }
            remove_if_there(&self.store.join(CURRENT))?;
            remove_if_there(&marker)?;
            self.prune(|_| false)?;
        }
        sync_dir(self.target.dir())?;
        Ok(true)
    }

    fn current(&self) -> Result<Option<String>, FileError> {
        let path = self.store.join(CURRENT);
        match fs::read_link(&path) {
            Ok(link) => Ok(link
                .to_str()
                .filter(|name| is_generation(name) && self.store.join(name).is_dir())
                .map(str::to_owned)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).doing("read the link", &path),
        }
    }

    fn stage(&self, set: &Set, like: &[(Part, Option<Metadata>)]) -> Result<String, FileError> {
        let staging = self.store.join(STAGING);
        own_dir(&staging)?;
        for (part, like) in like {
            if let Some(content) = set.part(*part) {
                write_part(&staging.join(part.file()), *part, content, like.as_ref())?;
            }
        }
        sync_dir(&staging)?;
        let last = self.generations()?.into_iter().max();
        let number = last
            .and_then(|name| name.trim_start_matches('g').parse::<u64>().ok())
            .map_or(1, |number| number + 1);
        let name = format!("g{number:08}");
        let path = self.store.join(&name);
        fs::rename(&staging, &path).doing("name the generation", &path)?;
        sync_dir(&self.store)?;
        Ok(name)
    }

    fn point_current(&self, generation: &str) -> Result<(), FileError> {
        self.replace_link(Path::new(generation), &self.store.join(CURRENT))?;
        sync_dir(&self.store)
    }

    fn link(&self, part: Part) -> Result<(), FileError> {
        self.replace_link(&self.target.link(part), &self.target.visible(part))
    }

    fn replace_link(&self, to: &Path, at: &Path) -> Result<(), FileError> {
        let new = self.store.join(NEW_LINK);
        remove_if_there(&new)?;
        symlink(to, &new).doing("make the link", &new)?;
        fs::rename(&new, at).doing("replace", at)
    }

    fn visible(&self, part: Part) -> Result<Visible, FileError> {
        let path = self.target.visible(part);
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Visible::Absent),
            Err(error) => return Err(error).doing("look at", &path),
        };
        if found.is_file() {
            return Ok(Visible::Plain);
        }
        let ours =
            found.is_symlink() && fs::read_link(&path).is_ok_and(|link| link == self.target.link(part));
        if ours {
            return Ok(Visible::Ours);
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it is neither a plain file nor a link that this agent made; move it away first",
        ))
        .doing("replace", &path)
    }

    fn generations(&self) -> Result<Vec<String>, FileError> {
        Ok(fs::read_dir(&self.store)
            .doing("list", &self.store)?
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_generation(name))
            .collect())
    }

    fn prune(&self, keep: impl Fn(&str) -> bool) -> Result<(), FileError> {
        for generation in self.generations()? {
            if !keep(&generation) {
                let path = self.store.join(&generation);
                fs::remove_dir_all(&path).doing("remove", &path)?;
            }
        }
        sync_dir(&self.store)
    }
}

/// What is at a visible path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visible {
    Absent,
    Ours,
    Plain,
}

/// Cleans what crashes left half made for any target directly inside `dir`.
pub(in crate::services::agent) fn clean_all(dir: &Path, decision: &Decision) -> Result<(), FileError> {
    let hidden = dir.join(HIDDEN);
    let Ok(entries) = fs::read_dir(&hidden) else {
        return Ok(());
    };
    // A cleaning that nobody waits for any more stops: the files may be those of an installation that is under way.
    if !decision.goes_on() {
        return Ok(());
    }
    for entry in entries.filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            clean(&entry.path())?;
        }
    }
    Ok(())
}

fn clean(store: &Path) -> Result<(), FileError> {
    let staging = store.join(STAGING);
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).doing("clean", &staging);
        }
        _ => {}
    }
    remove_if_there(&store.join(NEW_LINK))
}

/// A directory of ours; a link in its place would lead writes elsewhere and is refused.
fn own_dir(path: &Path) -> Result<(), FileError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it is not a directory; move it away",
            ))
            .doing("use", path);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).doing("look at", path),
    }
    match fs::create_dir(path) {
        // Another installation was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.doing("make the directory", path)?,
    }
    // Servers that run as somebody else follow links through it; the files guard themselves.
    fs::set_permissions(path, Permissions::from_mode(0o755)).doing("set the mode of", path)
}

fn write_part(path: &Path, part: Part, content: &[u8], like: Option<&Metadata>) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .doing("create", path)?;
    file.write_all(content).doing("write", path)?;
    let is_secret = part == Part::Key || holds_key(content);
    let mut mode = if is_secret { 0o600 } else { 0o644 };
    if let Some(like) = like {
        // A file that had no key in it may have been everybody's.
        mode = like.mode() & if is_secret { 0o770 } else { 0o777 };
        let made = file.metadata().doing("look at", path)?;
        if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid())).doing("give the owner of before to", path)?;
        }
    }
    file.set_permissions(Permissions::from_mode(mode))
        .doing("set the mode of", path)?;
    file.sync_all().doing("sync", path)
}

/// Whether a private key is in it, in PEM.
fn holds_key(content: &[u8]) -> bool {
    const MARK: &[u8] = b"PRIVATE KEY-----";
    content.windows(MARK.len()).any(|window| window == MARK)
}

fn is_generation(name: &str) -> bool {
    name.len() >= 9
        && name
            .strip_prefix('g')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
#[path = "generations_tests.rs"]
mod tests;
