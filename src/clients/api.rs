//! The platform's HTTP API: a reader that can only ask, and a writer that changes things and is made
//! by the executor alone (`plan/ports.rs`).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{Stream, StreamExt};
use reqwest::header::{CACHE_CONTROL, DATE};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{self, Asked, Taken};
use super::body::{self, Limit};
use super::causes::innermost;
use super::distrust::distrust;
use super::exchange::Http;
use super::http::trusting;
use super::proxy;
use crate::domain::adapter::Adapter;
use crate::domain::agent::Agent;
use crate::domain::audit::AuditRow;
use crate::domain::certificate::Certificate;
use crate::domain::key::Key;
use crate::domain::request::Request;
use crate::domain::secret::Secret;
use crate::problem::{Problem, ProblemKind};
use crate::wire::agents::{AgentDetail, InstallBody, InstallReply, JobView};
use crate::wire::certs::{CertificateDetail, KeyDetail, ReissueBody, RevokeBody, RevokeReply};
use crate::wire::health::{Findings, Me, Ready};
use crate::wire::page::{Change, Page, PageQuery};
use crate::wire::requests::{RequestReply, WhyBody};
use crate::wire::runs::{RunBegin, RunEnd, RunStepRecord};
use crate::wire::trends::Trends;

/// How long one question may take, if nothing else is said.
const LIMIT: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// The server says something at least every ten seconds; when it doesn't, the connection is dead,
/// however open it looks from here.
const STREAM_SILENT: Duration = Duration::from_secs(25);
/// The longest event line that is still believed to be one.
const EVENT: Limit = Limit {
    bytes: 64 << 10,
    time: STREAM_SILENT,
};

/// Asks the API; can't change anything.
#[derive(Clone, Debug)]
pub struct ApiReader {
    http: Http,
    base: String,
    token: Option<Secret>,
    /// Why there is no token though there should be one.
    no_token: Option<String>,
    as_now: bool,
    limit: Duration,
    /// Milliseconds that the API's clock is ahead of this computer's, once known; shared by all that ask there.
    ahead_ms: Arc<AtomicI64>,
}

impl ApiReader {
    /// For the API at `base`, such as `http://127.0.0.1:8082`.
    ///
    /// # Errors
    /// When the TLS set-up of this machine can't be used.
    pub fn new(base: &str, token: Option<Secret>) -> Result<Self, Problem> {
        Self::trusting(base, token, None)
    }

    /// Reader of an API whose certificate is from the CA in the file `ca`; only that CA is trusted.
    ///
    /// # Errors
    /// When the file holds no CA's certificate, or the TLS set-up of this machine can't be used.
    pub fn trusting(base: &str, token: Option<Secret>, ca: Option<&Path>) -> Result<Self, Problem> {
        let scheme = base.split_once("://").map_or("", |(scheme, _)| scheme);
        // A redirect is nobody's answer: a change would come out at the other end as a question.
        let http = Http::new(|builder| {
            let builder = builder
                .connect_timeout(CONNECT_LIMIT)
                .redirect(reqwest::redirect::Policy::none());
            trusting(builder, scheme, ca)?.build().map_err(|error| {
                Problem::internal(format!("the HTTP client can't be set up: {}", innermost(&error)))
            })
        })?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            token,
            no_token: None,
            as_now: false,
            limit: LIMIT,
            ahead_ms: Arc::default(),
        })
    }

    /// A client for whom no token is to be had, and why: what needs one is refused with that, unasked.
    #[must_use]
    pub fn without_token(self, why: String) -> Self {
        Self {
            no_token: Some(why),
            ..self
        }
    }

    /// The client with this token.
    #[must_use]
    pub fn with_token(self, token: Secret) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    /// The client, whose questions may take so long.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// A client that is never told what a cache kept: for what something is decided by.
    #[must_use]
    pub fn as_now(&self) -> Self {
        Self {
            as_now: true,
            ..self.clone()
        }
    }

    /// How far the API's clock is ahead of this computer's, as far as it was noted.
    #[must_use]
    pub fn ahead(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Notes how far that is.
    pub fn note_ahead(&self, ahead: TimeDelta) {
        self.ahead_ms.store(ahead.num_milliseconds(), Ordering::Relaxed);
    }

    /// The address that it asks.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A page of certificates.
    ///
    /// # Errors
    /// What the API answered, or that it didn't.
    pub async fn certificates(&self, query: &PageQuery) -> Result<Page<Certificate>, Problem> {
        self.get("/api/v1/certs", query).await
    }

    /// One certificate with what it touches.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn certificate(&self, id: &str) -> Result<CertificateDetail, Problem> {
        self.get(&format!("/api/v1/certs/{id}"), &()).await
    }

    /// A page of agents.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn agents(&self, query: &PageQuery) -> Result<Page<Agent>, Problem> {
        self.get("/api/v1/agents", query).await
    }

    /// One agent with its installations.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn agent(&self, id: &str) -> Result<AgentDetail, Problem> {
        self.get(&format!("/api/v1/agents/{id}"), &()).await
    }

    /// A page of issuance requests.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn requests(&self, query: &PageQuery) -> Result<Page<Request>, Problem> {
        self.get("/api/v1/requests", query).await
    }

    /// One issuance request.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn request(&self, id: &str) -> Result<Request, Problem> {
        self.get(&format!("/api/v1/requests/{id}"), &()).await
    }

    /// A page of audit rows.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn audit(&self, query: &PageQuery) -> Result<Page<AuditRow>, Problem> {
        self.get("/api/v1/audit", query).await
    }

    /// One audit row, by its number.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn audit_row(&self, seq: i64) -> Result<AuditRow, Problem> {
        self.get(&format!("/api/v1/audit/{seq}"), &()).await
    }

    /// A page of keys.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn keys(&self, query: &PageQuery) -> Result<Page<Key>, Problem> {
        self.get("/api/v1/keys", query).await
    }

    /// One key with its certificates.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn key(&self, spki: &str) -> Result<KeyDetail, Problem> {
        self.get(&format!("/api/v1/keys/{spki}"), &()).await
    }

    /// The ranked findings.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn findings(&self) -> Result<Findings, Problem> {
        self.get("/api/v1/findings", &()).await
    }

    /// Counts over time.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn trends(&self) -> Result<Trends, Problem> {
        self.get("/api/v1/trends", &()).await
    }

    /// All adapters: how each CA can be asked now. There are few.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn adapters(&self) -> Result<Vec<Adapter>, Problem> {
        self.get("/api/v1/adapters", &()).await
    }

    /// How far a job is.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn job(&self, id: &str) -> Result<JobView, Problem> {
        self.get(&format!("/api/v1/jobs/{id}"), &()).await
    }

    /// Who the token is.
    ///
    /// # Errors
    /// See [`Self::certificates`].
    pub async fn me(&self) -> Result<Me, Problem> {
        self.get("/api/v1/me", &()).await
    }

    /// How the server and what it depends on are; a server that isn't ready is an answer too.
    ///
    /// # Errors
    /// That it doesn't answer at all.
    pub async fn ready(&self) -> Result<Ready, Problem> {
        self.ready_at().await.map(|(ready, _)| ready)
    }

    /// Readiness with the server's time (to the second), where it tells.
    ///
    /// # Errors
    /// See [`Self::ready`].
    pub async fn ready_at(&self) -> Result<(Ready, Option<DateTime<Utc>>), Problem> {
        let response = self.send(Method::GET, "/readyz", |request| request).await?;
        let told = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let told = told.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let at = told.map(|date| date.to_utc());
        let who = self.who();
        let asked = Asked {
            also: Some(StatusCode::SERVICE_UNAVAILABLE),
            ..Asked::question(&who, "/readyz")
        };
        let ready: Ready = asked.answer(response).await?;
        // A server whose own clock is off says so, and dates by the database's.
        let off = TimeDelta::milliseconds(ready.clock_ahead_ms.unwrap_or_default());
        let at = at.and_then(|at| at.checked_sub_signed(off));
        Ok((ready, at))
    }

    /// The event stream: a line for each change, until the connection ends or is silent for longer than
    /// the server's keep-alive allows.
    ///
    /// # Errors
    /// What the API answered, or that it didn't.
    pub async fn events(&self) -> Result<impl Stream<Item = Change> + use<>, Problem> {
        let path = "/api/v1/events";
        self.let_pass(path)?;
        let url = format!("{}{path}", self.base);
        let mut request = self.http.call(Method::GET, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let response = tokio::time::timeout(self.limit, self.http.send(request))
            .await
            .map_err(|_| self.no_answer(ProblemKind::Unavailable))?
            .map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() || !answer::is(response.headers(), "text/event-stream") {
            let who = self.who();
            let asked = Asked::question(&who, path);
            return Err(asked.no_stream(response).await);
        }
        let lines = body::lines(response, EVENT);
        Ok(lines.filter_map(|line| std::future::ready(change(&line))))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Problem> {
        let response = self
            .send(Method::GET, path, |request| request.query(query))
            .await?;
        let who = self.who();
        Asked::question(&who, path).answer(response).await
    }

    /// Who is asked, in words.
    fn who(&self) -> String {
        format!("the API at `{}`", self.base)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        build: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Response, Problem> {
        self.let_pass(path)?;
        let changes = method != Method::GET;
        let mut request = self
            .http
            .call(method, format!("{}{path}", self.base))
            .timeout(self.limit);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if self.as_now {
            request = request.header(CACHE_CONTROL, "no-cache");
        }
        self.http.send(build(request)).await.map_err(|error| {
            // A change that was sent and not answered may have happened; one that never got a
            // connection has not.
            if changes && !error.is_connect() {
                self.no_answer(ProblemKind::NoAnswer)
            } else if error.is_timeout() {
                self.no_answer(ProblemKind::Unavailable)
            } else {
                self.unreachable(&error)
            }
        })
    }

    /// Whether `path` can be asked with what there is.
    fn let_pass(&self, path: &str) -> Result<(), Problem> {
        match &self.no_token {
            Some(why) if path.starts_with("/api/") => Err(Problem::new(
                ProblemKind::NotAuthenticated,
                format!("there is no API token: {why}"),
            )
            .hint(
                "mend that, or name another source as `api_token` of the context, and open the console again",
            )),
            _ => Ok(()),
        }
    }

    /// Its address, and the proxy that is on the way there.
    fn place(&self) -> String {
        format!("`{}`{}", self.base, proxy::words(&self.base))
    }

    fn no_answer(&self, kind: ProblemKind) -> Problem {
        Problem::new(
            kind,
            format!(
                "the API at {} did not answer within {} s",
                self.place(),
                self.limit.as_secs()
            ),
        )
        .hint("check that cmp-server runs and that the link is up")
    }

    fn unreachable(&self, error: &reqwest::Error) -> Problem {
        if let Some(it) = distrust(error) {
            let what = format!("the certificate of the API at {} {}", self.place(), it.what);
            return Problem::unavailable(what).hint(it.hint);
        }
        Problem::unavailable(format!(
            "the API at {} can't be reached: {}",
            self.place(),
            innermost(error)
        ))
        .hint("check that cmp-server runs there and that the address is right")
    }
}

/// Changes things through the API. Every call carries an idempotency key, so that asking again after
/// a lost answer does a thing once.
#[derive(Clone, Debug)]
pub struct ApiWriter(ApiReader);

impl ApiWriter {
    /// With the reader's address and token.
    #[must_use]
    pub fn new(reader: ApiReader) -> Self {
        Self(reader)
    }

    /// Asks for a revocation.
    ///
    /// # Errors
    /// What the API answered; `NoAnswer` when it may have happened.
    pub async fn revoke(&self, id: &str, body: &RevokeBody, key: &str) -> Result<RevokeReply, Problem> {
        self.post(&format!("/api/v1/certs/{id}/revoke"), body, key).await
    }

    /// Asks for a reissue with a fresh key.
    ///
    /// # Errors
    /// See [`Self::revoke`].
    pub async fn reissue(&self, id: &str, body: &ReissueBody, key: &str) -> Result<RequestReply, Problem> {
        self.post(&format!("/api/v1/certs/{id}/reissue"), body, key).await
    }

    /// Asks for an installation.
    ///
    /// # Errors
    /// See [`Self::revoke`].
    pub async fn install(&self, agent: &str, body: &InstallBody, key: &str) -> Result<InstallReply, Problem> {
        self.post(&format!("/api/v1/agents/{agent}/install"), body, key)
            .await
    }

    /// Takes an agent's ban back.
    ///
    /// # Errors
    /// See [`Self::revoke`].
    pub async fn unban(&self, agent: &str, body: &WhyBody, key: &str) -> Result<Agent, Problem> {
        self.post(&format!("/api/v1/agents/{agent}/unban"), body, key)
            .await
    }

    /// Takes a request back.
    ///
    /// # Errors
    /// See [`Self::revoke`].
    pub async fn cancel(&self, request: &str, body: &WhyBody, key: &str) -> Result<Request, Problem> {
        self.post(&format!("/api/v1/requests/{request}/cancel"), body, key)
            .await
    }

    /// Records that a run begins; after this the audit row is there.
    ///
    /// # Errors
    /// See [`Self::revoke`].
    pub async fn begin_run(&self, body: &RunBegin) -> Result<(), Problem> {
        let key = format!("{}/begin", body.id);
        self.tell_of_run(&body.id, "/api/v1/runs", body, &key).await
    }

    /// Records a step of a run.
    ///
    /// # Errors
    /// See [`Self::revoke`].
    pub async fn record_step(&self, run: &str, body: &RunStepRecord) -> Result<(), Problem> {
        let key = format!("{run}/{}/{}", body.index, body.status);
        self.tell_of_run(run, &format!("/api/v1/runs/{run}/steps"), body, &key)
            .await
    }

    /// Records how a run ended.
    ///
    /// # Errors
    /// See [`Self::revoke`].
    pub async fn end_run(&self, run: &str, body: &RunEnd) -> Result<(), Problem> {
        // A run that ended unknown may be told to have come about later: another end, another key.
        let words = body.note.as_deref().unwrap_or_default();
        let digest = hex::encode(digest(&SHA256, words.as_bytes()));
        let key = format!("{run}/end/{}/{}", body.outcome.word(), &digest[..16]);
        self.tell_of_run(run, &format!("/api/v1/runs/{run}/end"), body, &key)
            .await
    }

    async fn tell_of_run(
        &self,
        run: &str,
        path: &str,
        body: &impl Serialize,
        key: &str,
    ) -> Result<(), Problem> {
        let taken: Taken = self.post(path, body, key).await?;
        taken.about(run, &Asked::change(&self.0.who(), path))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: &str,
    ) -> Result<T, Problem> {
        let response = self
            .0
            .send(Method::POST, path, |request| {
                request.header("Idempotency-Key", key).json(body)
            })
            .await?;
        let who = self.0.who();
        Asked::change(&who, path).answer(response).await
    }
}

/// The change that a line of the stream tells of.
fn change(line: &[u8]) -> Option<Change> {
    serde_json::from_slice(line.strip_prefix(b"data:")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::EntityKind;

    #[test]
    fn changes_are_read_and_the_rest_is_passed_over() {
        let line = br#"data: {"entity":"agent","id":"agt_1"}"#;
        assert_eq!(change(line), Some(Change::of(EntityKind::Agent, "agt_1")));
        for other in [&b"event: change"[..], b"", b": keep-alive", b"data: {\"ent"] {
            assert_eq!(change(other), None);
        }
    }
}
