//! A context: one platform, with all that a console needs to know of it.

use std::path::PathBuf;

use serde::Deserialize;

use super::look::LookConfig;
use crate::config::secret::SecretSource;

/// One environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The API's address, such as `http://127.0.0.1:8082`.
    pub api: String,
    /// A PEM file with the certificate of the CA that issued the API's; then only that CA is trusted. The
    /// system's trust store without it.
    #[serde(default)]
    pub api_ca: Option<PathBuf>,
    /// Vault's address, such as `http://127.0.0.1:8200`; none on a platform whose CAs are all others.
    #[serde(default)]
    pub vault: Option<String>,
    /// The addresses of the nodes of Vault's cluster, each of which is unsealed by itself; none for a Vault
    /// that is one node at `vault`.
    #[serde(default)]
    pub vault_nodes: Vec<String>,
    /// The file with the CA that Vault's certificate comes from; the system's roots without it.
    #[serde(default)]
    pub vault_ca: Option<PathBuf>,
    /// The namespace that the PKI engine is in.
    #[serde(default)]
    pub vault_namespace: Option<String>,
    /// Source of the API token; the variable `CMP_TOKEN` if not set.
    #[serde(default)]
    pub api_token: Option<SecretSource>,
    /// Source of the token at Vault; the variable `VAULT_TOKEN` if not set.
    #[serde(default)]
    pub vault_token: Option<SecretSource>,
    /// Source of AppRole's role id; the variable `VAULT_ROLE_ID` if not set. Where both ids are there they
    /// are used instead of the token, unless only `vault_token` is set.
    #[serde(default)]
    pub vault_role_id: Option<SecretSource>,
    /// Source of AppRole's secret id; the variable `VAULT_SECRET_ID` if not set.
    #[serde(default)]
    pub vault_secret_id: Option<SecretSource>,
    /// Mount of the PKI engine in Vault.
    #[serde(default = "default_mount")]
    pub pki_mount: String,
    /// The role that a test issuance is made with: one of its own, which signs the test's name and no other.
    #[serde(default = "default_test_role")]
    pub pki_test_role: String,
    /// Forbids every change.
    #[serde(default)]
    pub read_only: bool,
    /// Forbids every change until `:unlock 15m TICKET`, and looks like what one must be careful with.
    #[serde(default)]
    pub protected: bool,
    /// Look of this context; as `[look]` says where it says nothing.
    #[serde(default)]
    pub look: LookConfig,
    /// The platform's database, which is read directly then; through the API without it.
    #[serde(default)]
    pub database: Option<DatabaseConfig>,
}

/// The platform's database, to read from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// Its hosts, primary and replicas in any order, as `host:port`; a folder is that of a Unix socket.
    pub hosts: Vec<String>,
    /// The database's name.
    #[serde(default = "default_database_name")]
    pub name: String,
    /// The account, which only needs to read (`deploy/postgres/roles.sql`).
    #[serde(default = "default_database_user")]
    pub user: String,
    /// Demand for TLS; `verify-full` where `ca` is set, and otherwise `prefer`.
    #[serde(default)]
    pub sslmode: Option<SslMode>,
    /// The file with the CA that the hosts' certificates come from, in PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Source of the password; the variable `CMP_DATABASE_PASSWORD` if not set.
    #[serde(default)]
    pub password: Option<SecretSource>,
}

/// Demand for TLS with a database, in PostgreSQL's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// None.
    Disable,
    /// TLS if the server has it.
    Prefer,
    /// Always, with whoever it is.
    Require,
    /// With a certificate of a known CA.
    VerifyCa,
    /// With a certificate of a known CA for this host.
    VerifyFull,
}

impl Context {
    /// The first key that is wrong, and the reason.
    pub(super) fn misfit(&self) -> Option<(&'static str, String)> {
        let addresses = [("api", Some(&self.api)), ("vault", self.vault.as_ref())];
        let addresses = addresses
            .into_iter()
            .filter_map(|(key, address)| Some((key, address?)));
        let nodes = self.vault_nodes.iter().map(|node| ("vault_nodes", node));
        let wrong = addresses.chain(nodes).find(|(_, address)| !is_http(address));
        if let Some((key, address)) = wrong {
            return Some((
                key,
                format!("must start with `http://` or `https://`, not `{address}`"),
            ));
        }
        let of_vault = [
            ("vault_nodes", !self.vault_nodes.is_empty()),
            ("vault_ca", self.vault_ca.is_some()),
            ("vault_namespace", self.vault_namespace.is_some()),
            ("vault_token", self.vault_token.is_some()),
            ("vault_role_id", self.vault_role_id.is_some()),
            ("vault_secret_id", self.vault_secret_id.is_some()),
        ];
        let alone = of_vault
            .into_iter()
            .find(|(_, is_set)| self.vault.is_none() && *is_set);
        alone.map(|(key, _)| (key, "needs `vault`".to_owned()))
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretSource> {
        [
            &self.api_token,
            &self.vault_token,
            &self.vault_role_id,
            &self.vault_secret_id,
        ]
        .into_iter()
        .flatten()
        .chain(
            self.database
                .iter()
                .filter_map(|database| database.password.as_ref()),
        )
    }
}

fn is_http(address: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        let rest = address.strip_prefix(scheme);
        rest.is_some_and(|rest| !rest.is_empty())
    })
}

impl Default for Context {
    fn default() -> Self {
        Self {
            api: String::new(),
            api_ca: None,
            vault: None,
            vault_nodes: Vec::new(),
            vault_ca: None,
            vault_namespace: None,
            api_token: None,
            vault_token: None,
            vault_role_id: None,
            vault_secret_id: None,
            pki_mount: default_mount(),
            pki_test_role: default_test_role(),
            read_only: false,
            protected: false,
            look: LookConfig::default(),
            database: None,
        }
    }
}

fn default_database_name() -> String {
    "cmp_db".to_owned()
}

fn default_database_user() -> String {
    "cmp_console".to_owned()
}

fn default_mount() -> String {
    "cmp-pki".to_owned()
}

fn default_test_role() -> String {
    "cmp-test-role".to_owned()
}
