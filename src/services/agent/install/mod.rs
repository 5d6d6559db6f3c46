//! Installations, each all or nothing: path and set checked, staged, swapped, reloaded, proven by handshakes; or the
//! previous set is back and the result says which step failed and why. What arrives together is reloaded once
//! (`together.rs`).
//!
//! Carrying the same job out again is harmless, and reloads again: that cures a server that still
//! serves the old certificate.

pub(super) mod check;
pub(super) mod generations;
pub mod paths;
mod place;
mod prove;
mod together;

pub use self::paths::{PathRefusal, Target};
pub(super) use self::together::install_all;
use crate::wire::agents::{JobResult, ReportedInstallation};

/// What to install where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where.
    pub path: String,
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// Its issuers in PEM, the nearest first.
    pub chain_pem: String,
    /// Its fingerprint.
    pub fingerprint_sha256: String,
    /// Its key's SPKI hash.
    pub spki_sha256: String,
}

/// Where an installation failed, in the words of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallStep {
    /// The path isn't allowed.
    Path,
    /// The key isn't held.
    Key,
    /// The set doesn't fit together.
    Check,
    /// The files can't be written.
    Stage,
    /// They can't be put in place.
    Swap,
    /// The reload command.
    Reload,
    /// The handshake.
    Handshake,
}

impl InstallStep {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Key => "key",
            Self::Check => "check",
            Self::Stage => "stage",
            Self::Swap => "swap",
            Self::Reload => "reload",
            Self::Handshake => "handshake",
        }
    }
}

/// What went wrong at which step.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct InstallFailure {
    /// The step.
    pub step: InstallStep,
    /// What happened.
    pub what: String,
}

trait At<T> {
    fn at(self, step: InstallStep) -> Result<T, InstallFailure>;
}

impl<T, E: std::fmt::Display> At<T> for Result<T, E> {
    fn at(self, step: InstallStep) -> Result<T, InstallFailure> {
        self.map_err(|error| InstallFailure {
            step,
            what: error.to_string(),
        })
    }
}

fn done(installation: ReportedInstallation) -> JobResult {
    JobResult {
        installation: Some(installation),
        ..JobResult::done()
    }
}

fn failed(
    failure: &InstallFailure,
    rolled_back: bool,
    installation: Option<ReportedInstallation>,
) -> JobResult {
    JobResult {
        done: false,
        failed_step: Some(failure.step.word().to_owned()),
        error: Some(failure.what.clone()),
        rolled_back,
        installation,
    }
}
