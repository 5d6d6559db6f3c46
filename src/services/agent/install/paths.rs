//! Which paths may be installed at, and what the three files of a set are called.
//!
//! A path comes from the server, so it is judged as hostile: only a name directly inside a real
//! directory that lies in one of the configured ones passes. Nothing is written here.

use std::io;
use std::path::{Path, PathBuf};

pub(super) use crate::domain::install_path::HIDDEN;
use crate::domain::install_path::{Parts, parts};

/// A path was refused.
#[derive(Debug, thiserror::Error)]
pub enum PathRefusal {
    /// The text itself can't be a path to install at.
    #[error("`{path}` {why}")]
    Malformed {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Its directory can't be looked at.
    #[error("the directory of `{path}` can't be used: {source}")]
    Directory {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It lies elsewhere.
    #[error("`{path}` lies in `{real}`, outside of the directories that this agent's configuration allows: {allowed}", real = real.display())]
    Outside {
        /// The path.
        path: String,
        /// Its directory after following symbolic links.
        real: PathBuf,
        /// The allowed ones.
        allowed: String,
    },
}

/// One of the three files of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The certificate alone.
    Certificate,
    /// Its private key.
    Key,
    /// Its issuers.
    Chain,
}

impl Part {
    /// The order in which links appear: the certificate last, so that it is never there without its key.
    pub(super) const ALL: [Self; 3] = [Self::Key, Self::Chain, Self::Certificate];

    /// The file's name inside a generation.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Certificate => "cert.pem",
            Self::Key => "key.pem",
            Self::Chain => "chain.pem",
        }
    }
}

/// A path that may be installed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The path as it was asked for.
    pub path: String,
    /// Its directory, symbolic links followed.
    dir: PathBuf,
    /// The file's name.
    name: String,
    /// The name without its extension.
    stem: String,
}

impl Target {
    /// Judges a path against the directories that the configuration allows.
    pub fn resolve(path: &str, install_dirs: &[PathBuf]) -> Result<Self, PathRefusal> {
        let Parts {
            dir: parent,
            name,
            stem,
        } = parts(path).map_err(|why| PathRefusal::Malformed {
            path: path.to_owned(),
            why,
        })?;
        let dir = Path::new(parent)
            .canonicalize()
            .map_err(|source| PathRefusal::Directory {
                path: path.to_owned(),
                source,
            })?;
        // Directories that begin the path as it is written come first: another one may be on a mount that hangs.
        let mut allowed: Vec<&PathBuf> = install_dirs.iter().collect();
        allowed.sort_by_key(|allowed| !Path::new(parent).starts_with(allowed));
        let inside = allowed
            .into_iter()
            .filter_map(|allowed| allowed.canonicalize().ok())
            .any(|allowed| dir.starts_with(allowed));
        if !inside || dir.components().any(|part| part.as_os_str() == HIDDEN) {
            return Err(PathRefusal::Outside {
                path: path.to_owned(),
                real: dir,
                allowed: words(install_dirs),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            dir,
            name: name.to_owned(),
            stem: stem.to_owned(),
        })
    }

    /// The directory that holds the visible files.
    pub(in crate::services::agent) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where servers read this part.
    pub(super) fn visible(&self, part: Part) -> PathBuf {
        match part {
            Part::Certificate => self.dir.join(&self.name),
            Part::Key => self.dir.join(format!("{}.key", self.stem)),
            Part::Chain => self.dir.join(format!("{}.chain.pem", self.stem)),
        }
    }

    /// Where its generations are kept.
    pub(super) fn store(&self) -> PathBuf {
        self.dir.join(HIDDEN).join(&self.stem)
    }

    /// What the visible link says: relative, so that a moved tree still works.
    pub(super) fn link(&self, part: Part) -> PathBuf {
        Path::new(HIDDEN)
            .join(&self.stem)
            .join("current")
            .join(part.file())
    }

    /// Whether it is worth asking where a path leads: by its words alone, since asking may take long.
    pub(super) fn may_clash_with(&self, path: &str) -> bool {
        parts(path).is_ok_and(|it| it.stem == self.stem && it.name != self.name)
    }

    /// Whether two certificates would share one key file.
    pub(super) fn clashes_with(&self, other: &Self) -> bool {
        self.dir == other.dir && self.stem == other.stem && self.name != other.name
    }
}

fn words(dirs: &[PathBuf]) -> String {
    dirs.iter()
        .map(|dir| format!("`{}`", dir.display()))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_derive_from_the_stem() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let allowed = [dir.path().to_owned()];
        for (file, key, chain) in [
            ("site.pem", "site.key", "site.chain.pem"),
            ("site.v2.crt", "site.v2.key", "site.v2.chain.pem"),
            ("site", "site.key", "site.chain.pem"),
        ] {
            let path = dir.path().join(file);
            let target = Target::resolve(path.to_str().unwrap(), &allowed).unwrap();
            assert_eq!(target.visible(Part::Certificate), real.join(file));
            assert_eq!(target.visible(Part::Key), real.join(key));
            assert_eq!(target.visible(Part::Chain), real.join(chain));
        }
    }

    #[test]
    fn a_symlink_out_of_the_directory_is_refused_and_one_into_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink(&outside, inside.join("escape")).unwrap();
        symlink(&inside, outside.join("entry")).unwrap();
        let allowed = [inside.clone()];
        let escape = inside.join("escape/site.pem");
        assert!(matches!(
            Target::resolve(escape.to_str().unwrap(), &allowed),
            Err(PathRefusal::Outside { .. })
        ));
        let entry = outside.join("entry/site.pem");
        assert!(Target::resolve(entry.to_str().unwrap(), &allowed).is_ok());
        let missing = inside.join("missing/site.pem");
        assert!(matches!(
            Target::resolve(missing.to_str().unwrap(), &allowed),
            Err(PathRefusal::Directory { .. })
        ));
    }

    #[test]
    fn a_prefix_of_the_name_is_not_inside() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("ssl")).unwrap();
        fs::create_dir(dir.path().join("ssl-old")).unwrap();
        let path = dir.path().join("ssl-old/site.pem");
        assert!(Target::resolve(path.to_str().unwrap(), &[dir.path().join("ssl")]).is_err());
    }

    proptest! {
        #[test]
        fn nothing_escapes(steps in prop::collection::vec("(\\.\\.|\\.|a|b|up|[a-z.]{1,6}|\\PC{0,4})", 0..6)) {
            let dir = tempfile::tempdir().unwrap();
            let inside = dir.path().canonicalize().unwrap().join("in");
            fs::create_dir_all(inside.join("a/b")).unwrap();
            symlink("..", inside.join("up")).unwrap();
            let path = format!("{}/{}", inside.display(), steps.join("/"));
            if let Ok(target) = Target::resolve(&path, std::slice::from_ref(&inside)) {
                for part in Part::ALL {
                    let visible = target.visible(part);
                    let parent = visible.parent().unwrap().canonicalize().unwrap();
                    prop_assert!(parent.starts_with(&inside), "{path} -> {}", visible.display());
                    prop_assert!(!visible.components().any(|step| step.as_os_str() == ".."));
                }
                prop_assert!(target.store().starts_with(&inside));
            }
        }
    }
}
