//! Reasons that there is no secret, in words that have nothing of it.

use std::path::PathBuf;
use std::time::Duration;

/// Last words of a command's stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is empty.
    Nothing,
    /// All of it.
    All(String),
    /// Its end.
    End(String),
    /// Something in it looks like key material or a token.
    Secret,
}

/// Reason that there is no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The variable isn't set, or not as text.
    #[error("the environment variable `{0}` is not set")]
    NotSet(String),
    /// The file isn't there.
    #[error("the file `{}` is not there", .0.display())]
    NoFile(PathBuf),
    /// The file can't be read.
    #[error("the file `{}` can't be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// Everybody on this host may read or write it.
    #[error("the file `{0}` can be read or changed by everybody on this host; run `chmod 600 {0}`, and change the secret if others are on it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// The command can't be started.
    #[error("the command `{program}` can't be started: {why}")]
    NotStarted {
        /// The program.
        program: String,
        /// The reason.
        why: String,
    },
    /// The command failed.
    #[error("the command `{program}` {how}{}", told(said))]
    Failed {
        /// The program.
        program: String,
        /// Its exit code or signal.
        how: String,
        /// The end of its stderr, if that can be told.
        said: Said,
    },
    /// The command did not end.
    #[error("the command `{program}` did not end within {} s; it has no terminal to ask on", limit.as_secs())]
    TooSlow {
        /// The program.
        program: String,
        /// Time that it had.
        limit: Duration,
    },
    /// The command is not run for this.
    #[error("the command `{program}` is run only for the context that is opened")]
    NotRun {
        /// The program.
        program: String,
    },
    /// This process was given no credentials, or not this one.
    #[error("there is no credential `{0}`: systemd gives it to a unit with `LoadCredential={0}:/path`")]
    NoCredential(String),
    /// There is nothing in it.
    #[error("{0} is empty")]
    Empty(String),
    /// The variable is no text.
    #[error("the environment variable `{0}` is no text in UTF-8")]
    NoText(String),
    /// The secret can't be sent in a header.
    #[error("what {from} holds can't be a token: {why}")]
    NoToken {
        /// Its source.
        from: String,
        /// The fault in it.
        why: &'static str,
    },
}

impl SecretError {
    /// There is no such thing, as opposed to one that can't be used.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::NotSet(_) | Self::NoFile(_) | Self::NoCredential(_) | Self::Empty(_)
        )
    }
}

fn told(said: &Said) -> String {
    match said {
        Said::Nothing => String::new(),
        Said::All(said) => format!(" and said: {said}"),
        Said::End(said) => format!(" and said at its end: {said}; run it by hand to see all"),
        Said::Secret => {
            "; what it wrote to stderr may hold a secret and isn't shown: run it by hand to see it".to_owned()
        }
    }
}
