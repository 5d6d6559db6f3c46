//! `cmp-server`: the API and, by role, the issuer and the scheduler, over one database.
//!
//! Secrets come by environment variables, never as arguments: those are in everybody's `ps`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use color_eyre::eyre::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::stop::StopSignals;
use super::{failed, runtime};
use crate::clock::Clock;
use crate::domain::id::{EntityKind, new_id};
use crate::domain::role::Role;
use crate::domain::secret::Secret;
use crate::services::api::{self, ApiState, Limits};
use crate::services::issuer::Issuer;
use crate::services::issuer::adapters::vault_pki;
use crate::services::scheduler;
use crate::services::wake::OverHttp;
use crate::store::tokens::{self, NewToken, Purpose};
use crate::store::{Store, adapters};
use crate::telemetry;

/// The issuer's token at Vault.
const VAULT_TOKEN: &str = "CMP_VAULT_TOKEN";
/// An API token with the role `admin`, made or replaced at the start, if given.
const ADMIN_TOKEN: &str = "CMP_ADMIN_TOKEN";

/// The API of the Certificate Management Platform and, by role, its issuer and scheduler.
///
/// Environment: CMP_VAULT_TOKEN is the issuer's token at Vault; CMP_ADMIN_TOKEN, if set, becomes the API
/// token called `admin`; CMP_CACHE_URL is the shared cache if --cache isn't given, and CMP_CACHE_PASSWORD its
/// password; CMP_LOG filters the log, such as `info,cmp_console::services=debug`.
#[derive(Debug, Parser)]
#[command(name = "cmp-server", version, about)]
struct Arguments {
    /// The database, such as sqlite:///var/lib/cmp/cmp.db
    #[arg(long, value_name = "URL")]
    database: String,
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
    /// Where Vault's PKI engine is mounted
    #[arg(long, value_name = "PATH", default_value = "cmp-pki", requires = "vault")]
    vault_mount: String,
    /// The role that signs
    #[arg(long, value_name = "NAME", default_value = "cmp-role", requires = "vault")]
    vault_role: String,
    /// This process among several, as its claims are named: after a restart under the same name it goes on
    /// at once with what it had claimed. If not given, a name of its own is made at each start, and what
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
    let arguments = Arguments::parse();
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

async fn serve(arguments: Arguments) -> Result<()> {
    let has = |role| arguments.roles.contains(&role);
    let mut signals = StopSignals::catch()?;
    let vault_token = std::env::var(VAULT_TOKEN).ok().map(Secret::new);
    if has(ServerRole::Issuer) && vault_token.is_none() {
        bail!(
            "the issuer needs its token at Vault in {VAULT_TOKEN}; leave `issuer` out of --roles otherwise"
        );
    }
    let cache = super::cache::cache(arguments.cache.as_deref())?;
    // Before the database, because a port in use is told at once.
    let listener = match has(ServerRole::Api) {
        true => Some(TcpListener::bind(arguments.listen).await.wrap_err_with(|| {
            format!(
                "`{}` can't be listened on; choose another with --listen",
                arguments.listen
            )
        })?),
        false => None,
    };
    let store = Store::open(&arguments.database, Clock::system()).await?;
    configure(&store, &arguments).await?;
    let (stop, stopped) = watch::channel(false);
    let mut parts = JoinSet::new();
    if let Some(listener) = listener {
        let state = ApiState::new(store.clone(), Arc::new(OverHttp))
            .cache(cache)
            .limits(arguments.limits.unwrap_or_default());
        let mut stopped = stopped.clone();
        parts.spawn(async move {
            let stop = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            if let Err(error) = api::serve(listener, state, stop).await {
                tracing::error!(%error, "the API ended");
            }
        });
    }
    if let Some(token) = vault_token.filter(|_| has(ServerRole::Issuer)) {
        // Two processes on one host must not take each other's claims for their own.
        let unique = || {
            format!(
                "{}/{}",
                hostname(),
                new_id(EntityKind::Run).trim_start_matches("run_")
            )
        };
        let name = arguments.name.clone().unwrap_or_else(unique);
        let issuer = Issuer::new(store.clone(), format!("issuer@{name}"), token);
        parts.spawn(issuer.run(stopped.clone()));
    }
    if has(ServerRole::Scheduler) {
        parts.spawn(scheduler::run(store.clone(), stopped.clone()));
    }
    tracing::info!(listen = %arguments.listen, roles = ?arguments.roles, "started");
    let ended_early = tokio::select! {
        () = signals.received() => false,
        _ = parts.join_next() => true,
    };
    stop.send_replace(true);
    let drained = tokio::time::timeout(DRAIN, async { while parts.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        parts.shutdown().await;
    }
    store.close().await;
    if ended_early {
        bail!("a part of the server ended by itself; its log line says why");
    }
    Ok(())
}

/// No request under way is waited for longer than this when the server is told to stop.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// The rows that the arguments ask for.
async fn configure(store: &Store, arguments: &Arguments) -> Result<()> {
    let mut tx = store.begin().await?;
    if let Some(address) = &arguments.vault {
        let config = serde_json::json!({
            "address": address, "mount": arguments.vault_mount, "role": arguments.vault_role,
        });
        let before = adapters::all(&mut tx).await?;
        if !before
            .iter()
            .any(|row| row.name == "vault" && row.config == config)
        {
            adapters::upsert(&mut tx, "vault", vault_pki::KIND, &config).await?;
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

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
