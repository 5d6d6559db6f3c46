//! The configuration of `cmp-console`: named contexts, and which one is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::secret::{SecretError, SecretSource};
use super::{ConfigError, Misfit, Source, read};
use crate::domain::secret::Secret;

/// The variable that the API token is in, unless the context says otherwise.
pub const API_TOKEN: &str = "CMP_TOKEN";
/// The variable that the database's password is looked for in, if nothing else is said.
const DATABASE_PASSWORD: &str = "CMP_DATABASE_PASSWORD";
/// The one that the token at Vault is in.
pub const VAULT_TOKEN: &str = "VAULT_TOKEN";
/// The ones that AppRole's ids are in.
const VAULT_ROLE_ID: &str = "VAULT_ROLE_ID";
const VAULT_SECRET_ID: &str = "VAULT_SECRET_ID";

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
    pub keys: BTreeMap<String, Vec<String>>,
}

/// A person's own keys, and where they stand, for whoever finds them wrong.
#[derive(Clone, Debug, Default)]
pub struct OwnKeys {
    /// The keys by the commands' names.
    pub keys: BTreeMap<String, Vec<String>>,
    source: Source,
}

impl OwnKeys {
    /// What is wrong with the keys of the command `name`, at its line.
    #[must_use]
    pub fn wrong(&self, name: &str, what: impl Into<String>) -> ConfigError {
        self.source.place(Misfit::new(format!("keys.{name}"), what))
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
    /// Where the API token comes from; the variable `CMP_TOKEN` if not set.
    #[serde(default)]
    pub api_token: Option<SecretSource>,
    /// Where the token at Vault comes from; the variable `VAULT_TOKEN` if not set.
    #[serde(default)]
    pub vault_token: Option<SecretSource>,
    /// Where AppRole's role id comes from; the variable `VAULT_ROLE_ID` if not set. Where both ids are there they
    /// are used instead of the token, unless only `vault_token` is set.
    #[serde(default)]
    pub vault_role_id: Option<SecretSource>,
    /// Where AppRole's secret id comes from; the variable `VAULT_SECRET_ID` if not set.
    #[serde(default)]
    pub vault_secret_id: Option<SecretSource>,
    /// Where the PKI engine is mounted in Vault.
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
    /// How it looks; as `[look]` says where it says nothing.
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
    /// How far TLS is wanted; `verify-full` where `ca` is set, and otherwise `prefer`.
    #[serde(default)]
    pub sslmode: Option<SslMode>,
    /// The file with the CA that the hosts' certificates come from, in PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Where the password comes from; the variable `CMP_DATABASE_PASSWORD` if not set.
    #[serde(default)]
    pub password: Option<SecretSource>,
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

/// What a context is entered with, or why that is not to be had.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// At the API.
    pub api: Result<Secret, String>,
    /// At Vault.
    pub vault: Result<VaultKey, String>,
    /// At the database, where one is read.
    pub database: Result<Option<Secret>, String>,
}

/// As whom one comes to Vault.
#[derive(Clone, Debug)]
pub enum VaultKey {
    /// As nobody, who can still unseal it.
    Nobody,
    /// With a token.
    Token(Secret),
    /// With AppRole's role id and secret id.
    Role(Secret, Secret),
}

impl Context {
    /// Gets the tokens. Commands are run now, and none of their failures ends anything: what needs the token
    /// says why there is none.
    pub async fn tokens(&self) -> Tokens {
        let (api, vault, database) =
            tokio::join!(self.api_token(), self.vault_key(), self.database_password());
        Tokens {
            api: api.map_err(|error| error.to_string()),
            vault: vault.map_err(|error| error.to_string()),
            database: database.map_err(|error| error.to_string()),
        }
    }

    /// Where the API token comes from.
    #[must_use]
    pub fn api_token_source(&self) -> SecretSource {
        self.api_token
            .clone()
            .unwrap_or_else(|| SecretSource::env(API_TOKEN))
    }

    /// Where the token at Vault comes from, where it is one.
    #[must_use]
    pub fn vault_token_source(&self) -> SecretSource {
        self.vault_token
            .clone()
            .unwrap_or_else(|| SecretSource::env(VAULT_TOKEN))
    }

    /// The API token, for a look from beside: from where this context itself says, and without a command. The
    /// usual variable is for the context that is opened, and nobody else's API is to see it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn quiet_api_token(&self) -> Result<Secret, String> {
        match &self.api_token {
            Some(source) => source.read_token_quietly().map_err(|error| error.to_string()),
            None => Err(format!(
                "its `api_token` is not set, and `{API_TOKEN}` is used only for the context that is opened"
            )),
        }
    }

    async fn api_token(&self) -> Result<Secret, SecretError> {
        self.api_token_source().read_token().await
    }

    async fn database_password(&self) -> Result<Option<Secret>, SecretError> {
        match &self.database {
            Some(database) => or_usual(database.password.as_ref(), DATABASE_PASSWORD).await,
            None => Ok(None),
        }
    }

    async fn vault_key(&self) -> Result<VaultKey, SecretError> {
        // Without Vault there is no use for a key to it, so no command is run for one.
        if self.vault.is_none() {
            return Ok(VaultKey::Nobody);
        }
        let names_a_role = self.vault_role_id.is_some() || self.vault_secret_id.is_some();
        if names_a_role || self.vault_token.is_none() {
            let (role_id, secret_id) = tokio::join!(
                token_or_usual(self.vault_role_id.as_ref(), VAULT_ROLE_ID),
                token_or_usual(self.vault_secret_id.as_ref(), VAULT_SECRET_ID)
            );
            if let (Some(role_id), Some(secret_id)) = (role_id?, secret_id?) {
                return Ok(VaultKey::Role(role_id, secret_id));
            }
        }
        let token = token_or_usual(self.vault_token.as_ref(), VAULT_TOKEN).await?;
        Ok(token.map_or(VaultKey::Nobody, VaultKey::Token))
    }

    /// The first key that is wrong, and the reason.
    fn misfit(&self) -> Option<(&'static str, String)> {
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

    fn secrets(&self) -> impl Iterator<Item = &SecretSource> {
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

/// What is named has to be there; what isn't named may be in the usual variable.
async fn or_usual(named: Option<&SecretSource>, usual: &str) -> Result<Option<Secret>, SecretError> {
    match named {
        Some(source) => source.read().await.map(Some),
        None => SecretSource::env(usual).read_if_there().await,
    }
}

/// The same for what is sent in a header.
async fn token_or_usual(named: Option<&SecretSource>, usual: &str) -> Result<Option<Secret>, SecretError> {
    match named {
        Some(source) => source.read_token().await.map(Some),
        None => SecretSource::env(usual).read_token_if_there().await,
    }
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
    let (path, mut opened) = whole(file)?;
    if let Some(name) = name {
        name.clone_into(&mut opened.name);
    } else if opened.name.is_empty() && opened.contexts.len() == 1 {
        opened.name.clone_from(&opened.known());
    }
    opened.named(path)
}

/// The same for whoever looks at all contexts: none need be the default.
///
/// # Errors
/// See [`open`].
pub fn open_all(file: Option<&Path>, name: Option<&str>) -> Result<Opened, ContextError> {
    let (path, mut opened) = whole(file)?;
    let first = || opened.contexts.keys().next().cloned().unwrap_or_default();
    opened.name = name.map_or_else(first, str::to_owned);
    opened.named(path)
}

/// All of it, with the default context's name or none.
fn whole(file: Option<&Path>) -> Result<(PathBuf, Opened), ContextError> {
    let path = file.map_or_else(default_path, Path::to_owned);
    if file.is_none() && !path.exists() {
        return Err(ContextError::NoFile { path });
    }
    let (mut config, source): (ConsoleConfig, Source) = read(&path)?;
    source.keeps(config.contexts.values().flat_map(Context::secrets))?;
    for (name, context) in &config.contexts {
        if let Some((key, what)) = context.misfit() {
            return Err(source
                .place(Misfit::new(format!("contexts.{name}.{key}"), what))
                .into());
        }
    }
    let keys = own_keys(&source, &mut config);
    let opened = Opened {
        name: config.default_context.unwrap_or_default(),
        contexts: config.contexts,
        look: config.look,
        keys,
    };
    Ok((path, opened))
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
    let (mut config, source): (ConsoleConfig, Source) = read(&path)?;
    let keys = own_keys(&source, &mut config);
    Ok((config.look, keys))
}

fn own_keys(source: &Source, config: &mut ConsoleConfig) -> OwnKeys {
    OwnKeys {
        keys: std::mem::take(&mut config.keys),
        source: source.clone(),
    }
}

fn is_http(address: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        let rest = address.strip_prefix(scheme);
        rest.is_some_and(|rest| !rest.is_empty())
    })
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

impl Opened {
    fn known(&self) -> String {
        self.contexts.keys().cloned().collect::<Vec<_>>().join(", ")
    }

    /// This, if its name is one of its contexts.
    fn named(self, path: PathBuf) -> Result<Self, ContextError> {
        match self.contexts.contains_key(&self.name) {
            true => Ok(self),
            false => Err(ContextError::NoContext {
                path,
                known: self.known(),
                name: self.name,
            }),
        }
    }
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
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::parse;
    use super::*;

    #[test]
    fn the_example_is_valid() {
        let text = include_str!("../../config.example.toml");
        let config: ConsoleConfig = parse(Path::new("config.example.toml"), text).unwrap();
        let context = &config.contexts["prod-eu"];
        assert_eq!(context.api_token_source(), SecretSource::env(API_TOKEN));
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

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_secret_in_a_file_for_everybody_is_refused_with_its_line() {
        let text = "[contexts.x]\napi = \"http://a\"\nvault = \"http://v\"\napi_token = \"hunter2\"\n";
        let (_dir, path) = written(text, 0o644);
        let said = open(Some(&path), None).unwrap_err().to_string();
        assert!(said.contains("line 4") && said.contains("chmod 600"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        let (_dir, path) = written(text, 0o600);
        assert!(open(Some(&path), None).is_ok());
        // Where the secret is elsewhere, the file is nobody's secret.
        let (_dir, path) = written(&text.replace("\"hunter2\"", "{ env = \"X\" }"), 0o644);
        assert!(open(Some(&path), None).is_ok());
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_its_line() {
        let (_dir, path) = written("[contexts.x]\napi = \"api:8082\"\nvault = \"http://v\"\n", 0o644);
        let said = open(Some(&path), None).unwrap_err().to_string();
        assert!(
            said.contains("line 2: `contexts.x.api` must start with `http://`"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_context_without_vault_has_no_key_to_it_and_nothing_else_of_it() {
        let context = "[contexts.x]\napi = \"http://a\"\n";
        let (_dir, path) = written(context, 0o644);
        let opened = open(Some(&path), None).unwrap();
        let context_without = &opened.contexts["x"];
        assert_eq!(context_without.vault, None);
        let key = context_without.tokens().await.vault;
        assert!(matches!(key, Ok(VaultKey::Nobody)), "{key:?}");
        for line in [
            "vault_nodes = [\"http://v\"]",
            "vault_ca = \"/x.pem\"",
            "vault_namespace = \"n\"",
            "vault_token = { command = [\"touch\", \"/nowhere/at/all\"] }",
            "vault_role_id = { env = \"X\" }",
            "vault_secret_id = { env = \"X\" }",
        ] {
            let (_dir, path) = written(&format!("{context}{line}\n"), 0o644);
            let said = open(Some(&path), None).unwrap_err().to_string();
            let key = line.split(' ').next().unwrap();
            let expected = format!("line 3: `contexts.x.{key}` needs `vault`");
            assert!(said.contains(&expected), "{said}");
        }
        let text = format!("{context}vault = \"http://v\"\nvault_nodes = [\"v-1:8200\"]\n");
        let (_dir, path) = written(&text, 0o644);
        let said = open(Some(&path), None).unwrap_err().to_string();
        assert!(
            said.contains("line 4: `contexts.x.vault_nodes` must start"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn tokens_come_from_where_the_context_says_and_failures_are_kept() {
        let text = "[contexts.x]\napi = \"http://a\"\nvault = \"http://v\"\n\
            api_token = { command = [\"sh\", \"-c\", \"echo locked >&2; exit 3\"] }\n\
            vault_token = { command = [\"printf\", \"hunter2\"] }\n";
        let (_dir, path) = written(text, 0o644);
        let opened = open(Some(&path), None).unwrap();
        let tokens = opened.contexts["x"].tokens().await;
        let why = tokens.api.unwrap_err();
        assert!(why.contains("exit code 3") && why.contains("locked"), "{why}");
        assert!(matches!(tokens.vault, Ok(VaultKey::Token(token)) if token.expose() == "hunter2"));
    }
}
