//! An installation, all or nothing: path and set checked, staged, swapped, reloaded, proven by a
//! handshake; or the previous set is back and the result says which step failed and why.
//!
//! Carrying the same job out again is harmless, and reloads again: that cures a server that still
//! serves the old certificate.

pub(super) mod check;
pub(super) mod generations;
pub mod paths;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::check::{Checked, check};
use self::generations::Generations;
pub use self::paths::{PathRefusal, Target};
use super::files::FileError;
use super::host::Host;
use super::managed::ManagedPath;
use super::{reload, report};
use crate::clients::tls_probe::probe;
use crate::wire::agents::{JobResult, ReportedInstallation};

/// The first pause between two attempts at a handshake; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// No pause between two attempts is longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

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
#[derive(Debug, thiserror::Error)]
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

/// Installs, and says how it ended.
pub async fn install(host: &Arc<Host>, wish: Wish) -> JobResult {
    let _one_at_a_time = host.installing.lock().await;
    match put_in_place(host, wish.clone()).await {
        Err(failure) => {
            let installation = match failure.step {
                InstallStep::Path => None,
                _ => Some(report::look(host, &wish.path).await),
            };
            failed(&failure, false, installation)
        }
        Ok(placed) => match prove(host, &placed, &wish.fingerprint_sha256).await {
            Ok(()) => finish(host, placed, &wish).await,
            Err(failure) => go_back(host, placed, failure).await,
        },
    }
}

/// A set that is at its path, not proven yet.
#[derive(Debug)]
pub struct Placed {
    target: Target,
    server_name: Option<String>,
}

/// Checks a set and puts it at its path, without reload or handshake.
pub async fn put_in_place(host: &Arc<Host>, wish: Wish) -> Result<Placed, InstallFailure> {
    let host = Arc::clone(host);
    blocking(move || place(&host, &wish))
        .await
        .at(InstallStep::Stage)?
}

fn place(host: &Host, wish: &Wish) -> Result<Placed, InstallFailure> {
    let target = Target::resolve(&wish.path, &host.config.install_dirs).at(InstallStep::Path)?;
    for (path, _) in host.managed.all() {
        let clash =
            Target::resolve(&path, &host.config.install_dirs).is_ok_and(|other| other.clashes_with(&target));
        if clash {
            let what = format!(
                "`{}` would share its key file with `{path}`; choose another name",
                wish.path
            );
            return Err(what).at(InstallStep::Path);
        }
    }
    let key = host.keys.find(&wish.spki_sha256).at(InstallStep::Key)?;
    let key = key
        .ok_or_else(|| {
            format!(
                "this agent does not hold the private key `{}` of the certificate; \
                 reissue it for this agent, or install it where its key is",
                wish.spki_sha256
            )
        })
        .at(InstallStep::Key)?;
    let Checked { set, server_name } = check(
        &wish.certificate_pem,
        &wish.chain_pem,
        &wish.fingerprint_sha256,
        &key,
        host.clock.now(),
    )
    .at(InstallStep::Check)?;
    let generations = Generations::open(&target).at(InstallStep::Stage)?;
    generations.adopt().at(InstallStep::Stage)?;
    if generations.holds(&set).at(InstallStep::Stage)? {
        generations.show().at(InstallStep::Swap)?;
    } else {
        let staged = generations.stage_like_current(&set).at(InstallStep::Stage)?;
        if let Err(failure) = generations.swap(&staged).at(InstallStep::Swap) {
            // Whether the links or the disk failed: nothing unproven may stay.
            if let Err(error) = generations.roll_back() {
                tracing::error!(path = %wish.path, %error, "the way back failed too");
            }
            return Err(failure);
        }
    }
    let now = ManagedPath {
        spki_sha256: wish.spki_sha256.clone(),
        fingerprint_sha256: wish.fingerprint_sha256.clone(),
    };
    host.managed.set(&wish.path, now).at(InstallStep::Swap)?;
    Ok(Placed { target, server_name })
}

async fn prove(host: &Host, placed: &Placed, expected: &str) -> Result<(), InstallFailure> {
    run_reload(host).await.at(InstallStep::Reload)?;
    let Some(address) = &host.config.tls_address else {
        return Ok(());
    };
    wait_served(
        host,
        address,
        placed.server_name.as_deref(),
        expected,
        host.config.handshake_timeout(),
    )
    .await
    .at(InstallStep::Handshake)
}

async fn run_reload(host: &Host) -> Result<(), reload::ReloadFailure> {
    match &host.config.reload {
        Some(command) => reload::run(command, host.config.reload_timeout()).await,
        None => Ok(()),
    }
}

/// Shakes hands until the expected certificate is served: a server may take a moment after its
/// reload command returned.
async fn wait_served(
    host: &Host,
    address: &str,
    server_name: Option<&str>,
    expected: &str,
    limit: Duration,
) -> Result<(), String> {
    let until = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let attempt = host.config.handshake_attempt().min(left);
        let seen = match probe(address, server_name, attempt).await {
            Ok(served) if served.fingerprint_sha256.eq_ignore_ascii_case(expected) => return Ok(()),
            Ok(served) => format!(
                "`{address}` serves another certificate for `{}`: `{}` (`{}`, until {})",
                server_name.unwrap_or(address),
                served.fingerprint_sha256,
                served.subject,
                served.not_after
            ),
            Err(failure) => failure.to_string(),
        };
        if until.saturating_duration_since(Instant::now()) <= pause {
            return Err(format!("{seen}, {} s after the reload", limit.as_secs()));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn finish(host: &Arc<Host>, placed: Placed, wish: &Wish) -> JobResult {
    let target = placed.target;
    let proven = blocking(move || Generations::open(&target).and_then(|generations| generations.proven()));
    if let Ok(Err(error)) | Err(error) = proven.await.map_err(FileError::from) {
        // It is served; that old generations stay is for the log.
        tracing::warn!(path = %wish.path, %error, "the previous generations could not be tidied up");
    }
    tracing::info!(path = %wish.path, fingerprint = %wish.fingerprint_sha256, "installed `{}`", wish.path);
    JobResult {
        done: true,
        failed_step: None,
        error: None,
        rolled_back: false,
        installation: Some(report::look(host, &wish.path).await),
    }
}

async fn go_back(host: &Arc<Host>, placed: Placed, mut failure: InstallFailure) -> JobResult {
    let target = placed.target;
    let path = target.path.clone();
    let back = blocking(move || Generations::open(&target).and_then(|generations| generations.roll_back()));
    let rolled_back = match back.await.map_err(FileError::from).and_then(|back| back) {
        Ok(rolled_back) => rolled_back,
        Err(error) => {
            failure.what = format!("{}; the way back failed too: {error}", failure.what);
            false
        }
    };
    let mut now = report::look(host, &path).await;
    if rolled_back {
        if let Some(fingerprint) = &now.on_disk_sha256 {
            remember(host, &path, fingerprint);
        }
        // With nothing to go back to there may be nothing that the command could load.
        if let Err(error) = run_reload(host).await
            && now.on_disk_sha256.is_some()
        {
            failure.what = format!("{}; with the previous set back, {error}", failure.what);
        }
        if let (Some(address), Some(fingerprint)) = (&host.config.tls_address, &now.on_disk_sha256) {
            let name = report::server_name_at(&path);
            let limit = host.config.handshake_attempt();
            // Only so that the look below finds it settled; what is served then is reported as it is.
            let _ = wait_served(host, address, name.as_deref(), fingerprint, limit).await;
        }
        now = report::look(host, &path).await;
    }
    failed(&failure, rolled_back, Some(now))
}

fn remember(host: &Host, path: &str, fingerprint: &str) {
    let Some(spki_sha256) = report::spki_at(path) else {
        return;
    };
    let now = ManagedPath {
        spki_sha256,
        fingerprint_sha256: fingerprint.to_owned(),
    };
    if let Err(error) = host.managed.set(path, now) {
        tracing::warn!(path, %error, "what is back at `{path}` could not be noted");
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

/// Files are slow and keys slower: off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stopped> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Stopped)
}

#[derive(Debug, thiserror::Error)]
#[error("the agent was stopped in the middle")]
struct Stopped;

impl From<Stopped> for FileError {
    fn from(stopped: Stopped) -> Self {
        Self {
            doing: "finish",
            path: "the installation".into(),
            source: std::io::Error::other(stopped),
        }
    }
}
