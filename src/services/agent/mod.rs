//! The agent on a host: makes keys, installs certificates, reports. It takes jobs only from the
//! platform it enrolled with, writes only where its own configuration allows, and runs only the
//! command written there.

mod challenge_listener;
mod challenges;
mod checkin;
mod enrol;
mod files;
mod host;
mod identity;
pub mod install;
mod jobs;
pub mod keys;
pub mod managed;
mod next_identity;
mod patience;
mod reload;
mod report;
mod schedule;
pub mod tls_server;
mod wake;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use self::checkin::CheckIns;
pub use self::enrol::one_time_token;
pub use self::files::FileError;
pub use self::host::Host;
pub use self::identity::{Identity, IdentityError, Proof};
pub use self::schedule::Schedule;
use crate::clients::agent_api::AgentApi;
use crate::clock::Clock;
use crate::config::Misfit;
use crate::config::agent::AgentConfig;
use crate::domain::secret::Secret;
use crate::problem::Problem;

/// How long open wake-up calls may take to end once the agent is told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Why an agent could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its configuration isn't usable.
    #[error(transparent)]
    Config(Misfit),
    /// Its state can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its identity is damaged.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its keys are damaged.
    #[error(transparent)]
    Key(#[from] keys::KeyError),
    /// It has neither an identity nor a one-time token to get one.
    #[error("this agent is not enrolled; make a one-time token for it and name its file in `enrol_token`")]
    NotEnrolled,
    /// The platform refused or could not be reached.
    #[error(transparent)]
    Platform(#[from] Problem),
    /// The wake-up can't listen.
    #[error("the wake-up on port 8084 or as configured can't be served: {0}")]
    Listen(#[source] std::io::Error),
    /// The challenges can't be answered where the configuration says.
    #[error(
        "`acme_listen` can't listen on {address}: {source}; if a web server has that port, let it pass \
         `/.well-known/acme-challenge/` on to another one and write that into `acme_listen`"
    )]
    ListenAcme {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// One agent, ready to serve.
#[derive(Debug)]
pub struct Agent {
    host: Arc<Host>,
    api: AgentApi,
    identity: Option<Identity>,
    enrol_token: Option<Secret>,
}

impl Agent {
    /// Opens the state directory. `enrol_token` is spent at the first check-in if the agent has no
    /// identity yet, or one from another token. Without either it waits for one where its configuration says;
    /// where that says nothing, it can't start.
    pub fn new(config: AgentConfig, clock: Clock, enrol_token: Option<Secret>) -> Result<Self, AgentError> {
        let api = AgentApi::trusting(&config.api, config.server_ca.as_deref())?;
        let host = Host::open(config, clock)?;
        let identity = Identity::read(&host.config.state_dir)?;
        // Where one may be put, it is waited for.
        if identity.is_none() && enrol_token.is_none() && host.config.enrol_token.is_none() {
            return Err(AgentError::NotEnrolled);
        }
        if let Some(proof) = identity.as_ref().and_then(|identity| identity.proof.as_ref())
            && api.speaks_tls()
        {
            api.show(&proof.certificate_pem, &proof.key_pem)?;
        }
        Ok(Self {
            host: Arc::new(host),
            api,
            identity,
            enrol_token,
        })
    }

    /// Its id, once it is enrolled.
    #[must_use]
    pub fn agent_id(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.agent_id.as_str())
    }

    /// What it has on its host, for whoever prepares it before it serves.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Spends its one-time token now instead of at the first check-in; harmless if it was spent.
    pub async fn enrol(&mut self, port: u16) -> Result<&str, AgentError> {
        if let (None, Some(token)) = (&self.identity, &self.enrol_token) {
            let address = self.host.config.advertised(port);
            let (identity, _) = enrol::enrol(&self.host, &self.api, token, None, address).await?;
            self.identity = Some(identity);
        }
        self.agent_id().ok_or(AgentError::NotEnrolled)
    }

    /// Checks in by its schedule and whenever it is woken on `listener`, and answers the challenges of
    /// CAs where the configuration says so, until `shutdown` says true or its sender is gone.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: watch::Receiver<bool>,
    ) -> Result<(), AgentError> {
        let port = listener.local_addr().map_err(AgentError::Listen)?.port();
        let (wake_up, callers) = wake::served();
        // Before anything is promised to a CA.
        let challenges = match self.host.config.acme_listen {
            Some(address) => TcpListener::bind(address)
                .await
                .map(Some)
                .map_err(|source| AgentError::ListenAcme { address, source })?,
            None => None,
        };
        let answering = challenge_listener::serve(challenges, Arc::clone(&self.host), shutdown.clone());
        let host = Arc::clone(&self.host);
        let check_ins = CheckIns::new(self, port);
        let mut leaving = shutdown.clone();
        let check_ins = async {
            tokio::select! {
                () = host.tidy() => {}
                () = stopped(&mut leaving) => {}
            }
            check_ins.run(callers, shutdown.clone()).await;
        };
        let mut stop = shutdown.clone();
        let listening = async { tokio::join!(wake_up.on(listener, stopped(&mut stop)), answering).0 };
        let mut draining = shutdown.clone();
        let limited = async {
            tokio::select! {
                served = listening => served,
                () = async {
                    stopped(&mut draining).await;
                    tokio::time::sleep(DRAIN_LIMIT).await;
                } => Ok(()),
            }
        };
        let ((), served) = tokio::join!(check_ins, limited);
        served.map_err(AgentError::Listen)
    }
}

/// Returns when the agent is to stop.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever wanted the agent.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
