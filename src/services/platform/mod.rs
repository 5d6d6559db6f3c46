//! The embedded platform: everything in one process on loopback, for `demo`. It wires and seeds; the
//! services themselves are next door and know nothing of it.
//!
//! Its state directory holds the unseal keys beside what they unseal (`demo-secrets.json`), so that it
//! comes up again by itself. That is a demo's privilege; no real platform may do so.

mod answers;
mod error;
mod fleet;
mod layout;
mod listeners;
mod port_owner;
mod ready;
mod running;
mod secrets;
mod seed;
mod state_dir;

use std::path::PathBuf;

use crate::clock::Clock;
use crate::domain::secret::Secret;
use crate::services::vault::Vault;
use crate::store::Store;

pub use error::PlatformError;
pub use listeners::{BindError, Ports};
pub use ready::ReadyAgent;
pub use state_dir::StateDirError;

use layout::{HostPlace, Layout};
use listeners::Listeners;
use ready::Ready;
use running::Running;
use secrets::DemoSecrets;
use state_dir::StateDir;

/// The subcommand of [`Options::program`] that the agents run as their reload command, with the control
/// socket of the server as its only argument.
pub const RELOAD_SUBCOMMAND: &str = "demo-reload";

/// A state directory with a longer path leaves no room for the names of sockets in it.
const LONGEST_FOR_SOCKETS: usize = 60;

/// How the platform is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its state is kept; a temporary directory without it.
    pub state: Option<PathBuf>,
    /// Its ports.
    pub ports: Ports,
    /// This program, which knows `demo-reload`: what the agents run after an installation.
    pub program: PathBuf,
}

/// The platform with its ports bound and its state directory locked; nothing is served yet.
#[derive(Debug)]
pub struct Bound {
    state: StateDir,
    /// Where sockets are, if the state directory's path is too long for them.
    sockets: Option<StateDir>,
    listeners: Listeners,
    program: PathBuf,
}

/// How a console connects.
#[derive(Clone, Debug)]
pub struct Access {
    /// `http://127.0.0.1:8082`
    pub api: String,
    /// `http://127.0.0.1:8200`
    pub vault: String,
    /// An API token that may operate.
    pub operator_token: Secret,
    /// An API token that may look.
    pub viewer_token: Secret,
    /// A token at Vault for a test issuance and for reading what is mounted.
    pub vault_token: Secret,
    /// Where the PKI engine is mounted.
    pub pki_mount: String,
    /// The role that signs.
    pub pki_role: String,
    /// The role that a test issuance is made with.
    pub pki_test_role: String,
}

/// The platform, running. Dropped without [`Platform::shutdown`], its tasks end all the same.
pub struct Platform {
    secrets: DemoSecrets,
    access: Access,
    database_url: String,
    ca_chain: PathBuf,
    agents: Vec<ReadyAgent>,
    running: Running,
    // The last to go: what it holds is in use until then.
    sockets: Option<StateDir>,
    state: StateDir,
}

impl Platform {
    /// Binds all ports and takes the state directory, at once and before anything else.
    ///
    /// # Errors
    /// A port is in use, or the state directory can't be had.
    pub fn bind(options: &Options) -> Result<Bound, PlatformError> {
        let listeners = listeners::bind_all(options.ports, &layout::wanted_hosts())?;
        let state = match &options.state {
            Some(path) => StateDir::kept(path)?,
            None => StateDir::temporary()?,
        };
        let sockets = if state.path().as_os_str().len() > LONGEST_FOR_SOCKETS {
            Some(StateDir::temporary()?)
        } else {
            None
        };
        Ok(Bound {
            state,
            sockets,
            listeners,
            program: options.program.clone(),
        })
    }

    /// How a console connects.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The database, such as `sqlite:///tmp/cmp-demo-x/cmp.db`.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The agents, the one that is gone among them.
    #[must_use]
    pub fn agents(&self) -> &[ReadyAgent] {
        &self.agents
    }

    /// The line that `demo --headless` prints: one JSON object. It holds all of the demo's secrets.
    #[must_use]
    pub fn ready_line(&self) -> Secret {
        let ready = Ready {
            api: &self.access.api,
            vault: &self.access.vault,
            secrets: &self.secrets,
            database_url: &self.database_url,
            ca_chain: &self.ca_chain,
            agents: &self.agents,
        };
        ready.line()
    }

    /// Ends everything, what is under way within a time limit, and removes a temporary state.
    pub async fn shutdown(self) {
        self.running.stop().await;
        drop(self.sockets);
        drop(self.state);
    }
}

impl Bound {
    /// Where the demo's unseal keys and tokens will be.
    #[must_use]
    pub fn secrets_file(&self) -> PathBuf {
        self.state.path().join(secrets::FILE)
    }

    /// Fills an empty state, starts everything and waits until everything answers.
    ///
    /// # Errors
    /// Something doesn't come up; what was started is ended.
    pub async fn start(self) -> Result<Platform, PlatformError> {
        let Self {
            state,
            sockets,
            listeners,
            program,
        } = self;
        // Beside the start, because it may have much to remove.
        let sweeping = tokio::task::spawn_blocking(state_dir::sweep);
        let layout = Layout::new(state.path(), &listeners);
        let socket_dir = sockets.as_ref().unwrap_or(&state).path().to_owned();
        let places = HostPlace::all(&layout, &socket_dir, &listeners);
        let is_filled = state.is_filled();
        if !is_filled {
            state.clear()?;
        }
        let (store_clock, vault_clock) = (Clock::system(), Clock::system());
        let now = store_clock.now();
        let database_url = layout.database_url();
        let store = Store::open(&database_url, store_clock)
            .await
            .map_err(PlatformError::store("opening the demo's database"))?;
        let vault = Vault::open(&layout.vault_dir(), vault_clock.clone())
            .map_err(|error| PlatformError::Part(format!("opening the demo's Vault: {error}")))?;
        let (secrets, afterwards) = if is_filled {
            let secrets =
                DemoSecrets::load(state.path()).map_err(PlatformError::io("reading the demo's secrets"))?;
            running::relocate(&store, &places, &layout)
                .await
                .map_err(PlatformError::store("recording the new addresses"))?;
            (secrets, None)
        } else {
            let (secrets, afterwards) =
                seed::fill(&layout, &places, &store, vault.clone(), vault_clock, now).await?;
            (secrets, Some(afterwards))
        };
        let agents = running::ready_agents(&store, &places)
            .await
            .map_err(PlatformError::store("reading the agents"))?;
        let access = access(&layout, &secrets);
        let running = Running::start(
            running::Parts {
                store,
                vault,
                listeners,
                layout: &layout,
                places: &places,
                program,
                issuer_token: secrets.issuer_token.clone(),
            },
            afterwards,
        )
        .await?;
        let platform = Platform {
            secrets,
            access,
            database_url,
            ca_chain: layout.ca_chain(),
            agents,
            running,
            sockets,
            state,
        };
        if let Err(error) = answers::all(&platform.access, &places).await {
            platform.shutdown().await;
            return Err(error);
        }
        if !is_filled {
            platform.state.mark_filled()?;
        }
        if let Err(error) = sweeping.await {
            tracing::warn!(%error, "leftovers of dead runs could not be swept");
        }
        Ok(platform)
    }
}

fn access(layout: &Layout, secrets: &DemoSecrets) -> Access {
    Access {
        api: layout.api_address.clone(),
        vault: layout.vault_address.clone(),
        operator_token: secrets.operator_token.clone(),
        viewer_token: secrets.viewer_token.clone(),
        vault_token: secrets.console_token.clone(),
        pki_mount: seed::MOUNT.to_owned(),
        pki_role: seed::ROLE.to_owned(),
        pki_test_role: seed::TEST_ROLE.to_owned(),
    }
}
