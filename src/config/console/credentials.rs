//! Credentials of a context: at the API, at Vault and at the database.

use super::context::Context;
use crate::config::secret::{SecretError, SecretSource};
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

/// Credentials that a context is entered with, or the reasons that there are none.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// At the API.
    pub api: Result<Secret, String>,
    /// At Vault.
    pub vault: Result<VaultKey, String>,
    /// At the database, where one is read.
    pub database: Result<Option<Secret>, String>,
}

/// Identity at Vault.
#[derive(Clone, Debug)]
pub enum VaultKey {
    /// None; a seal can be opened all the same.
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

    /// Source of the API token.
    #[must_use]
    pub fn api_token_source(&self) -> SecretSource {
        self.api_token
            .clone()
            .unwrap_or_else(|| SecretSource::env(API_TOKEN))
    }

    /// Source of the token at Vault, for a context that uses one.
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
    /// The context names no source, or the source gives no token without a command.
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
}

/// A secret that is named has to be there; one that isn't named may be in the usual variable.
async fn or_usual(named: Option<&SecretSource>, usual: &str) -> Result<Option<Secret>, SecretError> {
    match named {
        Some(source) => source.read().await.map(Some),
        None => SecretSource::env(usual).read_if_there().await,
    }
}

/// A token, which is sent in a header: the one that is named, or else the usual variable's.
async fn token_or_usual(named: Option<&SecretSource>, usual: &str) -> Result<Option<Secret>, SecretError> {
    match named {
        Some(source) => source.read_token().await.map(Some),
        None => SecretSource::env(usual).read_token_if_there().await,
    }
}
