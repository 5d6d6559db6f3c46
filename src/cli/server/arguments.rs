//! The arguments of `cmp-server`. Each that is given is laid over what the file says; none has a default of
//! its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use ipnet::IpNet;

use super::acme::AcmeArguments;
use super::lay::set;
use crate::config::limits::Limits;
use crate::config::server::{ServerConfig, ServerRole};

/// The API of the Certificate Management Platform and, by role, its issuer and scheduler.
///
/// Arguments go before the environment, the environment before the file, and what none of them says is as the
/// file's documentation has it (docs/server.md). Environment: CMP_DATABASE_URL is the database; DB_HOST replaces
/// the host in its address, or host and port; CMP_DATABASE_PASSWORD is its password if the address has none;
/// CMP_VAULT_TOKEN is the issuer's token at Vault, or CMP_VAULT_ROLE_ID and CMP_VAULT_SECRET_ID let it log in
/// with AppRole and take another token whenever one ends; CMP_ACME_EAB_KID and CMP_ACME_EAB_HMAC bind a new
/// account at the ACME CA to one that it knows; CMP_CACHE_URL is the shared cache and CMP_CACHE_PASSWORD its
/// password; CMP_ADMIN_TOKEN becomes the API token called `admin`; CMP_AGENT_CA_KEY
/// is the key of the CA for agents; CMP_LOG filters the log, such as
/// `info,cmp_console::services=debug`.
#[derive(Debug, Parser)]
#[command(name = "cmp-server", version, about)]
pub(super) struct Arguments {
    /// The configuration file (otherwise /etc/cmp/cmp-server.toml, if it is there)
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Say what is wrong with the configuration and its secrets and files, and end; nothing is connected to
    #[arg(long)]
    pub(super) check: bool,
    /// The database, such as sqlite:///var/lib/cmp/cmp.db or postgres://cmp_server@db/cmp, without a
    /// password
    #[arg(long, value_name = "URL", env = "CMP_DATABASE_URL", hide_env_values = true)]
    pub(super) database: Option<String>,
    /// Bring the database's schema up to date, and end: once for each version, as the schema's owner. A
    /// server whose account may do that does it by itself
    #[arg(long)]
    pub(super) migrate_only: bool,
    /// Where the API listens (otherwise 127.0.0.1:8082)
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where `/healthz`, `/readyz` and `/metrics` alone are served, without TLS: for a process without the
    /// API
    #[arg(long, value_name = "ADDR")]
    health_listen: Option<SocketAddr>,
    /// The cache that several servers share, such as redis://host:6379, rediss://host:6379 for TLS, or
    /// unix:///run/redis.sock; without it, each has one of its own
    #[arg(long, value_name = "URL")]
    pub(super) cache: Option<String>,
    /// How many requests one token may send within ten seconds, such as reads=5000,changes=2000,reports=200
    /// (those are the defaults), or `off`
    #[arg(long, value_name = "LIMITS")]
    limits: Option<Limits>,
    /// Networks in which agents may be woken at whatever address they name, such as 10.0.0.0/8 (otherwise only
    /// where their last report came from, which behind NAT or a proxy is not where they listen)
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    wake_networks: Option<Vec<IpNet>>,
    /// What this process does (otherwise all three)
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    roles: Option<Vec<ServerRole>>,
    /// Where Vault is; makes or changes the adapter `vault`. Without it, the adapters stay as they are
    #[arg(long, value_name = "ADDR")]
    vault: Option<String>,
    /// The file with the CA that Vault's certificate comes from, in PEM; the system's roots without it
    #[arg(long, value_name = "FILE")]
    vault_ca: Option<PathBuf>,
    /// The namespace of Vault that the PKI engine is in
    #[arg(long, value_name = "NAME")]
    vault_namespace: Option<String>,
    /// Where Vault's PKI engine is mounted (otherwise cmp-pki)
    #[arg(long, value_name = "PATH")]
    vault_mount: Option<String>,
    /// The role that signs (otherwise cmp-role)
    #[arg(long, value_name = "NAME")]
    vault_role: Option<String>,
    #[command(flatten)]
    acme: AcmeArguments,
    /// The API's certificate with its chain, in PEM: with it the API speaks TLS 1.2 and 1.3 only. Read again
    /// when the file changes and on SIGHUP
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The CA that certifies agents, in PEM; its key comes from CMP_AGENT_CA_KEY or the file. With it, an
    /// agent's token is good only together with the agent's certificate
    #[arg(long, value_name = "FILE")]
    agent_ca_cert: Option<PathBuf>,
    /// How long after SIGTERM or SIGINT it goes on answering while `/readyz` says no, so that load balancers
    /// leave it first (otherwise 0); a second signal cuts that short
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=300))]
    shutdown_delay: Option<u64>,
    /// Connections at once (otherwise 4096); where all are taken, those that are idle for longest make room
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// As many of them may come from one address (otherwise a quarter): behind a load balancer that hides its
    /// clients, as many as there are
    #[arg(long, value_name = "N")]
    max_connections_per_address: Option<usize>,
    /// This process among several, as its claims are named: after a restart under the same name it goes on
    /// at once with what it had claimed. If not given, a name of its own is made at each start, and what
    /// an earlier one had claimed is free when its lease ends
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Arguments {
    /// What is given here goes before what the file says.
    pub(super) fn lay_over(self, config: &mut ServerConfig) {
        set(&mut config.name, self.name.map(Some));
        set(&mut config.roles, self.roles);
        set(&mut config.health_listen, self.health_listen.map(Some));
        set(&mut config.database.url, self.database.map(Some));
        let api = &mut config.api;
        set(&mut api.listen, self.listen);
        set(&mut api.limits, self.limits);
        set(&mut api.wake_networks, self.wake_networks);
        set(&mut api.tls_cert, self.tls_cert.map(Some));
        set(&mut api.tls_key, self.tls_key.map(Some));
        set(&mut api.agent_ca_cert, self.agent_ca_cert.map(Some));
        set(&mut api.shutdown_delay, self.shutdown_delay);
        set(&mut api.max_connections, self.max_connections);
        set(
            &mut api.max_connections_per_address,
            self.max_connections_per_address.map(Some),
        );
        let vault = &mut config.vault;
        set(&mut vault.address, self.vault.map(Some));
        set(&mut vault.ca, self.vault_ca.map(Some));
        set(&mut vault.namespace, self.vault_namespace.map(Some));
        set(&mut vault.mount, self.vault_mount);
        set(&mut vault.role, self.vault_role);
        self.acme.lay_over(&mut config.acme);
    }
}
