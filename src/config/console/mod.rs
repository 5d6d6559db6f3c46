//! The configuration of `cmp-console`: named contexts, and which one is used.

mod context;
mod credentials;
mod directories;
mod look;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, Misfit, Source, read};

pub use context::{Context, DatabaseConfig, SslMode};
pub use credentials::{API_TOKEN, Tokens, VAULT_TOKEN, VaultKey};
pub use directories::{default_path, state_dir};
pub use look::{Colours, LookConfig, SlowLink};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleConfig {
    /// The context that is used when none is named on the command line.
    pub default_context: Option<String>,
    /// The contexts by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
    /// Look of all contexts, unless they say otherwise.
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
    /// Error about the keys of the command `name`, at its line.
    #[must_use]
    pub fn wrong(&self, name: &str, what: impl Into<String>) -> ConfigError {
        self.source.place(Misfit::new(format!("keys.{name}"), what))
    }
}

/// Reason that there is no context to open.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No file was found.
    #[error("there is no configuration file at `{}`; copy config.example.toml there, or try `cmp-console demo`", path.display())]
    NoFile {
        /// Path that was looked at.
        path: PathBuf,
    },
    /// The named context isn't in the file.
    #[error("`{name}` is no context in `{}`; it has: {known}", path.display())]
    NoContext {
        /// The file.
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
/// The file is wrong, or has no such context; the error says where, and what is allowed.
pub fn open(file: Option<&Path>, name: Option<&str>) -> Result<Opened, ContextError> {
    let (path, mut opened) = whole(file)?;
    if let Some(name) = name {
        name.clone_into(&mut opened.name);
    } else if opened.name.is_empty() && opened.contexts.len() == 1 {
        opened.name.clone_from(&opened.known());
    }
    opened.named(path)
}

/// Configuration for whoever looks at all contexts: none need be the default.
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

/// Look and keys of a person's file, where no context of it is meant; the defaults without a file.
///
/// # Errors
/// The file is wrong; the error says where, and what is allowed.
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

/// Contents of the file, and the context that is opened.
#[derive(Debug)]
pub struct Opened {
    /// The name of the context to open; it is one of `contexts`.
    pub name: String,
    /// All contexts by name.
    pub contexts: BTreeMap<String, Context>,
    /// Look of all contexts, unless they say otherwise.
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

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::parse;
    use crate::config::secret::SecretSource;

    #[test]
    fn the_example_is_valid() {
        let text = include_str!("../../../config.example.toml");
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
        // A file without the secret itself may be read by everybody.
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
