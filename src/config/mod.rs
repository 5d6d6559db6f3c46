//! Configuration files: found, read, and refused with the line, what is wrong and what is allowed.
//! Reading one changes nothing and connects to nothing.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub mod agent;
pub mod console;

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
}

/// Reads the TOML file at `path`; gives its text as well.
///
/// # Errors
/// That it can't be read, or which line is wrong, how, and what is allowed there.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, String), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    Ok((parse(path, &text)?, text))
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

/// The line, counted from 1, that the byte at `at` is in.
fn line_of(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text in "\\PC{0,200}") {
            let _ = parse::<console::ConsoleConfig>(Path::new("x.toml"), &text);
        }
    }
}
