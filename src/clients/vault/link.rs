//! One Vault address with one token: what reader and writer share.

use std::time::Duration;

use serde::de::DeserializeOwned;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

use super::error::VaultError;
use crate::domain::secret::Secret;

/// No call takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// No connection takes longer to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// A CRL or a chain that is longer is not read.
const MAX_BODY: usize = 64 << 20;

pub(super) struct Link {
    pub(super) vault: VaultClient,
    http: reqwest::Client,
    base: String,
}

impl Link {
    pub(super) fn new(address: &str, token: Option<&Secret>) -> Result<Self, VaultError> {
        let bad = || VaultError::Address(address.to_owned());
        let url = reqwest::Url::parse(address).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(bad());
        }
        // Everything is set here, so that no VAULT_… variable of the surroundings changes whom we
        // talk to or as whom. A CA for https still comes from VAULT_CACERT, as for `vault` itself.
        let settings = VaultClientSettingsBuilder::default()
            .address(address)
            .token(token.map_or("", Secret::expose))
            .timeout(Some(TIME_LIMIT))
            .verify(true)
            .identity(None)
            .build()
            .map_err(|_| bad())?;
        let vault = VaultClient::new(settings).map_err(VaultError::from_client)?;
        let mut http = reqwest::Client::builder()
            .timeout(TIME_LIMIT)
            .connect_timeout(CONNECT_LIMIT);
        if url.scheme() == "http" {
            // Without TLS there is no need to load the system's roots, which takes long.
            http = http.tls_certs_only(Vec::new());
        }
        let http = http
            .build()
            .map_err(|error| VaultError::Garbled(error.to_string()))?;
        Ok(Self {
            vault,
            http,
            base: address.trim_end_matches('/').to_owned(),
        })
    }

    /// `GET`, any status; the status and the body.
    pub(super) async fn fetch(&self, path: &str) -> Result<(u16, Vec<u8>), VaultError> {
        let reply = self
            .http
            .get(format!("{}/v1/{path}", self.base))
            .send()
            .await
            .map_err(|error| VaultError::from_reqwest(&error))?;
        read(reply).await
    }

    /// `GET` of a raw body, such as PEM.
    pub(super) async fn fetch_text(&self, path: &str) -> Result<String, VaultError> {
        let (code, body) = self.fetch(path).await?;
        if !(200..300).contains(&code) {
            return Err(refusal(code, &body));
        }
        String::from_utf8(body).map_err(|_| VaultError::Garbled(format!("`{path}` is not text")))
    }

    /// `PUT` with a JSON body, an answer without an envelope.
    pub(super) async fn put<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, VaultError> {
        let reply = self
            .http
            .put(format!("{}/v1/{path}", self.base))
            .header("content-type", "application/json")
            .header("x-vault-request", "true")
            .body(body)
            .send()
            .await
            .map_err(|error| VaultError::from_reqwest(&error))?;
        let (code, body) = read(reply).await?;
        if !(200..300).contains(&code) {
            return Err(refusal(code, &body));
        }
        parse(path, &body)
    }
}

/// From JSON; the body is never quoted, because it may hold a secret.
pub(super) fn parse<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, VaultError> {
    serde_json::from_slice(body)
        .map_err(|error| VaultError::Garbled(format!("`{path}` is not as documented: {error}")))
}

fn refusal(code: u16, body: &[u8]) -> VaultError {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<String>,
    }
    let errors = serde_json::from_slice(body).map_or_else(|_| Vec::new(), |body: Body| body.errors);
    VaultError::from_status(code, &errors)
}

async fn read(mut reply: reqwest::Response) -> Result<(u16, Vec<u8>), VaultError> {
    let code = reply.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = reply
        .chunk()
        .await
        .map_err(|error| VaultError::from_reqwest(&error))?
    {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(VaultError::Garbled("the answer has no end".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((code, body))
}
