//! The configuration of `cmp-server`: what its file says. Arguments and the environment are laid over it by
//! who starts the server; secrets are only named here.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ipnet::IpNet;
use serde::Deserialize;

use super::limits::Limits;
use super::secret::SecretSource;
use super::{ConfigError, Misfit, Source, read};

/// The file that is read if it is there and none is named.
pub const DEFAULT_FILE: &str = "/etc/cmp/cmp-server.toml";
/// Connections at once, unless told otherwise.
pub const DEFAULT_CONNECTIONS: usize = 4096;
/// How many connections one address may have, unless told otherwise: many agents may come from one, and the
/// others must not be kept out.
#[must_use]
pub const fn share(connections: usize) -> usize {
    if connections < 4 { 1 } else { connections / 4 }
}

/// The most connections that can be asked for.
const MOST_CONNECTIONS: usize = 1_000_000;
/// The longest that a stop may be put off, in seconds.
const LONGEST_DELAY_S: u64 = 300;

/// One server's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// This process among several, as its claims are named; made anew at each start without it.
    pub name: Option<String>,
    /// What this process does.
    pub roles: Vec<ServerRole>,
    /// Where `/healthz`, `/readyz` and `/metrics` alone are served, without TLS.
    pub health_listen: Option<SocketAddr>,
    /// The API token called `admin`, made or replaced at the start.
    pub admin_token: Option<SecretSource>,
    /// The database.
    pub database: Database,
    /// The API.
    pub api: Api,
    /// The shared cache.
    pub cache: CachePlace,
    /// The adapter `vault`.
    pub vault: Vault,
    /// The adapter `acme`.
    pub acme: Acme,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerRole {
    /// Answers the API.
    Api,
    /// Has certificates signed and revoked.
    Issuer,
    /// Does what is due.
    Scheduler,
}

/// `[database]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Its address, `sqlite://…` or `postgres://…`.
    pub url: Option<String>,
    /// Its password, where the address has none.
    pub password: Option<SecretSource>,
}

/// `[api]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate with the chain, in PEM.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM.
    pub tls_key: Option<PathBuf>,
    /// The CA that certifies agents, in PEM; further certificates in the file are trusted beside it. Agents
    /// have nothing but their tokens without it.
    pub agent_ca_cert: Option<PathBuf>,
    /// That CA's key, in PEM.
    pub agent_ca_key: Option<SecretSource>,
    /// How much one token may ask.
    pub limits: Limits,
    /// Networks in which agents may be woken at whatever address they name; elsewhere only where their last
    /// report came from.
    pub wake_networks: Vec<IpNet>,
    /// Connections at once.
    pub max_connections: usize,
    /// As many of them may come from one address; a quarter of them if not told.
    pub max_connections_per_address: Option<usize>,
    /// Seconds that it goes on answering once it was told to stop.
    pub shutdown_delay: u64,
}

/// `[cache]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CachePlace {
    /// Where Redis is; a cache in the process without it.
    pub url: Option<String>,
    /// Its password.
    pub password: Option<SecretSource>,
}

/// `[vault]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vault {
    /// Where it is; the adapters stay as they are without it.
    pub address: Option<String>,
    /// The CA that its certificate comes from, in PEM.
    pub ca: Option<PathBuf>,
    /// The namespace that the PKI engine is in.
    pub namespace: Option<String>,
    /// Where the PKI engine is mounted.
    pub mount: String,
    /// The role that signs.
    pub role: String,
    /// False where the CA publishes no CRL: its yes to a revocation is the end of it then.
    pub crl: bool,
    /// The issuer's token.
    pub token: Option<SecretSource>,
    /// Instead of a token, AppRole's role id.
    pub role_id: Option<SecretSource>,
    /// And its secret id.
    pub secret_id: Option<SecretSource>,
}

/// `[acme]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Acme {
    /// The CA's directory; no such adapter is made without it.
    pub directory: Option<String>,
    /// Where the account and its key are kept.
    pub account_file: Option<PathBuf>,
    /// The CAs to trust with that address, in PEM.
    pub ca_file: Option<PathBuf>,
    /// How the CA reaches us, such as `mailto:pki@example.com`.
    pub contact: Vec<String>,
    /// The key's name at a CA that binds accounts to ones that it knows.
    pub eab_key_id: Option<SecretSource>,
    /// That key, in base64url.
    pub eab_hmac: Option<SecretSource>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            name: None,
            roles: vec![ServerRole::Api, ServerRole::Issuer, ServerRole::Scheduler],
            health_listen: None,
            admin_token: None,
            database: Database::default(),
            api: Api::default(),
            cache: CachePlace::default(),
            vault: Vault::default(),
            acme: Acme::default(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)),
            tls_cert: None,
            tls_key: None,
            agent_ca_cert: None,
            agent_ca_key: None,
            limits: Limits::default(),
            wake_networks: Vec::new(),
            max_connections: DEFAULT_CONNECTIONS,
            max_connections_per_address: None,
            shutdown_delay: 0,
        }
    }
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            address: None,
            ca: None,
            namespace: None,
            mount: "cmp-pki".to_owned(),
            role: "cmp-role".to_owned(),
            crl: true,
            token: None,
            role_id: None,
            secret_id: None,
        }
    }
}

impl ServerConfig {
    /// What the named file says, or the usual one if it is there, or the defaults.
    ///
    /// # Errors
    /// What is wrong in it, where, and what is allowed.
    pub fn load(file: Option<&Path>) -> Result<(Self, Source), ConfigError> {
        let usual = Path::new(DEFAULT_FILE);
        let (config, source): (Self, Source) = match file {
            Some(file) => read(file)?,
            None if usual.exists() => read(usual)?,
            None => return Ok((Self::default(), Source::default())),
        };
        source.keeps(config.secrets())?;
        Ok((config, source))
    }

    /// Whether this process does that.
    #[must_use]
    pub fn has(&self, role: ServerRole) -> bool {
        self.roles.contains(&role)
    }

    /// Which value isn't allowed, and what is, once everything is laid over the file.
    ///
    /// # Errors
    /// The first value that isn't allowed.
    pub fn check(&self) -> Result<(), Misfit> {
        let wrong = |field: &str, what: &str| Err(Misfit::new(field, what));
        if self.roles.is_empty() {
            return wrong("roles", "names none: api, issuer or scheduler");
        }
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return wrong(
                "name",
                "must not be empty; leave it out for a name of its own at each start",
            );
        }
        match self.database.url.as_deref() {
            None => {
                return wrong(
                    "database.url",
                    "is missing: the database, such as sqlite:///var/lib/cmp/cmp.db or postgres://cmp_server@db/cmp",
                );
            }
            Some(url)
                if !["sqlite:", "postgres:", "postgresql:"]
                    .iter()
                    .any(|it| url.starts_with(it)) =>
            {
                // Not quoted: it may hold a password.
                return wrong("database.url", "must start with `sqlite://` or `postgres://`");
            }
            Some(_) => {}
        }
        match (&self.api.tls_cert, &self.api.tls_key) {
            (Some(_), None) => return wrong("api.tls_cert", "needs `api.tls_key`, the certificate's key"),
            (None, Some(_)) => return wrong("api.tls_key", "needs `api.tls_cert`, the key's certificate"),
            _ => {}
        }
        if self.api.agent_ca_cert.is_some() && self.api.tls_cert.is_none() {
            return wrong(
                "api.agent_ca_cert",
                "needs `api.tls_cert`: an agent shows its certificate over TLS",
            );
        }
        if self.api.agent_ca_key.is_some() && self.api.agent_ca_cert.is_none() {
            return wrong(
                "api.agent_ca_key",
                "needs `api.agent_ca_cert`, the key's certificate",
            );
        }
        if !(1..=MOST_CONNECTIONS).contains(&self.api.max_connections) {
            return wrong("api.max_connections", "must be a number from 1 to 1000000");
        }
        let of_one = self.api.max_connections_per_address;
        if of_one.is_some_and(|n| !(1..=self.api.max_connections).contains(&n)) {
            return wrong(
                "api.max_connections_per_address",
                "must be a number from 1 to `api.max_connections`",
            );
        }
        if self.api.shutdown_delay > LONGEST_DELAY_S {
            return wrong("api.shutdown_delay", "must be from 0 to 300 seconds");
        }
        if self.health_listen == Some(self.api.listen)
            && self.api.listen.port() != 0
            && self.has(ServerRole::Api)
        {
            return wrong(
                "health_listen",
                "is where the API listens, which answers `/healthz` too",
            );
        }
        let vault = &self.vault;
        match &vault.address {
            Some(address) if !(address.starts_with("http://") || address.starts_with("https://")) => {
                return wrong("vault.address", "must start with `http://` or `https://`");
            }
            None if vault.ca.is_some() => return wrong("vault.ca", "needs `vault.address`"),
            None if vault.namespace.is_some() => return wrong("vault.namespace", "needs `vault.address`"),
            _ => {}
        }
        let acme = &self.acme;
        match &acme.directory {
            Some(_) if acme.account_file.is_none() => {
                return wrong(
                    "acme.directory",
                    "needs `acme.account_file`, where the account is kept",
                );
            }
            None if acme.ca_file.is_some() => return wrong("acme.ca_file", "needs `acme.directory`"),
            None if !acme.contact.is_empty() => return wrong("acme.contact", "needs `acme.directory`"),
            _ => {}
        }
        Ok(())
    }

    fn secrets(&self) -> impl Iterator<Item = &SecretSource> {
        [
            &self.admin_token,
            &self.database.password,
            &self.api.agent_ca_key,
            &self.cache.password,
            &self.vault.token,
            &self.vault.role_id,
            &self.vault.secret_id,
            &self.acme.eab_key_id,
            &self.acme.eab_hmac,
        ]
        .into_iter()
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn of(text: &str) -> ServerConfig {
        parse(Path::new("server.toml"), text).unwrap()
    }

    #[test]
    fn an_empty_file_is_the_defaults_and_only_the_database_is_missing() {
        let config = of("");
        assert_eq!(config, ServerConfig::default());
        assert_eq!(config.check().unwrap_err().field, "database.url");
        assert_eq!(of("[database]\nurl = \"sqlite:///x\"").check(), Ok(()));
    }

    #[test]
    fn the_documented_file_is_the_defaults_and_every_line_that_it_shows_is_known() {
        let page = include_str!("../../docs/server.md");
        let file = page
            .split("```toml\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        assert_eq!(of(file), ServerConfig::default());
        let shown = file.replace("# ", "").replace("\"…\"", "\"/x\"");
        let lines = shown.lines().filter_map(|line| line.split("  ").next());
        let config = of(&lines.collect::<Vec<_>>().join("\n"));
        assert_eq!(config.secrets().count(), 9);
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, field) in [
            ("roles = []", "roles"),
            ("[api]\ntls_cert = \"/c\"", "api.tls_cert"),
            ("[api]\ntls_key = \"/k\"", "api.tls_key"),
            ("[api]\nagent_ca_cert = \"/c\"", "api.agent_ca_cert"),
            ("[api]\nagent_ca_key = \"k\"", "api.agent_ca_key"),
            ("[api]\nmax_connections = 0", "api.max_connections"),
            (
                "[api]\nmax_connections = 7\nmax_connections_per_address = 8",
                "api.max_connections_per_address",
            ),
            ("[api]\nshutdown_delay = 301", "api.shutdown_delay"),
            ("[vault]\naddress = \"vault:8200\"", "vault.address"),
            ("[vault]\nca = \"/ca\"", "vault.ca"),
            ("[acme]\ndirectory = \"https://ca\"", "acme.directory"),
            ("health_listen = \"127.0.0.1:8082\"", "health_listen"),
        ] {
            let text = match text.starts_with('[') {
                true => format!("{text}\n[database]\nurl = \"sqlite:///x\""),
                false => format!("{text}\n[database]\nurl = \"sqlite:///x\"\n"),
            };
            assert_eq!(of(&text).check().unwrap_err().field, field);
        }
    }

    #[test]
    fn limits_and_roles_are_read_and_refused_with_the_line() {
        let config = of("roles = [\"issuer\"]\n[api]\nlimits = \"reads=7\"");
        assert_eq!(config.roles, [ServerRole::Issuer]);
        assert_eq!(config.api.limits.reads, Some(7));
        for (text, said) in [
            ("\nroles = [\"isuer\"]", "line 2"),
            (
                "[api]\n\nlimits = \"writes=1\"",
                "line 3: `writes` can't be limited",
            ),
            ("[vault]\nadress = \"x\"", "line 2"),
        ] {
            let error = parse::<ServerConfig>(Path::new("s.toml"), text)
                .unwrap_err()
                .to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
