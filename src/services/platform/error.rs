//! Why the embedded platform doesn't come up, as sentences.

use std::io;

use super::listeners::BindError;
use super::state_dir::StateDirError;
use crate::store::StoreError;

/// Why the embedded platform doesn't come up.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// A port could not be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The state directory could not be had.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database refused.
    #[error("{doing}: {}", chain(.source))]
    Store {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: Box<StoreError>,
    },
    /// The bundled Vault refused.
    #[error("{doing}: Vault said {words}")]
    Vault {
        /// What was being done.
        doing: &'static str,
        /// Its words.
        words: String,
    },
    /// The system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why.
        source: io::Error,
    },
    /// A key or a certificate could not be made.
    #[error("making the demo's keys: {0}")]
    Keys(#[from] rcgen::Error),
    /// A part ended when it should have gone on.
    #[error("{0}")]
    Part(String),
}

impl PlatformError {
    pub(super) fn store(doing: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store {
            doing,
            source: Box::new(source),
        }
    }

    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words.push_str(": ");
        words.push_str(&inner.to_string());
        cause = inner.source();
    }
    words
}
