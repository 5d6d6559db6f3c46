//! Issuance requests: made, read, and what people and agents do with them. What the issuer does is in
//! `issuance`.

use crate::domain::id::{EntityKind, new_id};
use crate::domain::key::KeyStatus;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::domain::told::told;
use crate::problem::Problem;
use crate::wire::agents::JobResult;
use crate::wire::page::{Page, PageQuery};

use super::queue;
use super::request_list::LIST;
use super::row::{FromRow, Row, list, optional_word, word};
use super::select::Where;
use super::statement::{Json, Value, judged, sql};
use super::{Conn, StoreError, Tx, agents, ban, holders, jobs, keys};

/// The wish for a certificate.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// The common name.
    pub common_name: String,
    /// All names, the common name included.
    pub sans: Vec<String>,
    /// The fresh key's algorithm.
    pub key_algorithm: String,
    /// The adapter to issue through.
    pub adapter_id: String,
    /// The agent that makes the key.
    pub agent_id: String,
    /// Where it installs the certificate.
    pub install_path: Option<String>,
    /// The certificate that it is to replace.
    pub replaces: Option<String>,
    /// Who asks.
    pub requested_by: String,
    /// Whether a person has to say yes first.
    pub needs_approval: bool,
}

/// Makes a request, and the agent's job to make its key.
///
/// # Errors
/// The database doesn't answer.
pub async fn insert(tx: &mut Tx, new: &NewRequest) -> Result<Request, StoreError> {
    let waiting_on = if new.needs_approval {
        WaitingOn::Approval
    } else {
        WaitingOn::Key
    };
    let now = tx.now();
    let row: Wrapped = sql(
        "INSERT INTO issuance_requests (id, common_name, sans, key_algorithm, adapter_id, agent_id, \
         install_path, replaces, status, waiting_on, requested_by, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $10, $11, $11) RETURNING *",
    )
    .bind(new_id(EntityKind::Request))
    .bind(&new.common_name)
    .bind(Json(&new.sans))
    .bind(&new.key_algorithm)
    .bind(&new.adapter_id)
    .bind(&new.agent_id)
    .bind(&new.install_path)
    .bind(&new.replaces)
    .bind(waiting_on.word())
    .bind(&new.requested_by)
    .bind(now)
    .fetch_one(tx.raw())
    .await
    .map_err(StoreError::because("making a request"))?;
    let request = row.0;
    changed(tx, &request);
    if waiting_on == WaitingOn::Key {
        queue::make_key(tx, &request).await?;
    }
    Ok(request)
}

/// One.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, id: &str) -> Result<Option<Request>, StoreError> {
    let row: Option<Wrapped> = sql("SELECT * FROM issuance_requests WHERE id = $1")
        .bind(id)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("reading a request"))?;
    Ok(row.map(|row| row.0))
}

/// One that has to be there.
///
/// # Errors
/// There is no such request, or the database doesn't answer.
pub async fn existing(conn: &mut Conn, id: &str) -> Result<Request, StoreError> {
    read(conn, id)
        .await?
        .ok_or_else(|| StoreError::not_found(EntityKind::Request, id))
}

/// One that has to be there, kept from others until the transaction ends.
///
/// # Errors
/// There is no such request, or the database doesn't answer.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Request, StoreError> {
    sql("SELECT r.id FROM issuance_requests r WHERE r.id = $1")
        .bind(id)
        .locking("r")
        .rows(tx.raw())
        .await
        .map_err(StoreError::because("waiting for a request"))?;
    existing(tx, id).await
}

/// Lock on all requests that wait for this agent, before the agent itself: see the order in `dialect`.
pub(super) async fn lock_of_agent(tx: &mut Tx, agent_id: &str) -> Result<(), StoreError> {
    sql(concat!(
        "SELECT r.id FROM issuance_requests r WHERE r.agent_id = $1 AND ",
        judged!("r.status IN ('pending', 'issuing')"),
        " ORDER BY r.id"
    ))
    .bind(agent_id)
    .locking("r")
    .rows(tx.raw())
    .await
    .map_err(StoreError::because("waiting for the requests of an agent"))?;
    Ok(())
}

/// Requests of an agent that are not at their end: those that no CA was asked about, or whose order still waits for the
/// agent, so that nothing is signed for them; and the others.
pub(super) async fn under_way_for(
    conn: &mut Conn,
    agent_id: &str,
) -> Result<(Vec<Request>, Vec<Request>), StoreError> {
    let rows: Vec<UnderWay> = sql(concat!(
        "SELECT r.*, CAST(CASE WHEN r.status = 'pending' AND (r.asked_ca_at IS NULL OR r.waiting_on = 'challenge') \
         THEN 1 ELSE 0 END AS bigint) AS is_never_at_ca FROM issuance_requests r WHERE r.agent_id = $1 AND ",
        judged!("r.status IN ('pending', 'issuing')"),
        " ORDER BY r.id"
    ))
    .bind(agent_id)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading the requests of an agent"))?;
    let (never_at_ca, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|it| it.is_never_at_ca);
    let requests = |rows: Vec<UnderWay>| rows.into_iter().map(|it| it.request).collect();
    Ok((requests(never_at_ca), requests(others)))
}

/// One page, the newest first if nothing else is said.
///
/// # Errors
/// A bad query, or the database doesn't answer.
pub async fn page(conn: &mut Conn, query: &PageQuery) -> Result<Page<Request>, StoreError> {
    let mut filter = Where::default();
    if let Some(status) = &query.status {
        let status = RequestStatus::from_word(status).ok_or_else(|| {
            Problem::bad_input(format!("`{status}` is not a status of requests"))
                .hint("allowed: pending, issuing, issued, failed, denied, cancelled")
        })?;
        filter.and("r.status = ?", Value::from(status.word().to_owned()));
    }
    match query.open {
        Some(true) => filter.and_plain("r.status IN ('pending', 'issuing', 'failed')"),
        Some(false) => filter.and_plain("r.status IN ('issued', 'denied', 'cancelled')"),
        None => {}
    }
    if let Some(agent) = &query.agent {
        filter.and(
            "r.agent_id IN (SELECT a.id FROM agents a WHERE a.id = ? OR a.hostname = ?)",
            agents::id_or_host(agent)?,
        );
    }
    let page: Page<Wrapped> = LIST.page(conn, query, filter).await?;
    Ok(page.map(|row| row.0))
}

/// Requests under way that are to replace this certificate.
///
/// # Errors
/// The database doesn't answer.
pub async fn replacing(conn: &mut Conn, certificate_id: &str) -> Result<Vec<Request>, StoreError> {
    let rows: Vec<Wrapped> = sql(
        "SELECT * FROM issuance_requests WHERE replaces = $1 AND status IN ('pending', 'issuing') \
         ORDER BY id",
    )
    .bind(certificate_id)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading the requests for a certificate"))?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The agent made its key: from now on the request waits for the CA. The same CSR again counts once.
/// The caller has checked the CSR's signature and names.
///
/// # Errors
/// The key is compromised or used elsewhere, the request doesn't wait for a key, or the database
/// doesn't answer.
pub async fn set_csr(
    tx: &mut Tx,
    id: &str,
    csr_pem: &str,
    spki: &str,
    algorithm: &str,
) -> Result<Request, StoreError> {
    let request = lock(tx, id).await?;
    if request.spki_sha256.as_deref() == Some(spki) {
        return Ok(request);
    }
    if request.status != RequestStatus::Pending || request.waiting_on != Some(WaitingOn::Key) {
        return Err(Problem::conflict(format!("request `{id}` doesn't wait for a key")).into());
    }
    // Whoever has a key has its mirror image too: it is no fresh one.
    let mirror = keys::mirror_of(csr_pem).unwrap_or_default();
    for known in [spki, &mirror] {
        if let Some(key) = keys::lock(tx, known).await?
            && key.status == KeyStatus::Compromised
        {
            return Err(Problem::refused(
                "this key is compromised: no certificate will be issued for it again",
            )
            .hint("make a fresh key")
            .into());
        }
    }
    let used: Option<String> =
        sql("SELECT id FROM certificates WHERE spki_sha256 IN ($1, $2) ORDER BY id LIMIT 1")
            .bind(spki)
            .bind(&mirror)
            .fetch_optional(tx.raw())
            .await
            .map_err(StoreError::because("looking whether a key is in use"))?;
    if let Some(used) = used {
        return Err(
            Problem::refused(format!("certificate `{used}` carries this key already"))
                .hint("a new certificate needs a fresh key")
                .into(),
        );
    }
    keys::upsert(tx, spki, algorithm).await?;
    if let Some(agent) = &request.agent_id {
        holders::add(tx, agent, spki).await?;
    }
    let now = tx.now();
    // A paused adapter's reason shows on what comes to wait for it.
    sql(
        "UPDATE issuance_requests SET csr_pem = $2, spki_sha256 = $3, waiting_on = 'ca', \
         error_message = (SELECT a.paused_reason FROM adapters a WHERE a.id = issuance_requests.adapter_id), \
         next_attempt_at = NULL, version = version + 1, updated_at = $4 WHERE id = $1",
    )
    .bind(id)
    .bind(csr_pem)
    .bind(spki)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording a CSR"))?;
    let done = JobResult {
        done: true,
        failed_step: None,
        error: None,
        rolled_back: false,
        installation: None,
    };
    jobs::finish_for_request(tx, id, &done).await?;
    tx.changed(EntityKind::Request, id);
    existing(tx, id).await
}

/// A person said yes: the agent makes its key.
///
/// # Errors
/// It doesn't wait for an approval, or the database doesn't answer.
pub async fn approve(tx: &mut Tx, id: &str) -> Result<Request, StoreError> {
    let request = lock(tx, id).await?;
    if request.waiting_on != Some(WaitingOn::Approval) {
        return Err(not_possible(&request, "approved").into());
    }
    not_for_banned(tx, &request).await?;
    let request = put(tx, id, RequestStatus::Pending, Some(WaitingOn::Key), None, 0).await?;
    queue::make_key(tx, &request).await?;
    Ok(request)
}

/// A person said no.
///
/// # Errors
/// It is past that, or the database doesn't answer.
pub async fn deny(tx: &mut Tx, id: &str, by: &str, why: Option<&str>) -> Result<Request, StoreError> {
    stop(tx, id, RequestStatus::Denied, by, why).await
}

/// A person, whose name is `by`, took it back.
///
/// # Errors
/// It is past that, or the database doesn't answer.
pub async fn cancel(tx: &mut Tx, id: &str, by: &str, why: Option<&str>) -> Result<Request, StoreError> {
    stop(tx, id, RequestStatus::Cancelled, by, why).await
}

async fn stop(
    tx: &mut Tx,
    id: &str,
    status: RequestStatus,
    by: &str,
    why: Option<&str>,
) -> Result<Request, StoreError> {
    let request = lock(tx, id).await?;
    if !request.status.may_become(status) {
        return Err(not_possible(&request, status.word()).into());
    }
    let stopped = JobResult {
        done: false,
        failed_step: None,
        error: Some(format!("the request was {}", status.word())),
        rolled_back: false,
        installation: None,
    };
    jobs::finish_for_request(tx, id, &stopped).await?;
    // Its attempts and the CA's sentence are why it was stopped as often as not.
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    let stopped = format!("{} by {by}{why}", status.word());
    let message = match &request.error_message {
        Some(error) => format!("{error}; {stopped}"),
        None => stopped,
    };
    put(tx, id, status, None, Some(&message), request.attempt).await
}

/// A banned agent gets nothing: no request goes on for it.
async fn not_for_banned(tx: &mut Tx, request: &Request) -> Result<(), StoreError> {
    if !ban::is_banned(tx, request.agent_id.as_deref()).await? {
        return Ok(());
    }
    let what = format!("the agent of request `{}` is banned and gets nothing", request.id);
    Err(Problem::refused(what)
        .hint("unban the agent, or request a certificate for another one: `POST /api/v1/certs`")
        .into())
}

/// Tries a failed request once more, with the same key where there is one that may still be used, and
/// at once where it waits for its next attempt.
///
/// # Errors
/// It is past that, or the database doesn't answer.
pub async fn retry(tx: &mut Tx, id: &str) -> Result<Request, StoreError> {
    let request = lock(tx, id).await?;
    let waits_for_ca = request.status == RequestStatus::Pending && request.waiting_on == Some(WaitingOn::Ca);
    if !waits_for_ca && request.status != RequestStatus::Failed {
        return Err(not_possible(&request, "tried again").into());
    }
    not_for_banned(tx, &request).await?;
    let key = match &request.spki_sha256 {
        Some(spki) => keys::read(tx, spki).await?,
        None => None,
    };
    let keeps_key = key.is_some_and(|key| key.status == KeyStatus::Active && key.n_certificates == 0);
    if keeps_key {
        return put(tx, id, RequestStatus::Pending, Some(WaitingOn::Ca), None, 0).await;
    }
    sql(
        "UPDATE issuance_requests SET csr_pem = NULL, spki_sha256 = NULL, asked_ca_at = NULL, ca_order = NULL \
         WHERE id = $1",
    )
    .bind(id)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("trying a request again"))?;
    let request = put(tx, id, RequestStatus::Pending, Some(WaitingOn::Key), None, 0).await?;
    queue::make_key(tx, &request).await?;
    Ok(request)
}

fn not_possible(request: &Request, what: &str) -> Problem {
    Problem::conflict(format!(
        "request `{}` can't be {what}: it is {}",
        request.id,
        request.status.word()
    ))
}

/// Sets status, who must act, the message, and the number of attempts: none of one that begins anew.
async fn put(
    tx: &mut Tx,
    id: &str,
    status: RequestStatus,
    waiting_on: Option<WaitingOn>,
    message: Option<&str>,
    attempt: i64,
) -> Result<Request, StoreError> {
    let now = tx.now();
    let row: Wrapped = sql(
        "UPDATE issuance_requests SET status = $2, waiting_on = $3, error_message = $4, attempt = $6, \
         next_attempt_at = NULL, claimed_by = NULL, lease_until = NULL, version = version + 1, \
         updated_at = $5 WHERE id = $1 RETURNING *",
    )
    .bind(id)
    .bind(status.word())
    .bind(waiting_on.map(WaitingOn::word))
    .bind(message.map(told))
    .bind(now)
    .bind(attempt)
    .fetch_one(tx.raw())
    .await
    .map_err(StoreError::because("changing a request"))?;
    changed(tx, &row.0);
    Ok(row.0)
}

/// Tells that it changed, and with it whether what it is to replace is being reissued.
pub(super) fn changed(tx: &mut Tx, request: &Request) {
    tx.changed(EntityKind::Request, &request.id);
    if let Some(old) = &request.replaces {
        tx.changed(EntityKind::Certificate, old);
    }
}

pub(super) struct Wrapped(pub(super) Request);

/// A request before its end.
struct UnderWay {
    request: Request,
    is_never_at_ca: bool,
}

impl FromRow for UnderWay {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            request: Wrapped::from_row(row)?.0,
            is_never_at_ca: row.try_get::<i64>("is_never_at_ca")? == 1,
        })
    }
}

impl FromRow for Wrapped {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self(Request {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            common_name: row.try_get("common_name")?,
            sans: list(row, "sans")?,
            key_algorithm: row.try_get("key_algorithm")?,
            adapter_id: row.try_get("adapter_id")?,
            agent_id: row.try_get("agent_id")?,
            install_path: row.try_get("install_path")?,
            replaces: row.try_get("replaces")?,
            certificate_id: row.try_get("certificate_id")?,
            spki_sha256: row.try_get("spki_sha256")?,
            status: word(row, "status", RequestStatus::from_word)?,
            waiting_on: optional_word(row, "waiting_on", WaitingOn::from_word)?,
            attempt: row.try_get("attempt")?,
            error_message: row.try_get("error_message")?,
            next_attempt_at: row.try_get("next_attempt_at")?,
            requested_by: row.try_get("requested_by")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        }))
    }
}
