//! The secrets of a server: out of the environment, or from where its file says. Never out of an argument:
//! those are in everybody's `ps`.

use crate::clients::acme::ExternalAccount;
use crate::clients::cache::{Address, Cache};
use crate::clients::vault::Login;
use crate::config::Misfit;
use crate::config::secret::{SecretError, SecretSource};
use crate::config::server::{CachePlace, ServerConfig};
use crate::domain::secret::Secret;
use crate::problem::Problem;

/// Where Redis is, with a password in it or without.
const CACHE_URL: &str = "CMP_CACHE_URL";

/// What was got.
pub(super) struct Secrets {
    /// The database's password, if its address has none.
    pub(super) database_password: Option<Secret>,
    /// The issuer's login at Vault.
    pub(super) vault: Login,
    /// An API token with the role `admin`.
    pub(super) admin_token: Option<Secret>,
    /// The key of the CA for agents, in PEM.
    pub(super) agent_ca_key: Option<Secret>,
    /// What binds a new account at the ACME CA to one that it knows.
    pub(super) external_account: Option<ExternalAccount>,
    cache_url: Option<Secret>,
    cache_password: Option<Secret>,
}

impl Secrets {
    /// Gets them all.
    ///
    /// # Errors
    /// Which one is not to be had though the file names it, and why.
    pub(super) async fn fetch(config: &ServerConfig) -> Result<Self, Misfit> {
        let (vault, acme) = (&config.vault, &config.acme);
        let key_id = one("acme.eab_key_id", "CMP_ACME_EAB_KID", &acme.eab_key_id).await?;
        let hmac = one("acme.eab_hmac", "CMP_ACME_EAB_HMAC", &acme.eab_hmac).await?;
        let external_account = key_id.zip(hmac).map(|(key_id, hmac)| ExternalAccount {
            key_id: key_id.expose().to_owned(),
            hmac,
        });
        Ok(Self {
            database_password: one(
                "database.password",
                "CMP_DATABASE_PASSWORD",
                &config.database.password,
            )
            .await?,
            vault: Login::of(
                token("vault.token", "CMP_VAULT_TOKEN", &vault.token).await?,
                token("vault.role_id", "CMP_VAULT_ROLE_ID", &vault.role_id).await?,
                token("vault.secret_id", "CMP_VAULT_SECRET_ID", &vault.secret_id).await?,
            ),
            admin_token: token("admin_token", "CMP_ADMIN_TOKEN", &config.admin_token).await?,
            agent_ca_key: one("api.agent_ca_key", "CMP_AGENT_CA_KEY", &config.api.agent_ca_key).await?,
            external_account,
            cache_url: one("cache.url", CACHE_URL, &None).await?,
            cache_password: one("cache.password", "CMP_CACHE_PASSWORD", &config.cache.password).await?,
        })
    }

    /// The cache that the argument, the environment or the file asks for, in that order.
    ///
    /// # Errors
    /// The address can't be used, or there is a password in the argument.
    pub(super) fn cache(&self, argument: Option<&str>, file: &CachePlace) -> Result<Cache, Problem> {
        let address = match (argument, &self.cache_url, &file.url) {
            (Some(argument), _, _) => Address::from_argument(argument)?,
            (None, Some(url), _) => Address::from_environment(url)?,
            (None, None, Some(url)) => Address::from_environment(&Secret::new(url.clone()))?,
            (None, None, None) => return Ok(Cache::in_process()),
        };
        let address = match &self.cache_password {
            Some(password) => address.password(password),
            None => address,
        };
        Cache::redis(&address)
    }
}

/// The variable goes before the file.
async fn one(
    field: &'static str,
    variable: &str,
    source: &Option<SecretSource>,
) -> Result<Option<Secret>, Misfit> {
    let (here, from) = (SecretSource::env(variable), source.as_ref());
    let read = match (here.read_if_there().await, from) {
        (Ok(None), Some(source)) => source.read().await.map(Some),
        (read, _) => read,
    };
    read.map_err(|error| not_to_be_had(field, variable, &error))
}

/// A token, which is sent in a header, or that others will send.
async fn token(
    field: &'static str,
    variable: &str,
    source: &Option<SecretSource>,
) -> Result<Option<Secret>, Misfit> {
    let (here, from) = (SecretSource::env(variable), source.as_ref());
    let read = match (here.read_token_if_there().await, from) {
        (Ok(None), Some(source)) => source.read_token().await.map(Some),
        (read, _) => read,
    };
    read.map_err(|error| not_to_be_had(field, variable, &error))
}

fn not_to_be_had(field: &'static str, variable: &str, error: &SecretError) -> Misfit {
    Misfit::new(
        field,
        format!("is not to be had: {error}; {variable} in the environment would go before it"),
    )
}
