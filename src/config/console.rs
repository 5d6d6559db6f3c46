//! The configuration of `cmp-console`: named contexts, and which one is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, line_of, read};
use crate::domain::secret::Secret;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleConfig {
    /// The context that is used when none is named on the command line.
    pub default_context: Option<String>,
    /// The contexts by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
    /// How it looks.
    #[serde(default)]
    pub look: LookConfig,
    /// Other keys for commands, by the commands' names (docs/keys.md).
    #[serde(default)]
    pub keys: BTreeMap<String, toml::Spanned<Vec<String>>>,
}

/// A person's own keys, and where they stand, for whoever finds them wrong.
#[derive(Clone, Debug, Default)]
pub struct OwnKeys {
    /// The keys by the commands' names.
    pub keys: BTreeMap<String, Vec<String>>,
    path: PathBuf,
    lines: BTreeMap<String, usize>,
}

impl OwnKeys {
    /// What is wrong with the keys of the command `name`, at its line.
    #[must_use]
    pub fn wrong(&self, name: &str, what: String) -> ConfigError {
        ConfigError::Wrong {
            path: self.path.clone(),
            line: self.lines.get(name).copied().unwrap_or(1),
            what,
        }
    }
}

/// Which colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colours {
    /// The sixteen colours that every terminal has, so that its own theme decides how they look, on light
    /// ground and on dark.
    #[default]
    Sixteen,
    /// Tuned for dark ground, in full colour where the terminal has it.
    Dark,
    /// The same for light ground.
    Light,
    /// Blue for good, orange for soon, vermilion for broken, from the 256: told apart by who can't tell
    /// green from red (after Okabe and Ito).
    Safe,
    /// None (`NO_COLOR`).
    Mono,
}

/// When the link to the terminal is taken for slow, so that the console draws plainer and less often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowLink {
    /// When it is measured to be slow.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How the console looks, where the terminal alone can't tell. What isn't set is as the file's `[look]` has
/// it, or as the environment does.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookConfig {
    /// Which colours; `NO_COLOR` in the environment is stronger.
    pub colours: Option<Colours>,
    /// Plain ASCII only; otherwise where the locale isn't UTF-8.
    pub ascii: Option<bool>,
    /// When the link is taken for slow.
    pub slow_link: Option<SlowLink>,
}

impl LookConfig {
    /// This, and where it says nothing `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            colours: self.colours.or(other.colours),
            ascii: self.ascii.or(other.ascii),
            slow_link: self.slow_link.or(other.slow_link),
        }
    }
}

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
    /// Vault's address, such as `http://127.0.0.1:8200`.
    pub vault: String,
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
    /// The environment variable that holds the API token.
    #[serde(default = "default_api_token_env")]
    pub api_token_env: String,
    /// The environment variable that holds the Vault token.
    #[serde(default = "default_vault_token_env")]
    pub vault_token_env: String,
    /// The environment variables that hold AppRole's role id and secret id; where both are set they are used
    /// instead of the token.
    #[serde(default = "default_vault_role_id_env")]
    pub vault_role_id_env: String,
    /// See [`Self::vault_role_id_env`].
    #[serde(default = "default_vault_secret_id_env")]
    pub vault_secret_id_env: String,
    /// Where the PKI engine is mounted in Vault.
    #[serde(default = "default_mount")]
    pub pki_mount: String,
    /// The role that a test issuance is made with.
    #[serde(default = "default_role")]
    pub pki_role: String,
    /// Forbids every change.
    #[serde(default)]
    pub read_only: bool,
    /// Forbids every change until `:unlock 15m TICKET`, and looks like what one must be careful with.
    #[serde(default)]
    pub protected: bool,
    /// How it looks; as `[look]` says where it says nothing.
    #[serde(default)]
    pub look: LookConfig,
    /// The platform's database, which is read directly then; through the API without it.
    #[serde(default)]
    pub database: Option<DatabaseConfig>,
    /// Tokens that were handed over in memory (the demo's); never in the file.
    #[serde(skip)]
    pub tokens: Tokens,
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
    /// How far TLS is wanted; `verify-full` where `ca` is set, and otherwise `prefer`.
    #[serde(default)]
    pub sslmode: Option<SslMode>,
    /// The file with the CA that the hosts' certificates come from, in PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The environment variable that holds the password.
    #[serde(default = "default_database_password_env")]
    pub password_env: String,
}

/// How far TLS is wanted with a database, in PostgreSQL's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// None.
    Disable,
    /// If the server has it.
    Prefer,
    /// Always, with whoever it is.
    Require,
    /// With a certificate of a known CA.
    VerifyCa,
    /// With a certificate of a known CA for this host.
    VerifyFull,
}

/// Tokens in memory.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// The API's.
    pub api: Option<Secret>,
    /// Vault's.
    pub vault: Option<Secret>,
    /// AppRole's role id and secret id at Vault.
    pub vault_role: Option<(Secret, Secret)>,
    /// The database's password.
    pub database: Option<Secret>,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            api: String::new(),
            api_ca: None,
            vault: String::new(),
            vault_nodes: Vec::new(),
            vault_ca: None,
            vault_namespace: None,
            api_token_env: default_api_token_env(),
            vault_token_env: default_vault_token_env(),
            vault_role_id_env: default_vault_role_id_env(),
            vault_secret_id_env: default_vault_secret_id_env(),
            pki_mount: default_mount(),
            pki_role: default_role(),
            read_only: false,
            protected: false,
            look: LookConfig::default(),
            database: None,
            tokens: Tokens::default(),
        }
    }
}

fn default_api_token_env() -> String {
    "CMP_TOKEN".to_owned()
}

fn default_vault_token_env() -> String {
    "VAULT_TOKEN".to_owned()
}

fn default_vault_role_id_env() -> String {
    "VAULT_ROLE_ID".to_owned()
}

fn default_vault_secret_id_env() -> String {
    "VAULT_SECRET_ID".to_owned()
}

fn default_database_name() -> String {
    "cmp_db".to_owned()
}

fn default_database_user() -> String {
    "cmp_console".to_owned()
}

fn default_database_password_env() -> String {
    "CMP_DATABASE_PASSWORD".to_owned()
}

fn default_mount() -> String {
    "cmp-pki".to_owned()
}

fn default_role() -> String {
    "cmp-role".to_owned()
}

/// Why there is no context to open.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No file was found.
    #[error("there is no configuration file at `{}`; copy config.example.toml there, or try `cmp-console demo`", path.display())]
    NoFile {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The named context isn't in the file.
    #[error("`{name}` is no context in `{}`; it has: {known}", path.display())]
    NoContext {
        /// Which file.
        path: PathBuf,
        /// The name.
        name: String,
        /// The names that are there.
        known: String,
    },
}

/// Reads the file (`--config`, or the user's own) and picks the context by name or default.
///
/// # Errors
/// What is wrong, where, and what is allowed.
pub fn open(file: Option<&Path>, name: Option<&str>) -> Result<Opened, ContextError> {
    let path = file.map_or_else(default_path, Path::to_owned);
    if file.is_none() && !path.exists() {
        return Err(ContextError::NoFile { path });
    }
    let (mut config, text): (ConsoleConfig, String) = read(&path)?;
    let keys = own_keys(&path, &mut config, &text);
    for context in config.contexts.values_mut() {
        context.tokens.api = from_env(&context.api_token_env);
        context.tokens.vault = from_env(&context.vault_token_env);
        context.tokens.vault_role =
            from_env(&context.vault_role_id_env).zip(from_env(&context.vault_secret_id_env));
        if let Some(database) = &context.database {
            context.tokens.database = from_env(&database.password_env);
        }
    }
    let known = config.contexts.keys().cloned().collect::<Vec<_>>().join(", ");
    let name = match name.map(str::to_owned).or(config.default_context) {
        Some(name) => name,
        None if config.contexts.len() == 1 => known.clone(),
        None => String::new(),
    };
    if !config.contexts.contains_key(&name) {
        return Err(ContextError::NoContext { path, name, known });
    }
    Ok(Opened {
        name,
        contexts: config.contexts,
        look: config.look,
        keys,
    })
}

/// What a person's file says of look and keys, where no context of it is meant; without a file nothing.
///
/// # Errors
/// What is wrong in it, where, and what is allowed.
pub fn preferences(file: Option<&Path>) -> Result<(LookConfig, OwnKeys), ConfigError> {
    let path = file.map_or_else(default_path, Path::to_owned);
    if file.is_none() && !path.exists() {
        return Ok((LookConfig::default(), OwnKeys::default()));
    }
    let (mut config, text): (ConsoleConfig, String) = read(&path)?;
    let keys = own_keys(&path, &mut config, &text);
    Ok((config.look, keys))
}

fn own_keys(path: &Path, config: &mut ConsoleConfig, text: &str) -> OwnKeys {
    let mut keys = OwnKeys {
        path: path.to_owned(),
        ..OwnKeys::default()
    };
    for (name, own) in std::mem::take(&mut config.keys) {
        keys.lines.insert(name.clone(), line_of(text, own.span().start));
        keys.keys.insert(name, own.into_inner());
    }
    keys
}

fn from_env(variable: &str) -> Option<Secret> {
    let value = std::env::var(variable).ok()?;
    Some(value).filter(|value| !value.is_empty()).map(Secret::new)
}

/// What the file says, and which context is opened.
#[derive(Debug)]
pub struct Opened {
    /// The name of the context to open; it is one of `contexts`.
    pub name: String,
    /// All contexts by name.
    pub contexts: BTreeMap<String, Context>,
    /// How they look, where they don't say otherwise.
    pub look: LookConfig,
    /// The person's own keys.
    pub keys: OwnKeys,
}

/// `$XDG_CONFIG_HOME/cmp-console/config.toml`, or under `~/.config`.
#[must_use]
pub fn default_path() -> PathBuf {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    base.unwrap_or_else(|| home().join(".config"))
        .join("cmp-console/config.toml")
}

/// `$XDG_STATE_HOME/cmp-console`, or under `~/.local/state`: logs, reports, the local journal.
#[must_use]
pub fn state_dir() -> PathBuf {
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    base.unwrap_or_else(|| home().join(".local/state"))
        .join("cmp-console")
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn the_example_is_valid() {
        let text = include_str!("../../config.example.toml");
        let config: ConsoleConfig = parse(Path::new("config.example.toml"), text).unwrap();
        let context = &config.contexts["prod-eu"];
        let usual = Context::default();
        assert_eq!(
            (&context.vault_role_id_env, &context.vault_secret_id_env),
            (&usual.vault_role_id_env, &usual.vault_secret_id_env)
        );
        assert_eq!(context.vault_nodes.len(), 3);
        assert_eq!(context.database.as_ref().unwrap().hosts.len(), 2);
    }

    #[test]
    fn a_wrong_file_names_line_and_what_is_allowed() {
        let text = "[contexts.demo]\napi = \"http://x\"\nvault = \"http://y\"\nread_onyl = true\n";
        let error = parse::<ConsoleConfig>(Path::new("c.toml"), text)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 4") && error.contains("read_onyl") && error.contains("read_only"),
            "{error}"
        );
    }
}
