//! One HTTP call to a Vault that `vaultrs` doesn't have, and its answer. As whom it is made is the caller's.

use serde::de::DeserializeOwned;

use super::error::VaultError;
use super::place::{Place, TIME_LIMIT, is_of_node};
use crate::clients::body::{self, BodyError, Limit};

/// A CRL with a million revocations, or as many serials, are some 60 MiB.
const ANSWER: Limit = Limit {
    bytes: 64 << 20,
    time: TIME_LIMIT,
};

/// A call that `vaultrs` doesn't have.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) place: &'a Place,
    pub(super) path: &'a str,
}

impl Request<'_> {
    pub(super) fn url(&self) -> String {
        format!("{}/v1/{}", self.place.address.trim_end_matches('/'), self.path)
    }

    /// The namespace, but for what there is only one of in the whole node.
    fn namespace(&self) -> Option<&str> {
        let namespace = self.place.namespace.as_deref();
        namespace.filter(|_| !is_of_node(self.path))
    }

    pub(super) async fn answer(&self, token: Option<&str>) -> Result<(u16, Vec<u8>), VaultError> {
        self.send(self.http.get(self.url()), token).await
    }

    pub(super) async fn send(
        &self,
        request: reqwest::RequestBuilder,
        token: Option<&str>,
    ) -> Result<(u16, Vec<u8>), VaultError> {
        let mut request = request.header("x-vault-request", "true");
        if let Some(namespace) = self.namespace() {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(token) = token {
            request = request.header("x-vault-token", token);
        }
        let reply = request.send().await;
        read(reply.map_err(|error| VaultError::from_reqwest(&error))?).await
    }

    /// The `data` of the answer.
    pub(super) async fn data<T: DeserializeOwned>(&self, token: &str) -> Result<T, VaultError> {
        #[derive(serde::Deserialize)]
        struct Enveloped<T> {
            data: T,
        }
        let (code, body) = self.answer(Some(token)).await?;
        if !(200..300).contains(&code) {
            return Err(refusal(code, &body));
        }
        parse(self.path, &body).map(|enveloped: Enveloped<T>| enveloped.data)
    }
}

/// From JSON; the body is never quoted, because it may hold a secret.
pub(super) fn parse<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, VaultError> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        VaultError::Garbled(format!(
            "`{path}` is not as documented (line {line}, column {column})"
        ))
    })
}

/// What a status other than success means, with Vault's own words. Without them it isn't Vault's answer, and means
/// nothing.
pub(super) fn refusal(code: u16, body: &[u8]) -> VaultError {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<String>,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => VaultError::from_status(code, &body.errors),
        Err(_) => VaultError::foreign(code),
    }
}

/// Status and body.
pub(super) async fn read(reply: reqwest::Response) -> Result<(u16, Vec<u8>), VaultError> {
    let code = reply.status().as_u16();
    if reply.status().is_redirection() {
        let to = reply.headers().get("location").and_then(|to| to.to_str().ok());
        let to = to.and_then(|to| reply.url().join(to).ok());
        return Err(VaultError::elsewhere(reply.url(), to.as_ref()));
    }
    let body = body::whole(reply, ANSWER).await.map_err(|error| match error {
        BodyError::Broken(error) => VaultError::from_reqwest(&error),
        BodyError::TooSlow(_) => VaultError::late(),
        BodyError::TooLarge(_) => VaultError::Garbled(error.to_string()),
    })?;
    Ok((code, body))
}
