//! The API as an agent sees it: enrol, report, hand in a CSR, hand in a job's result.
//!
//! Every call has a time limit and an idempotency key, so that a resend on a bad link does a thing
//! once. It retries nothing: when to ask again is the agent's schedule. Every call changes something, and goes out on a
//! connection of its own: one that was kept may be closed on the other side while the call is sent into it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use reqwest::{Client, Identity, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::answer::{Asked, Taken};
use super::body::Limit;
use super::causes::chain;
use super::distrust::distrust;
use super::http::{client_builder, trusting};
use super::proxy;
use crate::domain::secret::Secret;
use crate::problem::Problem;
use crate::wire::agents::{EnrolBody, EnrolReply, JobResult, Report, ReportReply};
use crate::wire::requests::CsrBody;

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one call may take in all.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// A report's answer carries whole chains.
const ANSWER: Limit = Limit {
    bytes: 4 << 20,
    time: CALL_LIMIT,
};

/// The platform's API, as an agent sees it. Clones show the same certificate.
#[derive(Clone, Debug)]
pub struct AgentApi {
    base: Url,
    ca: Option<PathBuf>,
    client: Arc<RwLock<Client>>,
}

impl AgentApi {
    /// A client of the API at `base`, e.g. `https://cmp.example.com:8082`.
    pub fn new(base: &str) -> Result<Self, Problem> {
        Self::trusting(base, None)
    }

    /// Client of an API whose certificate is from the CA in the file `ca`; only that CA is trusted.
    pub fn trusting(base: &str, ca: Option<&Path>) -> Result<Self, Problem> {
        let mut base = Url::parse(base)
            .map_err(|error| Problem::bad_input(format!("the API's address `{base}` is no URL: {error}")))?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = Arc::new(RwLock::new(client(&base, ca, None)?));
        Ok(Self {
            base,
            ca: ca.map(Path::to_owned),
            client,
        })
    }

    /// Whether anything can be shown over the connection at all.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// From now on the agent proves itself with this certificate and its key, both in PEM.
    ///
    /// # Errors
    /// They can't be used; then all stays as it is.
    pub fn show(&self, certificate_pem: &str, key_pem: &Secret) -> Result<(), Problem> {
        let pem = Zeroizing::new(format!("{certificate_pem}\n{}", key_pem.expose()));
        let identity = Identity::from_pem(pem.as_bytes()).map_err(|error| {
            Problem::internal(format!(
                "the agent's own certificate can't be used: {}",
                chain(&error)
            ))
        })?;
        let client = client(&self.base, self.ca.as_deref(), Some(identity))?;
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        Ok(())
    }

    /// Spends a one-time token; `key` is the same for every attempt with it.
    pub async fn enrol(&self, token: &Secret, key: &str, body: &EnrolBody) -> Result<EnrolReply, Problem> {
        self.post(token, "api/v1/agents/enrol", Some(key), body).await
    }

    /// Checks in. No idempotency key: a second report is a newer truth, not a resend.
    pub async fn report(
        &self,
        token: &Secret,
        agent_id: &str,
        body: &Report,
    ) -> Result<ReportReply, Problem> {
        self.post(token, &format!("api/v1/agents/{agent_id}/report"), None, body)
            .await
    }

    /// Hands in the CSR that a request waits for.
    pub async fn csr(&self, token: &Secret, request_id: &str, body: &CsrBody) -> Result<(), Problem> {
        let key = key_of("csr", request_id, body);
        let path = format!("api/v1/requests/{request_id}/csr");
        let taken: Taken = self.post(token, &path, Some(&key), body).await?;
        taken.about(request_id, &Asked::change(&self.who(), &path))
    }

    /// Says how a job ended.
    pub async fn result(
        &self,
        token: &Secret,
        agent_id: &str,
        job_id: &str,
        body: &JobResult,
    ) -> Result<(), Problem> {
        let key = key_of("result", job_id, body);
        let path = format!("api/v1/agents/{agent_id}/jobs/{job_id}");
        let taken: Taken = self.post(token, &path, Some(&key), body).await?;
        taken.about(job_id, &Asked::change(&self.who(), &path))
    }

    async fn post<Answer: DeserializeOwned>(
        &self,
        token: &Secret,
        path: &str,
        key: Option<&str>,
        body: &impl Serialize,
    ) -> Result<Answer, Problem> {
        let url = self
            .base
            .join(path)
            .map_err(|error| Problem::internal(format!("`{path}` makes no URL: {error}")))?;
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = client.post(url).bearer_auth(token.expose()).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let reply = request.send().await.map_err(|error| self.unreached(&error))?;
        let who = self.who();
        let path = format!("/{path}");
        let asked = Asked {
            at_most: ANSWER,
            ..Asked::change(&who, &path)
        };
        asked.answer(reply).await
    }

    /// Who is asked, in words.
    fn who(&self) -> String {
        format!("the API at `{}`", self.base.as_str().trim_end_matches('/'))
    }

    fn unreached(&self, error: &reqwest::Error) -> Problem {
        let base = self.base.as_str().trim_end_matches('/');
        if let Some(it) = distrust(error) {
            let what = format!("the certificate of the API at `{base}` {}", it.what);
            Problem::unavailable(what).hint(it.hint)
        } else if error.is_connect() {
            Problem::unavailable(format!(
                "no connection to the API at `{base}`{}: {}",
                proxy::words(base),
                chain(error)
            ))
            .hint("check that the API runs and that this host reaches it")
        } else {
            Problem::no_answer(format!(
                "no whole answer from the API at `{base}`: {}",
                chain(error)
            ))
            .hint("the agent asks again by itself")
        }
    }
}

fn client(base: &Url, ca: Option<&Path>, identity: Option<Identity>) -> Result<Client, Problem> {
    let builder = client_builder()
        .pool_max_idle_per_host(0)
        .user_agent(concat!("cmp-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT)
        .timeout(CALL_LIMIT)
        .redirect(reqwest::redirect::Policy::none());
    let builder = match identity {
        Some(identity) => builder.identity(identity),
        None => builder,
    };
    trusting(builder, base.scheme(), ca)?
        .build()
        .map_err(|error| Problem::internal(format!("no HTTP client could be made: {}", chain(&error))))
}

/// Key of a body: one body always gives one key, and another body is another wish.
fn key_of(what: &str, id: &str, body: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let hash = hex::encode(digest(&SHA256, &bytes));
    format!("{what}-{id}-{}", hash.get(..16).unwrap_or(&hash))
}
