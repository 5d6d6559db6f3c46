//! The HTTP under ACME: time limits, a limit on size, and the `Retry-After` that comes with a refusal.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Bytes;
use axum::http;
use axum::http::response::Parts;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::{ClientBuilder, Method, Response};

use super::error::{AcmeError, Trouble, bound_retry_after};
use crate::clients::body::{self, BodyError, Limit};
use crate::clients::causes::chain;
use crate::clients::exchange::Http;
use crate::clients::proxy::{self, by_environment};

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one call may take in all.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// A chain is a few kilobytes.
const ANSWER: Limit = Limit {
    bytes: 1 << 20,
    time: CALL_LIMIT,
};

type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

/// HTTPS as the platform speaks it everywhere.
#[derive(Clone, Debug)]
pub(super) struct OverReqwest(Http);

impl OverReqwest {
    /// Trusts the CAs in `ca_file` only, or the system's.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, AcmeError> {
        let mut roots = None;
        if let Some(path) = ca_file {
            let unusable = |why: String| AcmeError::Setup(format!("the CA file `{}` {why}", path.display()));
            roots = Some(crate::clients::http::roots_in(path).map_err(unusable)?);
        }
        let made = |builder: ClientBuilder| {
            let builder = by_environment(builder)
                .user_agent(concat!("cmp-server/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_LIMIT)
                .timeout(CALL_LIMIT)
                .https_only(true)
                .redirect(reqwest::redirect::Policy::none());
            match &roots {
                Some(roots) => builder.tls_certs_only(roots.clone()),
                None => builder,
            }
            .build()
            .map_err(|error| AcmeError::Setup(format!("no HTTP client could be made: {}", chain(&error))))
        };
        Http::new(made).map(Self)
    }
}

impl OverReqwest {
    /// What is at this address, for everybody to read.
    pub(super) async fn get(&self, url: &str) -> Result<Vec<u8>, AcmeError> {
        let response = self
            .0
            .send(self.0.call(Method::GET, url))
            .await
            .map_err(unreached)?;
        let (parts, body) = read(response).await?;
        match parts.status.is_success() {
            true => Ok(body),
            false => Err(AcmeError::Trouble(format!(
                "the ACME server answered {}",
                parts.status
            ))),
        }
    }
}

impl HttpClient for OverReqwest {
    fn request(&self, request: http::Request<BodyWrapper<Bytes>>) -> Answer {
        let http = self.0.clone();
        Box::pin(async move {
            let mut request =
                reqwest::Request::try_from(request.map(reqwest::Body::wrap)).map_err(unreached)?;
            // A question has none, and only so it can be asked again.
            if matches!(*request.method(), Method::GET | Method::HEAD) {
                *request.body_mut() = None;
            }
            let response = http.execute(request).await.map_err(unreached)?;
            whole(response).await
        })
    }
}

/// The answer once all of it is there; a server that can't work now becomes an error with its pause.
async fn whole(response: Response) -> Result<BytesResponse, Error> {
    let (mut parts, body) = read(response).await?;
    bound_retry_after(&mut parts);
    let body: BodyWrapper<Bytes> = body.into();
    Ok(BytesResponse::from(http::Response::from_parts(parts, body)))
}

async fn read(response: Response) -> Result<(Parts, Vec<u8>), Error> {
    let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
    let response = Response::from(http::Response::from_parts(parts.clone(), body));
    let body = body::whole(response, ANSWER).await.map_err(|error| match error {
        BodyError::Broken(error) => unreached(error),
        other => Trouble::garbled(&other.to_string()).into(),
    })?;
    if let Some(trouble) = Trouble::of(&parts, &body) {
        return Err(trouble.into());
    }
    Ok((parts, body))
}

fn unreached(error: reqwest::Error) -> Error {
    let through = error
        .url()
        .map(|url| proxy::words(url.as_str()))
        .unwrap_or_default();
    Trouble::unreached(&format!("{}{through}", chain(&error.without_url()))).into()
}
