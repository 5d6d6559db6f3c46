//! One Vault address with one login: what reader and writer share.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::VaultError;
use super::place::{Login, Place};
use super::request::{Request, parse, refusal};
use super::session::{Session, Sessions};
use crate::clients::exchange::Http;
use crate::clock::Clock;

pub(super) struct Link {
    http: Http,
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
        let answer = self.http.send(self.http.call(Method::GET, request.url())).await;
        let answer = answer.map_err(|error| VaultError::from_reqwest(&error))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        let theirs = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        Ok(theirs.map(|theirs| Clock::system().now() - theirs.to_utc()))
    }

    /// `GET` with our token; the `data` of the answer.
    pub(super) async fn read<T: DeserializeOwned + Send>(&self, path: &str) -> Result<T, VaultError> {
        let request = self.request(path);
        self.call(|session| async move { request.data(session.token()).await })
            .await
    }

    /// A change: `POST` with our token; the `data` of the answer, if it has any.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Option<Value>, VaultError> {
        self.posted(path, body, true).await
    }

    /// Questions that Vault takes as a `POST`, though they change nothing.
    pub(super) async fn ask(&self, path: &str, body: &Value) -> Result<Option<Value>, VaultError> {
        self.posted(path, body, false).await
    }

    async fn posted(&self, path: &str, body: &Value, changes: bool) -> Result<Option<Value>, VaultError> {
        // Without data it means something too, so that it has to be Vault's own: each of its answers has a name.
        #[derive(serde::Deserialize)]
        struct Named {
            #[serde(rename = "request_id")]
            _name: String,
            data: Option<Value>,
        }
        let request = self.request(path);
        let body = body.to_string();
        self.call(|session| {
            let call = self
                .http
                .call(Method::POST, request.url())
                .header("content-type", "application/json")
                .body(body.clone());
            async move {
                let token = Some(session.token());
                let (code, body) = match changes {
                    true => request.send(call, token).await?,
                    false => request.question(call, token).await?,
                };
                if !(200..300).contains(&code) {
                    return Err(refusal(code, &body));
                }
                parse(path, &body).map(|answer: Named| answer.data)
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
            .call(Method::PUT, request.url())
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
