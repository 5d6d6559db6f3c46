//! What the agent has on its host: configuration, clock, keys, managed paths. Shared by everything
//! that carries out a job; it knows nothing of the platform.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::AgentError;
use super::challenges::Challenges;
use super::files::FileError;
use super::install::generations::clean_all;
use super::install::paths::Target;
use super::keys::KeyStore;
use super::managed::Managed;
use super::patience::{Decision, Patience};
use crate::clock::Clock;
use crate::config::agent::AgentConfig;

/// Time for the cleaning of one directory before the agent goes on without it.
const TIDY_LIMIT: Duration = Duration::from_secs(5);

/// Certificate that was last seen both on disk and in all handshakes.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    /// The certificate's fingerprint.
    pub(super) fingerprint: String,
    /// The issuer that was not sent with it.
    pub(super) chain_missing: Option<String>,
    /// Server name that a client asks for to be shown it.
    pub(super) server_name: Option<String>,
    /// Time of that look; none where a later one found a difference.
    pub(super) at: Option<Instant>,
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
    /// Opens the state directory. Directories of installations are another file system's, perhaps, and looked at
    /// by [`Self::tidy`].
    pub fn open(config: AgentConfig, clock: Clock) -> Result<Self, AgentError> {
        config.check().map_err(AgentError::Config)?;
        super::files::private_dir(&config.state_dir)?;
        let keys = KeyStore::open(&config.state_dir)?;
        let managed = Managed::open(&config.state_dir)?;
        let challenges = Challenges::open(&config.state_dir, clock.now())?;
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

    /// Cleans what a crash left half made, before anything new is made. A directory whose file system hangs is told
    /// and waited for no longer: everything else goes on, and the next installation there cleans its own place.
    pub(super) async fn tidy(&self) {
        let managed = self.managed.all().into_iter();
        let of_managed = managed.filter_map(|(path, _)| Some(Path::new(&path).parent()?.to_owned()));
        let dirs: BTreeSet<PathBuf> = self
            .config
            .install_dirs
            .iter()
            .cloned()
            .chain(of_managed)
            .collect();
        let allowed = self.config.install_dirs.clone();
        let clean = move |dir: &Path, decision: &Decision| {
            // A directory that was allowed before may not be any more.
            let any = dir.join("any.pem").display().to_string();
            match Target::resolve(&any, &allowed) {
                Ok(target) => clean_all(target.dir(), decision),
                Err(_) => Ok(()),
            }
        };
        for why in tidy(&self.patience, dirs, TIDY_LIMIT, clean).await {
            tracing::warn!("leftovers of an interrupted installation stay: {why}");
        }
    }

    /// The next report makes every handshake anew: somebody asked.
    pub(super) fn forget_handshakes(&self) {
        if let Ok(mut agreed) = self.agreed.lock() {
            agreed.clear();
        }
    }
}

/// Has each of these cleaned, all at once, and says why some are not.
async fn tidy(
    patience: &Patience,
    dirs: BTreeSet<PathBuf>,
    limit: Duration,
    clean: impl Fn(&Path, &Decision) -> Result<(), FileError> + Clone + Send + 'static,
) -> Vec<String> {
    let cleaned = dirs.into_iter().map(async |dir| {
        let (place, clean) = (dir.display().to_string(), clean.clone());
        let cleaned = patience.within(&place, limit, move |decision| clean(&dir, decision));
        match cleaned.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(unfinished) => Some(unfinished.to_string()),
        }
    });
    join_all(cleaned).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    #[tokio::test]
    async fn a_directory_that_hangs_is_told_and_the_others_are_cleaned() {
        let (let_go, hangs) = mpsc::channel::<()>();
        let hangs = Arc::new(Mutex::new(hangs));
        let (cleaned, seen) = mpsc::channel();
        let clean = move |dir: &Path, decision: &Decision| {
            if dir.ends_with("mount") {
                let _until = hangs.lock().unwrap().recv();
            }
            if decision.goes_on() {
                cleaned.send(dir.to_owned()).unwrap();
            }
            Ok(())
        };
        let dirs = ["/a", "/mount", "/z"].map(PathBuf::from).into();
        let told = tidy(&Patience::default(), dirs, Duration::from_millis(50), clean).await;
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("`/mount` has not answered"), "{told:?}");
        // The directory comes back when installations may be under way there, so nothing in it is touched any more.
        let_go.send(()).unwrap();
        let mut all: Vec<PathBuf> = seen.iter().collect();
        all.sort();
        assert_eq!(all, ["/a", "/z"].map(PathBuf::from));
    }

    #[tokio::test]
    async fn leftovers_are_cleaned_in_what_is_allowed_alone() {
        let dir = tempfile::tempdir().unwrap();
        let leave = |at: &str| {
            let staging = dir.path().join(at).join(".cmp/site/staging");
            std::fs::create_dir_all(&staging).unwrap();
            std::fs::write(staging.join("key.pem"), "half").unwrap();
            staging
        };
        let (ours, below, others) = (leave("ssl"), leave("ssl/shop"), leave("others"));
        let config = AgentConfig::new(
            "web-01",
            dir.path().join("state"),
            "http://127.0.0.1:1".to_owned(),
            vec![dir.path().join("ssl")],
        );
        let host = Host::open(config, Clock::system()).unwrap();
        for path in ["ssl/shop/site.pem", "others/site.pem"] {
            let was = super::super::managed::ManagedPath {
                spki_sha256: String::new(),
                fingerprint_sha256: String::new(),
            };
            let path = dir.path().join(path).display().to_string();
            host.managed.set(&path, was).unwrap();
        }
        assert!(ours.exists(), "opening looks at no directory of installations");
        host.tidy().await;
        assert!(!ours.exists() && !below.exists() && others.exists());
    }
}
