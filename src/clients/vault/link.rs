//! One Vault address with one login: what reader and writer share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::VaultError;
use super::place::{Login, Place};
use super::session::{Session, Sessions};
use crate::clock::Clock;

/// No call takes longer.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);
/// No connection takes longer to come about.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// A CRL or a chain that is longer is not read.
const MAX_BODY: usize = 256 << 20;

pub(super) struct Link {
    http: reqwest::Client,
    pub(super) place: Place,
    pub(super) sessions: Sessions,
}

impl Link {
    pub(super) fn new(place: &Place, login: Login) -> Result<Self, VaultError> {
        let http = place.http()?;
        Ok(Self {
            sessions: Sessions::new(place.clone(), http.clone(), login)?,
            http,
            place: place.clone(),
        })
    }

    /// A call with our token. Where Vault no longer takes that and another can be had, it is made once more:
    /// who was denied has changed nothing.
    pub(super) async fn call<T, F>(&self, call: impl Fn(Arc<Session>) -> F + Send) -> Result<T, VaultError>
    where
        T: Send,
        F: Future<Output = Result<T, VaultError>> + Send,
    {
        let session = self.sessions.get().await?;
        match call(Arc::clone(&session)).await {
            Err(VaultError::Denied(words)) => {
                let nobody = matches!(self.sessions.login, Login::Nobody);
                if nobody || !self.sessions.is_dead(&session).await {
                    return Err(VaultError::Denied(words));
                }
                call(self.sessions.another(Some(&session)).await?).await
            }
            answer => answer,
        }
    }

    /// `GET`, any status; the status and the body. Without a token.
    pub(super) async fn fetch(&self, path: &str) -> Result<(u16, Vec<u8>), VaultError> {
        self.request(path).answer(None).await
    }

    /// How far our clock is ahead of Vault's; nothing where it doesn't say what time it is.
    pub(super) async fn clock_ahead(&self) -> Result<Option<TimeDelta>, VaultError> {
        let request = self.request("sys/seal-status");
        let answer = self.http.get(request.url()).send().await;
        let answer = answer.map_err(|error| VaultError::from_reqwest(&error))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        let theirs = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        Ok(theirs.map(|theirs| Clock::system().now() - theirs.to_utc()))
    }

    /// `GET` with our token; the `data` of the answer.
    pub(super) async fn read<T: DeserializeOwned + Send>(&self, path: &str) -> Result<T, VaultError> {
        let request = self.request(path);
        self.call(|session| async move { request.data(&session.vault.middle.token).await })
            .await
    }

    /// `POST` with our token; the `data` of the answer, if it has any.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Option<Value>, VaultError> {
        let request = self.request(path);
        let body = body.to_string();
        self.call(|session| {
            let call = self
                .http
                .post(request.url())
                .header("content-type", "application/json")
                .body(body.clone());
            async move {
                let (code, body) = request.send(call, Some(&session.vault.middle.token)).await?;
                if !(200..300).contains(&code) {
                    return Err(refusal(code, &body));
                }
                let answer: Value = parse(path, &body)?;
                Ok(answer.get("data").filter(|data| !data.is_null()).cloned())
            }
        })
        .await
    }

    /// `GET` of a raw body, such as PEM.
    pub(super) async fn fetch_text(&self, path: &str) -> Result<String, VaultError> {
        let (code, body) = self.fetch(path).await?;
        if !(200..300).contains(&code) {
            return Err(refusal(code, &body));
        }
        String::from_utf8(body).map_err(|_| VaultError::Garbled(format!("`{path}` is not text")))
    }

    /// `PUT` with a JSON body, an answer without an envelope. Without a token.
    pub(super) async fn put<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, VaultError> {
        let request = self.request(path);
        let call = self
            .http
            .put(request.url())
            .header("content-type", "application/json")
            .body(body);
        let (code, body) = request.send(call, None).await?;
        if !(200..300).contains(&code) {
            return Err(refusal(code, &body));
        }
        parse(path, &body)
    }

    fn request<'a>(&'a self, path: &'a str) -> Request<'a> {
        Request {
            http: &self.http,
            place: &self.place,
            path,
        }
    }
}

/// A call that `vaultrs` doesn't have.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) place: &'a Place,
    pub(super) path: &'a str,
}

impl Request<'_> {
    fn url(&self) -> String {
        format!("{}/v1/{}", self.place.address.trim_end_matches('/'), self.path)
    }

    /// The namespace, but for what there is only one of in the whole node.
    fn namespace(&self) -> Option<&str> {
        let whole = ["sys/seal-status", "sys/health", "sys/unseal"].contains(&self.path);
        self.place.namespace.as_deref().filter(|_| !whole)
    }

    async fn answer(&self, token: Option<&str>) -> Result<(u16, Vec<u8>), VaultError> {
        self.send(self.http.get(self.url()), token).await
    }

    async fn send(
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
