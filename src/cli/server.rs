//! `cmp-server`: the API and, by role, the issuer and the scheduler, over one database.
//!
//! Secrets come by environment variables, never as arguments: those are in everybody's `ps`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use color_eyre::eyre::{Context, Result, bail};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::acme::{AcmeArguments, external_account};
use super::database::{self, Door};
use super::stop::StopSignals;
use super::{failed, runtime};
use crate::clients::vault::Login;
use crate::clock::Clock;
use crate::domain::id::{EntityKind, new_id};
use crate::domain::role::Role;
use crate::domain::secret::Secret;
use crate::services::api::{self, ApiState, Limits};
use crate::services::issuer::Issuer;
use crate::services::issuer::adapters::{acme, vault_pki};
use crate::services::scheduler;
use crate::services::serve::{Bounds, Tls};
use crate::services::wake::OverHttp;
use crate::store::tokens::{self, NewToken, Purpose};
use crate::store::{Store, adapters, address};
use crate::telemetry;

/// The issuer's token at Vault.
const VAULT_TOKEN: &str = "CMP_VAULT_TOKEN";
/// Instead of a token, the ids that AppRole gives tokens for.
const VAULT_ROLE_ID: &str = "CMP_VAULT_ROLE_ID";
const VAULT_SECRET_ID: &str = "CMP_VAULT_SECRET_ID";
/// An API token with the role `admin`, made or replaced at the start, if given.
const ADMIN_TOKEN: &str = "CMP_ADMIN_TOKEN";
/// The database's password, if its address has none.
const DATABASE_PASSWORD: &str = "CMP_DATABASE_PASSWORD";

/// The API of the Certificate Management Platform and, by role, its issuer and scheduler.
///
/// Environment: CMP_DATABASE_URL is the database if --database isn't given, and CMP_DATABASE_PASSWORD its
/// password if the address has none; CMP_VAULT_TOKEN is the issuer's token at Vault, or CMP_VAULT_ROLE_ID and
/// CMP_VAULT_SECRET_ID let it log in with AppRole and take another token whenever one ends; CMP_ACME_EAB_KID and
/// CMP_ACME_EAB_HMAC bind a new account at the ACME CA to one that it knows; CMP_CACHE_URL is the shared cache if
/// --cache isn't given, and CMP_CACHE_PASSWORD its password; CMP_ADMIN_TOKEN, if set, becomes the API
/// token called `admin`; CMP_LOG filters the log, such as `info,cmp_console::services=debug`.
#[derive(Debug, Parser)]
#[command(name = "cmp-server", version, about)]
struct Arguments {
    /// The database, such as sqlite:///var/lib/cmp/cmp.db or postgres://cmp_server@db/cmp, without a
    /// password
    #[arg(long, value_name = "URL", env = "CMP_DATABASE_URL", hide_env_values = true)]
    database: String,
    /// Bring the database's schema up to date, and end: once for each version, as the schema's owner. A
    /// server whose account may do that does it by itself
    #[arg(long)]
    migrate_only: bool,
    /// Where the API listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
    /// The cache that several servers share, such as redis://host:6379, rediss://host:6379 for TLS, or
    /// unix:///run/redis.sock; without it, each has one of its own
    #[arg(long, value_name = "URL")]
    cache: Option<String>,
    /// How many requests one token may send within ten seconds, such as reads=5000,changes=2000,reports=200
    /// (those are the defaults), or `off`
    #[arg(long, value_name = "LIMITS")]
    limits: Option<Limits>,
    /// What this process does
    #[arg(
        long,
        value_name = "ROLES",
        value_delimiter = ',',
        default_value = "api,issuer,scheduler"
    )]
    roles: Vec<ServerRole>,
    /// Where Vault is; makes or changes the adapter `vault`. Without it, the adapters stay as they are
    #[arg(long, value_name = "ADDR")]
    vault: Option<String>,
    /// The file with the CA that Vault's certificate comes from, in PEM; the system's roots without it
    #[arg(long, value_name = "FILE", requires = "vault")]
    vault_ca: Option<PathBuf>,
    /// The namespace of Vault that the PKI engine is in
    #[arg(long, value_name = "NAME", requires = "vault")]
    vault_namespace: Option<String>,
    /// Where Vault's PKI engine is mounted
    #[arg(long, value_name = "PATH", default_value = "cmp-pki", requires = "vault")]
    vault_mount: String,
    /// The role that signs
    #[arg(long, value_name = "NAME", default_value = "cmp-role", requires = "vault")]
    vault_role: String,
    #[command(flatten)]
    acme: AcmeArguments,
    /// The API's certificate with its chain, in PEM: with it the API speaks TLS 1.2 and 1.3 only. Read again
    /// when the file changes and on SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// How long after SIGTERM or SIGINT it goes on answering while `/readyz` says no, so that load balancers
    /// leave it first; a second signal cuts that short
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=300))]
    shutdown_delay: u64,
    /// Connections at once; further ones wait
    #[arg(long, value_name = "N", default_value_t = Bounds::default().connections, value_parser = connections)]
    max_connections: usize,
    /// This process among several, as its claims are named: after a restart under the same name it goes on
    /// soon with what it had claimed. If not given, a name of its own is made at each start, and what
    /// an earlier one had claimed is free when its lease ends
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ServerRole {
    Api,
    Issuer,
    Scheduler,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(report) = color_eyre::install() {
        return failed(&report);
    }
    let matches = Arguments::command().get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let said_openly = matches.value_source("database") == Some(ValueSource::CommandLine);
    if said_openly && address::has_password(&arguments.database) {
        return failed(&format!(
            "`--database {}` holds a password, which everybody on this host can read in `ps`; put it into \
             {DATABASE_PASSWORD}, or the whole address into CMP_DATABASE_URL",
            address::redacted(&arguments.database)
        ));
    }
    telemetry::to_stderr(tracing::Level::INFO);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(serve(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => failed(&format!("{report:#}")),
    }
}

/// The database's address with its password.
fn database_url(arguments: &Arguments) -> String {
    match std::env::var(DATABASE_PASSWORD).ok().map(Secret::new) {
        Some(password) => address::with_password(&arguments.database, &password),
        None => arguments.database.clone(),
    }
}

async fn serve(arguments: Arguments) -> Result<()> {
    if arguments.migrate_only {
        let store = Store::open(&database_url(&arguments), Clock::system()).await?;
        store.close().await;
        tracing::info!("the schema is up to date");
        return Ok(());
    }
    let has = |role| arguments.roles.contains(&role);
    let mut signals = StopSignals::catch()?;
    let login = vault_login();
    let needs_vault = arguments.acme.config().is_none() || arguments.vault.is_some();
    if has(ServerRole::Issuer) && matches!(login, Login::Nobody) && needs_vault {
        bail!(
            "the issuer needs its token at Vault in {VAULT_TOKEN}, or {VAULT_ROLE_ID} and {VAULT_SECRET_ID}; \
             leave `issuer` out of --roles otherwise"
        );
    }
    let cache = super::cache::cache(arguments.cache.as_deref())?;
    // Before the database, because a port in use is told at once.
    let listener = match has(ServerRole::Api) {
        true => Some(listen_on(arguments.listen).await.wrap_err_with(|| {
            format!(
                "`{}` can't be listened on; choose another with --listen",
                arguments.listen
            )
        })?),
        false => None,
    };
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(cert), Some(key)) => Some(Arc::new(
            Tls::load(cert, key, Clock::system()).wrap_err("the API can't speak TLS")?,
        )),
        _ => None,
    };
    // Caught with or without TLS: who asks for a reload doesn't mean an end.
    let hangup = signal(SignalKind::hangup())?;
    let mut door = Door {
        listener,
        tls,
        bounds: Bounds {
            connections: arguments.max_connections,
            ..Bounds::default()
        },
    };
    let Some(store) = database::open(&database_url(&arguments), &door, &mut signals).await? else {
        return Ok(());
    };
    configure(&store, &arguments).await?;
    let (stop, stopped) = watch::channel(false);
    let mut parts = JoinSet::new();
    let mut retiring = None;
    let mut listen = None;
    if let Some(listener) = door.hand_over()? {
        let (tls, bounds) = (door.tls.clone(), door.bounds);
        raise_descriptors(bounds.connections);
        let state = ApiState::new(store.clone(), Arc::new(OverHttp))
            .bounds(bounds)
            .cache(cache)
            .limits(arguments.limits.unwrap_or_default());
        retiring = Some(state.clone());
        listen = listener.local_addr().ok();
        let mut stopped = stopped.clone();
        parts.spawn(async move {
            let stop = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
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
    if has(ServerRole::Issuer) {
        // Two processes on one host must not take each other's claims for their own.
        let unique = || {
            format!(
                "{}/{}",
                hostname(),
                new_id(EntityKind::Run).trim_start_matches("run_")
            )
        };
        let name = arguments.name.clone().unwrap_or_else(unique);
        let issuer = Issuer::new(store.clone(), format!("issuer@{name}"), login)
            .with_external_account(external_account());
        parts.spawn(issuer.run(stopped.clone()));
    }
    if has(ServerRole::Scheduler) {
        parts.spawn(scheduler::run(store.clone(), stopped.clone()));
    }
    let tls = arguments.tls_cert.is_some();
    let listen = listen.map(|address| address.to_string());
    tracing::info!(listen, tls, roles = ?arguments.roles, "started");
    let ended_early = tokio::select! {
        () = signals.received() => false,
        _ = parts.join_next() => true,
    };
    if let Some(state) = retiring.filter(|_| !ended_early && arguments.shutdown_delay > 0) {
        state.retire();
        let delay = Duration::from_secs(arguments.shutdown_delay);
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

async fn listen_on(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    TcpListener::bind(address).await?.into_std()
}

/// No request under way is waited for longer than this when the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The rows that the arguments ask for.
async fn configure(store: &Store, arguments: &Arguments) -> Result<()> {
    let mut tx = store.begin().await?;
    // Several may start at once with the same arguments.
    tx.alone("configure").await?;
    let vault = arguments.vault.as_ref();
    let wanted = [
        (
            "vault",
            vault_pki::KIND,
            vault.map(|address| adapter_config(address, arguments)),
        ),
        ("acme", acme::KIND, arguments.acme.config()),
    ];
    let before = adapters::all(&mut tx).await?;
    for (name, kind, config) in wanted {
        let Some(config) = config else { continue };
        if !before.iter().any(|row| row.name == name && row.config == config) {
            adapters::upsert(&mut tx, name, kind, &config).await?;
        }
    }
    if let Some(secret) = std::env::var(ADMIN_TOKEN).ok().map(Secret::new)
        && tokens::find(&mut tx, secret.expose()).await?.is_none()
    {
        let admin = NewToken {
            name: "admin".to_owned(),
            purpose: Purpose::Bearer,
            role: Role::Admin,
            agent_id: None,
            expires_at: None,
        };
        tokens::replace(&mut tx, &admin, &secret).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1_000_000) => Ok(n),
        _ => Err("give a number from 1 to 1000000".to_owned()),
    }
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
fn adapter_config(address: &str, arguments: &Arguments) -> serde_json::Value {
    let mut config = serde_json::json!({
        "address": address, "mount": arguments.vault_mount, "role": arguments.vault_role,
    });
    if let Some(file) = &arguments.vault_ca {
        config["ca"] = file.display().to_string().into();
    }
    if let Some(namespace) = &arguments.vault_namespace {
        config["namespace"] = namespace.as_str().into();
    }
    config
}

/// The issuer's own login, from the environment.
fn vault_login() -> Login {
    let secret = |name| {
        std::env::var(name)
            .ok()
            .filter(|text| !text.is_empty())
            .map(Secret::new)
    };
    Login::of(
        secret(VAULT_TOKEN),
        secret(VAULT_ROLE_ID),
        secret(VAULT_SECRET_ID),
    )
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
