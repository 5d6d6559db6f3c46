//! `cmp-server`: the API and, by role, the issuer and the scheduler, over one database.
//!
//! What it is told comes from arguments, the environment and a file, in that order; secrets never as arguments.

mod acme;
mod arguments;
mod database;
mod lay;
mod secrets;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use color_eyre::eyre::{Context, Result, bail};
use rustix::process::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::arguments::Arguments;
use self::database::Door;
use self::secrets::Secrets;
use super::stop::StopSignals;
use super::{USAGE, failed, runtime};
use crate::clients::cache::Cache;
use crate::clients::vault::Login;
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::config::memory;
use crate::config::server::{ServerConfig, ServerRole, Vault, share};
use crate::domain::id::{EntityKind, new_id};
use crate::domain::role::Role;
use crate::services::api::{self, ApiState, IdentityCa};
use crate::services::issuer::Issuer;
use crate::services::issuer::adapters::{acme as acme_adapter, vault_pki};
use crate::services::scheduler;
use crate::services::serve::{Bounds, Tls};
use crate::services::wake::OverHttp;
use crate::store::tokens::{self, NewToken, Purpose};
use crate::store::{Store, adapters, address};
use crate::telemetry;

/// Replaces the host in the database's address: where a replica was promoted, this alone is changed.
const DB_HOST: &str = "DB_HOST";

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(report) = color_eyre::install() {
        return failed(&report);
    }
    // Before anything secret is read; said again, and in the log, once there is one.
    let _refused = memory::keep_private();
    let matches = Arguments::command().get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let said_openly = matches.value_source("database") == Some(ValueSource::CommandLine);
    if let Some(url) = arguments.database.as_ref().filter(|_| said_openly)
        && address::has_password(url)
    {
        return failed(&format!(
            "`--database {}` holds a password, which everybody on this host can read in `ps`; put it into \
             CMP_DATABASE_PASSWORD, or the whole address into CMP_DATABASE_URL",
            address::redacted(url)
        ));
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> ExitCode {
    let wrong = |error: &dyn Display| {
        let _code = failed(error);
        ExitCode::from(USAGE)
    };
    let (check, migrate_only, cache) = (arguments.check, arguments.migrate_only, arguments.cache.clone());
    let told = match Told::of(arguments).await {
        Ok(told) => told,
        Err(error) => return wrong(&error),
    };
    let done = if check {
        match told.check(cache.as_deref()) {
            Ok(words) => {
                // Nobody who closed it wants to know.
                let _closed = writeln!(std::io::stdout(), "{words}");
                return ExitCode::SUCCESS;
            }
            Err(report) => return wrong(&format!("{report:#}")),
        }
    } else {
        telemetry::to_stderr(tracing::Level::INFO);
        memory::keep_private_or_say();
        match migrate_only {
            true => told.migrate().await,
            false => serve(told, cache.as_deref()).await,
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => failed(&format!("{report:#}")),
    }
}

/// All that the server was told, and its secrets.
struct Told {
    config: ServerConfig,
    secrets: Secrets,
    /// The database's address without a password, or with the one that is in it.
    database: String,
}

impl Told {
    async fn of(arguments: Arguments) -> Result<Self, ConfigError> {
        let (mut config, source) = ServerConfig::load(arguments.config.as_deref())?;
        let holds_password =
            |url: &Option<String>| url.as_ref().is_some_and(|url| address::has_password(url));
        if holds_password(&config.database.url) {
            source.must_be_private("database.url")?;
        }
        // A password stands before an `@`, and nothing else in this address does.
        if config.cache.url.as_ref().is_some_and(|url| url.contains('@')) {
            source.must_be_private("cache.url")?;
        }
        arguments.lay_over(&mut config);
        config.check().map_err(|misfit| source.place(misfit))?;
        let mut database = config.database.url.clone().unwrap_or_default();
        if let Some(host) = std::env::var(DB_HOST).ok().filter(|host| !host.is_empty()) {
            database = address::with_host(&database, &host)
                .map_err(|what| ConfigError::Misfit(crate::config::Misfit::new(DB_HOST, what)))?;
        }
        let secrets = Secrets::fetch(&config)
            .await
            .map_err(|misfit| source.place(misfit))?;
        Ok(Self {
            config,
            secrets,
            database,
        })
    }

    /// What can be tried without connecting to anything; gives what would be done.
    fn check(&self, cache: Option<&str>) -> Result<String> {
        let identity_ca = self.identity_ca()?;
        self.tls(identity_ca.as_ref())?;
        self.cache(cache)?;
        self.can_issue()?;
        let roles: Vec<String> = self
            .config
            .roles
            .iter()
            .map(|role| format!("{role:?}").to_lowercase())
            .collect();
        let api = match self.config.has(ServerRole::Api) {
            true => format!(", the API on {}", self.config.api.listen),
            false => String::new(),
        };
        let agents = identity_ca.map_or_else(String::new, |ca| {
            format!(", the CA for agents until {}", ca.ends().format("%F"))
        });
        Ok(format!(
            "fine: {} over {}{api}{agents}",
            roles.join(", "),
            address::redacted(&self.database)
        ))
    }

    fn identity_ca(&self) -> Result<Option<Arc<IdentityCa>>> {
        match (&self.config.api.agent_ca_cert, &self.secrets.agent_ca_key) {
            (Some(cert), Some(key)) => {
                let ca = IdentityCa::load(cert, key).wrap_err("agents can't be certified")?;
                Ok(Some(Arc::new(ca)))
            }
            (Some(_), None) => bail!(
                "agents can't be certified: `agent_ca_cert` needs its key, in CMP_AGENT_CA_KEY or `api.agent_ca_key` \
                 of the file"
            ),
            (None, _) => Ok(None),
        }
    }

    fn tls(&self, agents: Option<&Arc<IdentityCa>>) -> Result<Option<Arc<Tls>>> {
        match (&self.config.api.tls_cert, &self.config.api.tls_key) {
            (Some(cert), Some(key)) => {
                let visitors = agents.map(|ca| ca.trust());
                let tls =
                    Tls::load(cert, key, visitors, Clock::system()).wrap_err("the API can't speak TLS")?;
                Ok(Some(Arc::new(tls)))
            }
            _ => Ok(None),
        }
    }

    fn cache(&self, argument: Option<&str>) -> Result<Cache> {
        Ok(self.secrets.cache(argument, &self.config.cache)?)
    }

    fn can_issue(&self) -> Result<()> {
        let config = &self.config;
        let needs_vault = config.acme.directory.is_none() || config.vault.address.is_some();
        if config.has(ServerRole::Issuer) && matches!(self.secrets.vault, Login::Nobody) && needs_vault {
            bail!(
                "the issuer needs its token at Vault in CMP_VAULT_TOKEN or `vault.token` of the file, or \
                 CMP_VAULT_ROLE_ID and CMP_VAULT_SECRET_ID (`vault.role_id`, `vault.secret_id`); leave `issuer` out \
                 of the roles otherwise"
            );
        }
        Ok(())
    }

    /// The database's address with its password.
    fn database_url(&self) -> String {
        match &self.secrets.database_password {
            Some(password) => address::with_password(&self.database, password),
            None => self.database.clone(),
        }
    }

    async fn migrate(&self) -> Result<()> {
        let store = Store::open(&self.database_url(), Clock::system()).await?;
        store.close().await;
        tracing::info!("the schema is up to date");
        Ok(())
    }
}

/// Tells systemd, where it asked to be told.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd can't be told how the server is");
    }
}

async fn serve(told: Told, cache: Option<&str>) -> Result<()> {
    let config = &told.config;
    let has = |role| config.has(role);
    let mut signals = StopSignals::catch()?;
    told.can_issue()?;
    let cache = told.cache(cache)?;
    // Before the database, because a port in use is told at once.
    let listener = match has(ServerRole::Api) {
        true => Some(bind(config.api.listen, "--listen").await?.into_std()?),
        false => None,
    };
    let health = match config.health_listen {
        Some(address) => Some(bind(address, "--health-listen").await?.into_std()?),
        None => None,
    };
    let identity_ca = told.identity_ca()?;
    if let Some(ca) = &identity_ca
        && ca.ends() < Clock::system().now() + TOLD_BEFORE
    {
        tracing::warn!(
            "the CA for agents certifies nobody after {}; give the servers another one",
            ca.ends().format("%F %TZ")
        );
    }
    let tls = told.tls(identity_ca.as_ref())?;
    // Caught with or without TLS: who asks for a reload doesn't mean an end.
    let hangup = signal(SignalKind::hangup())?;
    let bounds = Bounds {
        connections: config.api.max_connections,
        per_address: config
            .api
            .max_connections_per_address
            .unwrap_or_else(|| share(config.api.max_connections)),
        ..Bounds::default()
    };
    let mut door = Door {
        listener,
        health,
        tls,
        bounds,
    };
    let Some(store) = database::open(&told.database_url(), &door, &mut signals).await? else {
        return Ok(());
    };
    configure(&store, &told).await?;
    let (stop, stopped) = watch::channel(false);
    let mut parts = JoinSet::new();
    let state = ApiState::new(
        store.clone(),
        Arc::new(OverHttp::within(config.api.wake_networks.clone())),
    )
    .bounds(bounds)
    .cache(cache)
    .limits(config.api.limits)
    .identity_ca(identity_ca);
    let (listener, health) = door.hand_over()?;
    let tls = door.tls.clone();
    let speaks_tls = tls.is_some();
    let local = |listener: &TcpListener| listener.local_addr().ok().map(|address| address.to_string());
    let listen = listener.as_ref().and_then(local);
    let health_listen = health.as_ref().and_then(local);
    if let Some(listener) = health {
        let (state, stop) = (state.clone(), until(stopped.clone()));
        parts.spawn(async move {
            if let Err(error) = api::serve_health(listener, state, stop).await {
                tracing::error!(%error, "the health checks ended");
            }
        });
    }
    if let Some(listener) = listener {
        raise_descriptors(bounds.connections);
        let (state, stop) = (state.clone(), until(stopped.clone()));
        parts.spawn(async move {
            let keeping = tls
                .clone()
                .map(|tls| tokio::spawn(async move { tls.keep(hangup).await }));
            if let Err(error) = api::serve_over(listener, tls, state, stop).await {
                tracing::error!(%error, "the API ended");
            }
            if let Some(keeping) = keeping {
                keeping.abort();
            }
        });
    }
    // Two processes on one host must not take each other's claims for their own.
    let unique = || {
        format!(
            "{}/{}",
            hostname(),
            new_id(EntityKind::Run).trim_start_matches("run_")
        )
    };
    let name = config.name.clone().unwrap_or_else(unique);
    if has(ServerRole::Issuer) {
        let login = told.secrets.vault.clone();
        let issuer = Issuer::new(store.clone(), format!("issuer@{name}"), login)
            .with_external_account(told.secrets.external_account.clone());
        parts.spawn(issuer.run(stopped.clone()));
    }
    if has(ServerRole::Scheduler) {
        parts.spawn(scheduler::run(
            store.clone(),
            format!("scheduler@{name}"),
            stopped.clone(),
        ));
    }
    tracing::info!(listen, health_listen, tls = speaks_tls, roles = ?config.roles, "started");
    notify(&[NotifyState::Ready]);
    let ended_early = tokio::select! {
        () = signals.received() => false,
        _ = parts.join_next() => true,
    };
    notify(&[NotifyState::Stopping]);
    if !ended_early && config.api.shutdown_delay > 0 && has(ServerRole::Api) {
        state.retire();
        let delay = Duration::from_secs(config.api.shutdown_delay);
        tracing::info!(?delay, "told to stop: not ready any more, still answering");
        tokio::select! {
            () = signals.received() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }
    tracing::info!("stopping: what is under way is finished, nothing new is begun");
    stop.send_replace(true);
    let drained = tokio::time::timeout(DRAIN, async { while parts.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(
            "not all that was under way was finished in {} s; claims of requests end by their lease",
            DRAIN.as_secs()
        );
        parts.shutdown().await;
    }
    store.close().await;
    if ended_early {
        bail!("a part of the server ended by itself; its log line says why");
    }
    Ok(())
}

/// How long before the CA for agents ends it is told: in time for agents to go over to another one.
const TOLD_BEFORE: chrono::Duration = chrono::Duration::days(90);

/// No request under way is waited for longer than this when the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

async fn bind(address: std::net::SocketAddr, argument: &str) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.wrap_err_with(|| format!("`{address}` can't be listened on; choose another with {argument}"))
}

/// Ends once it is time to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// The rows that the configuration asks for.
async fn configure(store: &Store, told: &Told) -> Result<()> {
    let config = &told.config;
    let mut tx = store.begin().await?;
    // Several may start at once with the same arguments.
    tx.alone("configure").await?;
    let wanted = [
        ("vault", vault_pki::KIND, vault_adapter(&config.vault)),
        ("acme", acme_adapter::KIND, acme::adapter(&config.acme)),
    ];
    let before = adapters::all(&mut tx).await?;
    for (name, kind, config) in wanted {
        let Some(config) = config else { continue };
        if !before.iter().any(|row| row.name == name && row.config == config) {
            adapters::upsert(&mut tx, name, kind, &config).await?;
        }
    }
    if let Some(secret) = &told.secrets.admin_token
        && tokens::find(&mut tx, secret.expose()).await?.is_none()
    {
        let admin = NewToken {
            name: "admin".to_owned(),
            purpose: Purpose::Bearer,
            role: Role::Admin,
            agent_id: None,
            parent: None,
            expires_at: None,
        };
        tokens::replace(&mut tx, &admin, secret).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Lets the process have a descriptor for each connection and some for the rest, as far as the system
/// allows; beyond, connections are refused one by one and the log says so.
fn raise_descriptors(connections: usize) {
    let wanted = connections as u64 + 256;
    let mut limit = getrlimit(Resource::Nofile);
    let highest = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|now| now < wanted.min(highest)) {
        limit.current = Some(wanted.min(highest));
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit on open files stays as it is");
        }
    }
    if highest < wanted {
        tracing::warn!(
            "the system allows {highest} open files, fewer than --max-connections {connections} needs"
        );
    }
}

/// What the adapter's row says: never a credential, and no line for what isn't set.
fn vault_adapter(vault: &Vault) -> Option<serde_json::Value> {
    let address = vault.address.as_ref()?;
    let mut config = serde_json::json!({ "address": address, "mount": vault.mount, "role": vault.role });
    if let Some(file) = &vault.ca {
        config["ca"] = file.display().to_string().into();
    }
    if let Some(namespace) = &vault.namespace {
        config["namespace"] = namespace.as_str().into();
    }
    if !vault.crl {
        config["crl"] = false.into();
    }
    Some(config)
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
