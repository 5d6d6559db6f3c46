//! The parts while they run: servers, issuer, scheduler, agents. Started in one go, stopped in one go.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::RELOAD_SUBCOMMAND;
use super::error::PlatformError;
use super::layout::{HostPlace, Layout};
use super::listeners::{HostPorts, Listener, Listeners};
use super::ready::ReadyAgent;
use super::seed::{Afterwards, adapter_config};
use crate::clients::vault::Login;
use crate::clock::Clock;
use crate::config::agent::AgentConfig;
use crate::domain::secret::Secret;
use crate::services::agent::Agent;
use crate::services::agent::keys::KeyStore;
use crate::services::agent::tls_server::TlsServer;
use crate::services::api::{self, ApiState};
use crate::services::issuer::Issuer;
use crate::services::issuer::adapters::vault_pki;
use crate::services::scheduler;
use crate::services::serve::{Bounds, Served};
use crate::services::vault::Vault;
use crate::services::wake::OverHttp;
use crate::store::{Store, StoreError, adapters, agents, checkin, installations};
use crate::wire::agents::{Report, ReportedInstallation};
use crate::wire::page::{MAX_LIMIT, PageQuery};

/// What is under way gets this long when everything is told to stop.
const DRAIN: Duration = Duration::from_secs(3);
/// Connections at once, to the API and to Vault each: all come from this machine, and a process that was given
/// few descriptors has enough for them.
const MAX_CONNECTIONS: usize = 256;

/// What is to be started.
pub(super) struct Parts<'a> {
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) listeners: Listeners,
    pub(super) layout: &'a Layout,
    pub(super) places: &'a [HostPlace],
    /// Knows `demo-reload`.
    pub(super) program: PathBuf,
    pub(super) issuer_token: Secret,
}

/// What runs. Dropped, it ends.
pub(super) struct Running {
    store: Store,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    servers: Vec<TlsServer>,
}

impl Running {
    /// Starts everything; `afterwards` is done once the hosts' servers have loaded what is on disk,
    /// and before any agent looks.
    pub(super) async fn start(
        parts: Parts<'_>,
        afterwards: Option<Afterwards>,
    ) -> Result<Self, PlatformError> {
        let (stop, stopped) = watch::channel(false);
        let mut it = Self {
            store: parts.store.clone(),
            stop,
            tasks: JoinSet::new(),
            servers: Vec::new(),
        };
        let Listeners { api, vault, hosts } = parts.listeners;
        let mut wakes = Vec::new();
        for (place, ports) in parts.places.iter().zip(hosts) {
            if let HostPorts::Bound { wake, tls } = ports {
                let server = TlsServer::start(listen(tls)?, place.install_dir.clone(), place.socket.clone());
                it.servers.push(server.map_err(|error| {
                    PlatformError::Part(format!("starting the server of {}: {error}", place.host.name))
                })?);
                wakes.push((place, listen(wake)?));
            }
        }
        if let Some(afterwards) = afterwards {
            afterwards.carry_out()?;
        }
        it.serve("Vault", listen(vault)?, parts.vault.router(), stopped.clone());
        let state = ApiState::new(parts.store.clone(), Arc::new(OverHttp::default()))
            .bounds(Bounds::of_few(MAX_CONNECTIONS));
        let api = listen(api)?;
        let mut stopping = stopped.clone();
        it.tasks.spawn(async move {
            let stop = async move {
                // An error means that whoever stops us is gone.
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            if let Err(error) = api::serve(api, state, stop).await {
                tracing::error!(%error, "the API ended");
            }
        });
        let issuer = Issuer::new(parts.store.clone(), "issuer", Login::Token(parts.issuer_token));
        it.tasks.spawn(issuer.run(stopped.clone()));
        it.tasks.spawn(scheduler::run(
            parts.store,
            "scheduler".to_owned(),
            stopped.clone(),
        ));
        for (place, wake) in wakes {
            let config = config(place, parts.layout, &parts.program);
            let agent = Agent::new(config, Clock::system(), None).map_err(|error| {
                PlatformError::Part(format!("starting the agent of {}: {error}", place.host.name))
            })?;
            let (name, stopped) = (place.host.name, stopped.clone());
            it.tasks.spawn(async move {
                if let Err(error) = agent.serve(wake, stopped).await {
                    tracing::error!(agent = name, %error, "the agent ended");
                }
            });
        }
        Ok(it)
    }

    fn serve(
        &mut self,
        name: &'static str,
        listener: TcpListener,
        routes: Router,
        mut stopped: watch::Receiver<bool>,
    ) {
        self.tasks.spawn(async move {
            let stop = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let served = Served::plain(routes, Bounds::of_few(MAX_CONNECTIONS));
            if let Err(error) = served.on(listener, stop).await {
                tracing::error!(%error, "{name} ended");
            }
        });
    }

    /// Ends everything, what is under way within a time limit.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            self.tasks.shutdown().await;
        }
        self.servers.clear();
        self.store.close().await;
    }
}

fn listen(listener: Listener) -> Result<TcpListener, PlatformError> {
    TcpListener::from_std(listener.socket).map_err(PlatformError::io("listening"))
}

/// What the person who runs the host would have written.
fn config(place: &HostPlace, layout: &Layout, program: &std::path::Path) -> AgentConfig {
    let mut config = AgentConfig::new(
        place.host.name,
        &place.state_dir,
        &layout.api_address,
        vec![place.install_dir.clone()],
    );
    config.advertise = Some(place.wake_address.clone());
    config.tls_address = Some(place.tls_address.clone());
    config.owner = Some(place.host.owner().to_owned());
    config.reload = Some(vec![
        program.display().to_string(),
        RELOAD_SUBCOMMAND.to_owned(),
        place.socket.display().to_string(),
    ]);
    config
}

/// The agents as the ready line names them.
pub(super) async fn ready_agents(store: &Store, places: &[HostPlace]) -> Result<Vec<ReadyAgent>, StoreError> {
    let rows = agents::page(&mut store.read().await?, &everything()).await?.items;
    let agents = places.iter().filter_map(|place| {
        let row = rows.iter().find(|row| row.hostname == place.host.name)?;
        Some(ReadyAgent {
            id: row.id.clone(),
            hostname: row.hostname.clone(),
            checkin: place.wake_address.clone(),
            tls: place.tls_address.clone(),
            install_dir: place.install_dir.display().to_string(),
        })
    });
    Ok(agents.collect())
}

/// After a restart on other ports: where Vault and the agents are now. Agents say so themselves when
/// they check in, but one that won't do so by itself has to be found, to be woken.
pub(super) async fn relocate(store: &Store, places: &[HostPlace], layout: &Layout) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    let config = adapter_config(&layout.vault_address);
    let config = serde_json::json!({
        "address": config.address, "mount": config.mount, "role": config.role, "ttl": config.ttl,
    });
    for row in adapters::all(&mut tx).await? {
        if row.kind == vault_pki::KIND && row.config != config {
            adapters::upsert(&mut tx, &row.name, &row.kind, &config).await?;
        }
    }
    let rows = agents::page(&mut tx, &everything()).await?.items;
    tx.commit().await?;
    for row in rows {
        let place = places.iter().find(|place| place.host.name == row.hostname);
        let Some(place) = place.filter(|place| place.is_there() && place.wake_address != row.address) else {
            continue;
        };
        // The last check-in again, at its own moment, from another address.
        if let Some(at) = row.last_checkin {
            store.clock().set(at);
        }
        let moved = say_again(store, &row.id, place).await;
        store.clock().follow_system();
        moved?;
    }
    Ok(())
}

async fn say_again(store: &Store, agent_id: &str, place: &HostPlace) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    let body = place.enrol_body();
    let keys = KeyStore::open(&place.state_dir)
        .ok()
        .and_then(|keys| keys.held().ok());
    let Some(keys) = keys else {
        tracing::warn!(
            agent = place.host.name,
            "its keys can't be read, so its new address is not recorded"
        );
        return tx.rollback().await;
    };
    let found = installations::by_agent(&mut tx, agent_id).await?;
    let report = Report {
        agent_version: body.agent_version,
        owner: body.owner,
        identity_csr_pem: None,
        address: body.address,
        tls_address: body.tls_address,
        install_dirs: body.install_dirs,
        layout: None,
        installations: found
            .into_iter()
            .map(|it| ReportedInstallation {
                path: it.path,
                on_disk_sha256: it.on_disk_sha256,
                served_sha256: it.served_sha256,
                chain_missing: it.chain_missing,
                error: it.error,
            })
            .collect(),
        keys,
        proofs: Vec::new(),
    };
    checkin::check_in(&mut tx, agent_id, &report).await?;
    tx.commit().await
}

fn everything() -> PageQuery {
    PageQuery {
        limit: Some(MAX_LIMIT),
        ..PageQuery::default()
    }
}
