//! What the agent has on its host: configuration, clock, keys, managed paths. Shared by everything
//! that carries out a job; it knows nothing of the platform.

use std::collections::HashMap;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::AgentError;
use super::challenges::Challenges;
use super::install::generations::clean_all;
use super::install::paths::Target;
use super::keys::KeyStore;
use super::managed::Managed;
use super::patience::Patience;
use crate::clock::Clock;
use crate::config::agent::AgentConfig;

/// What was the same on disk and in all handshakes.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    /// The certificate's fingerprint.
    pub(super) fingerprint: String,
    /// The issuer that was not sent with it.
    pub(super) chain_missing: Option<String>,
    /// When.
    pub(super) at: Instant,
}

/// The host as the agent knows it.
#[derive(Debug)]
pub struct Host {
    /// What the person who runs the host decided.
    pub config: AgentConfig,
    /// What time it is.
    pub clock: Clock,
    /// The private keys.
    pub keys: KeyStore,
    /// The paths that it looks after.
    pub managed: Managed,
    /// What CAs are to find under `/.well-known/acme-challenge/`.
    pub(super) challenges: Challenges,
    /// Where disk and handshakes agreed lately. Handshakes cost both sides, so that reports that follow each other
    /// closely repeat only what was not as it should be.
    pub(super) agreed: std::sync::Mutex<HashMap<String, Agreed>>,
    /// What is under way on the host's files, some of which may hang.
    pub(super) patience: Patience,
    /// One row of installations at a time: reloads of one server must not cross.
    pub(super) installing: Mutex<()>,
}

impl Host {
    /// Opens the state directory and cleans what a crash left half made.
    pub fn open(config: AgentConfig, clock: Clock) -> Result<Self, AgentError> {
        config.check().map_err(AgentError::Config)?;
        super::files::private_dir(&config.state_dir)?;
        let keys = KeyStore::open(&config.state_dir)?;
        let managed = Managed::open(&config.state_dir)?;
        let challenges = Challenges::open(&config.state_dir, clock.now())?;
        let of_managed = managed.all().into_iter().filter_map(|(path, _)| {
            Target::resolve(&path, &config.install_dirs)
                .ok()
                .map(|target| target.dir().to_owned())
        });
        for dir in config.install_dirs.iter().cloned().chain(of_managed) {
            // What can't be cleaned now is met again by the next installation there.
            if let Err(error) = clean_all(&dir) {
                tracing::warn!(%error, "leftovers of an interrupted installation stay");
            }
        }
        Ok(Self {
            config,
            clock,
            keys,
            managed,
            challenges,
            agreed: std::sync::Mutex::default(),
            patience: Patience::default(),
            installing: Mutex::new(()),
        })
    }

    /// The next report makes every handshake anew: somebody asked.
    pub(super) fn forget_handshakes(&self) {
        if let Ok(mut agreed) = self.agreed.lock() {
            agreed.clear();
        }
    }
}
