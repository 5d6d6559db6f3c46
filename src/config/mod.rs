//! Configuration files: found, read, and refused with the line, what is wrong and what is allowed.
//! Reading one changes nothing and connects to nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

pub mod agent;
pub mod console;
pub mod limits;
pub mod memory;
pub mod pem_file;
pub mod secret;
pub mod server;

use secret::SecretSource;

/// Why a configuration file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It can't be read at all.
    #[error("the configuration file `{}` can't be read: {error}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("the configuration file `{}` is wrong in line {line}: {what}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong and what is allowed.
        what: String,
    },
    /// Something is wrong that no line of a file says: it is missing, or comes from the command line.
    #[error("{0}")]
    Misfit(Misfit),
}

/// A value that isn't allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {what}")]
pub struct Misfit {
    /// Its name in the file, with its sections, such as `api.tls_key`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl Misfit {
    /// That `field` has a value that isn't allowed.
    pub fn new(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            what: what.into(),
        }
    }
}

/// A file that was read, for whoever finds something wrong in it later.
#[derive(Clone, Debug, Default)]
pub struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The misfit as an error, with its place in the file if it stands there.
    #[must_use]
    pub fn place(&self, misfit: Misfit) -> ConfigError {
        match find(&self.text, &misfit.field) {
            Some(at) => self.wrong(at, misfit.to_string()),
            None if self.path.as_os_str().is_empty() => ConfigError::Misfit(misfit),
            None => {
                let path = self.path.display();
                let what = format!("{} (in `{path}` or on the command line)", misfit.what);
                ConfigError::Misfit(Misfit { what, ..misfit })
            }
        }
    }

    /// That secrets are written in it though others may read it.
    ///
    /// # Errors
    /// The first such secret.
    fn keeps<'a>(&self, secrets: impl IntoIterator<Item = &'a SecretSource>) -> Result<(), ConfigError> {
        match secrets.into_iter().find_map(SecretSource::written_at) {
            Some(at) => self.private(at),
            None => Ok(()),
        }
    }

    /// That nobody else may read the file, since the value of `field` holds a secret.
    ///
    /// # Errors
    /// That others may.
    pub fn must_be_private(&self, field: &str) -> Result<(), ConfigError> {
        self.private(find(&self.text, field).unwrap_or(0))
    }

    fn private(&self, at: usize) -> Result<(), ConfigError> {
        let unreadable = |error| ConfigError::Unreadable {
            path: self.path.clone(),
            error,
        };
        let mode = std::fs::metadata(&self.path)
            .map_err(unreadable)?
            .permissions()
            .mode();
        if secret::is_open(mode) {
            let path = self.path.display();
            return Err(self.wrong(
                at,
                format!(
                    "a secret stands in a file that everybody on this host can read or change; run `chmod 600 {path}`, \
                     or name where it comes from: {{ env = … }}, {{ file = … }} or {{ command = … }}"
                ),
            ));
        }
        Ok(())
    }

    fn wrong(&self, at: usize, what: String) -> ConfigError {
        ConfigError::Wrong {
            path: self.path.clone(),
            line: line_of(&self.text, at),
            what,
        }
    }
}

/// Reads the TOML file at `path`.
///
/// # Errors
/// That it can't be read, or which line is wrong, how, and what is allowed there.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, Source), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let value = parse(path, &text)?;
    Ok((
        value,
        Source {
            path: path.to_owned(),
            text,
        },
    ))
}

/// Reads TOML `text` that stands in `path`.
///
/// # Errors
/// See [`read`].
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        ConfigError::Wrong {
            path: path.to_owned(),
            line: line_of(text, at),
            what: error.message().replace('\n', " "),
        }
    })
}

/// The byte at which the value of a dotted name stands.
fn find(text: &str, field: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut at = None;
    let mut inner = Some(table.get_ref());
    for name in field.split('.') {
        let value = inner?.get(name)?;
        at = Some(value.span().start);
        inner = match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        };
    }
    at
}

/// The line, counted from 1, that the byte at `at` is in.
fn line_of(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_found_by_its_name() {
        let source = Source {
            path: "x.toml".into(),
            text: "name = \"a\"\n\n[api]\n# tls_key\ntls_key = \"k\"\n".to_owned(),
        };
        let said = |field| source.place(Misfit::new(field, "is wrong")).to_string();
        assert_eq!(
            said("api.tls_key"),
            "the configuration file `x.toml` is wrong in line 5: `api.tls_key` is wrong"
        );
        assert!(said("name").contains("line 1"));
        assert_eq!(
            said("vault.role"),
            "`vault.role` is wrong (in `x.toml` or on the command line)"
        );
        let nowhere = Source::default().place(Misfit::new("vault.role", "is wrong"));
        assert_eq!(nowhere.to_string(), "`vault.role` is wrong");
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text in "\\PC{0,200}") {
            let _ = parse::<console::ConsoleConfig>(Path::new("x.toml"), &text);
            let _ = parse::<server::ServerConfig>(Path::new("x.toml"), &text);
            let _ = parse::<agent::AgentConfig>(Path::new("x.toml"), &text);
        }
    }
}
