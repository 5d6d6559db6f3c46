//! Jobs: what an agent or the issuer is to do. A job is durable before anybody hears of it, and
//! repeated until its end is recorded.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};

use crate::domain::adapter::PauseKind;
use crate::domain::agent::SILENT_AFTER_INTERVALS;
use crate::domain::id::EntityKind;
use crate::domain::told::told;
use crate::wire::agents::{AgentJob, AgentWork, JobResult, JobView};

use super::row::{FromRow, Row};
use super::statement::{Json, judged, sql};
use super::{Conn, StoreError, Tx, agents, installations, issuance, request_failure};

/// How many jobs an agent is given at once.
const AT_ONCE: i64 = 50;

/// One job.
#[derive(Clone, Debug)]
pub struct Job {
    /// `job_…`
    pub id: String,
    /// `make_key`, `challenge`, `install` or `revoke`.
    pub kind: String,
    /// `queued`, `done` or `failed`.
    pub status: String,
    /// The agent that it is for.
    pub agent_id: Option<String>,
    /// The request that it is about.
    pub request_id: Option<String>,
    /// The certificate that it is about.
    pub certificate_id: Option<String>,
    /// The installation that it is about.
    pub installation_id: Option<String>,
    /// How often it was tried and failed.
    pub attempt: i64,
    /// The last error.
    pub error_message: Option<String>,
    /// How it ended.
    pub result: Option<JobResult>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Job {
    /// What the API says of it.
    #[must_use]
    pub fn view(self) -> JobView {
        JobView {
            id: self.id,
            status: self.status,
            result: self.result,
            error: self.error_message,
            created_at: self.created_at,
            ended_at: self.ended_at,
        }
    }
}

/// Whose queued work is taken back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of<'a> {
    /// What installs this certificate.
    Certificate(&'a str),
    /// What installs a certificate with this key.
    Key(&'a str),
    /// All that this agent was to do, which the caller has locked.
    Agent(&'a str),
}

/// Takes back what agents were to do and must not do any more, and says why. An agent that is at it
/// already reports what it did as what is on its disk. Returns the requests that failed with that.
pub(super) async fn withdraw(tx: &mut Tx, of: Of<'_>, why: &str) -> Result<Vec<String>, StoreError> {
    let (text, whose) = match of {
        Of::Certificate(id) => (
            "SELECT j.* FROM jobs j \
             WHERE j.status = 'queued' AND j.kind = 'install' AND j.certificate_id = $1",
            id,
        ),
        Of::Key(spki) => (
            "SELECT j.* FROM jobs j JOIN certificates c ON c.id = j.certificate_id \
             WHERE j.status = 'queued' AND j.kind = 'install' AND c.spki_sha256 = $1",
            spki,
        ),
        Of::Agent(id) => (
            "SELECT j.* FROM jobs j WHERE j.status = 'queued' AND j.agent_id = $1",
            id,
        ),
    };
    // The agents before their jobs, and in order: see `dialect`. Of one agent's jobs the caller has changed that one.
    if !matches!(of, Of::Agent(_)) {
        let found: Vec<Job> = sql(text)
            .bind(whose)
            .fetch_all(tx.raw())
            .await
            .map_err(StoreError::because("taking jobs back"))?;
        let agents: BTreeSet<String> = found.into_iter().filter_map(|job| job.agent_id).collect();
        for id in &agents {
            agents::locked(tx, id).await?;
        }
    }
    let jobs: Vec<Job> = sql(text)
        .bind(whose)
        .locking("j")
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because("taking jobs back"))?;
    let mut failed = Vec::new();
    for job in jobs {
        finish(tx, &job.id, &JobResult::withdrawn(why)).await?;
        match (job.installation_id, job.request_id) {
            (Some(installation), _) => installations::withdrawn(tx, &installation, why).await?,
            (None, Some(request)) => {
                request_failure::record(tx, &request, &format!("the agent: {why}")).await?;
                failed.push(request);
            }
            (None, None) => {}
        }
    }
    Ok(failed)
}

/// What the agent has to do now, the oldest first.
///
/// # Errors
/// The database doesn't answer.
pub async fn for_agent(conn: &mut Conn, agent_id: &str) -> Result<Vec<AgentJob>, StoreError> {
    let rows: Vec<(String, Json<AgentWork>)> = sql(
        "SELECT id, work FROM jobs WHERE agent_id = $1 AND status = 'queued' AND work IS NOT NULL \
         ORDER BY id LIMIT $2",
    )
    .bind(agent_id)
    .bind(AT_ONCE)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading an agent's jobs"))?;
    Ok(rows
        .into_iter()
        .map(|(id, Json(work))| AgentJob { id, work })
        .collect())
}

/// Where an agent listens, as it says itself, and where its last report came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listening {
    /// Such as `http://web-01:8084`.
    pub address: String,
    /// An IP address; nothing of an agent that was never heard of.
    pub reported_from: Option<String>,
}

/// An agent that has something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whom {
    /// Where it listens.
    pub listening: Listening,
    /// It was heard of lately, so that it will answer.
    pub heard_of: bool,
}

/// Whom a queued job is for.
///
/// # Errors
/// The database doesn't answer.
pub async fn whom(conn: &mut Conn, id: &str) -> Result<Option<Whom>, StoreError> {
    let now = conn.now();
    let row: Option<Called> = sql(concat!(
        "SELECT a.address, a.reported_from, a.last_checkin, a.checkin_interval_s FROM jobs j \
         JOIN agents a ON a.id = j.agent_id WHERE j.id = $1 AND a.status = 'active' AND ",
        judged!("j.status = 'queued'")
    ))
    .bind(id)
    .fetch_optional(conn.raw())
    .await
    .map_err(StoreError::because("reading whom a job is for"))?;
    Ok(row.map(|row| row.at(now)))
}

/// Whom the queued jobs are for; who was heard of last comes first.
///
/// # Errors
/// The database doesn't answer.
pub async fn all_whom(conn: &mut Conn) -> Result<Vec<Whom>, StoreError> {
    let now = conn.now();
    let rows: Vec<Called> = sql(
        "SELECT a.address, a.reported_from, a.last_checkin, a.checkin_interval_s FROM agents a \
         WHERE a.status = 'active' AND a.id IN (SELECT j.agent_id FROM jobs j WHERE j.status = 'queued' \
           AND j.agent_id IS NOT NULL) \
         ORDER BY COALESCE(a.last_checkin, '1970-01-01T00:00:00+00:00') DESC, a.id",
    )
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading whom jobs are for"))?;
    Ok(rows.into_iter().map(|row| row.at(now)).collect())
}

/// One.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, id: &str) -> Result<Option<Job>, StoreError> {
    sql("SELECT * FROM jobs WHERE id = $1")
        .bind(id)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("reading a job"))
}

/// One, kept from others until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Job>, StoreError> {
    sql("SELECT j.* FROM jobs j WHERE j.id = $1")
        .bind(id)
        .locking("j")
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because("waiting for a job"))
}

pub(super) async fn finish(tx: &mut Tx, id: &str, result: &JobResult) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "UPDATE jobs SET status = $2, result = $3, error_message = $4, ended_at = $5, claimed_by = NULL, \
         lease_until = NULL WHERE id = $1 AND status = 'queued'",
    )
    .bind(id)
    .bind(if result.done { "done" } else { "failed" })
    .bind(Json(result))
    .bind(&result.error)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording the end of a job"))?;
    tx.changed(EntityKind::Job, id);
    Ok(())
}

/// Ends the jobs that a request still has.
pub(super) async fn finish_for_request(
    tx: &mut Tx,
    request_id: &str,
    result: &JobResult,
) -> Result<(), StoreError> {
    let ids: Vec<String> = sql("SELECT id FROM jobs WHERE request_id = $1 AND status = 'queued'")
        .bind(request_id)
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because("reading the jobs of a request"))?;
    for id in ids {
        finish(tx, &id, result).await?;
    }
    Ok(())
}

/// Claims the oldest due revocation at one CA for `owner`, so that no other worker takes it while the lease
/// lasts; without one, of those that no adapter leads to. Those of a paused adapter wait, unless it only can't sign.
///
/// # Errors
/// The database doesn't answer.
pub async fn claim_revoke(
    tx: &mut Tx,
    adapter_id: Option<&str>,
    owner: &str,
    lease: Duration,
) -> Result<Option<Job>, StoreError> {
    let now = tx.now();
    let due: Option<String> = sql(
        "SELECT j.id FROM jobs j JOIN certificates c ON c.id = j.certificate_id \
         LEFT JOIN adapters a ON a.id = c.adapter_id \
         WHERE j.agent_id IS NULL AND j.kind = 'revoke' AND j.status = 'queued' \
           AND (j.lease_until IS NULL OR j.lease_until <= $1) \
           AND (j.next_attempt_at IS NULL OR j.next_attempt_at <= $1) \
           AND COALESCE(c.adapter_id, '') = $2 AND (a.status IS NULL OR a.status = 'active' OR a.paused_kind = $3) \
         ORDER BY j.id LIMIT 1",
    )
    .bind(now)
    .bind(adapter_id.unwrap_or_default())
    .bind(PauseKind::Unsigned.word())
    .skipping_locked("j")
    .fetch_optional(tx.raw())
    .await
    .map_err(StoreError::because("claiming a job"))?;
    let Some(id) = due else {
        return Ok(None);
    };
    sql("UPDATE jobs SET claimed_by = $2, lease_until = $3 WHERE id = $1 RETURNING *")
        .bind(id)
        .bind(owner)
        .bind(now + lease)
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because("claiming a job"))
}

/// What `owner` claimed in an earlier life is free again: revocations at once, requests at `at`, since the
/// CA may be at one of them still. For the start of a worker whose name no other one has.
///
/// # Errors
/// The database doesn't answer.
pub async fn release(tx: &mut Tx, owner: &str, at: DateTime<Utc>) -> Result<u64, StoreError> {
    let doing = "freeing what an earlier worker had claimed";
    let jobs = sql("UPDATE jobs SET claimed_by = NULL, lease_until = NULL WHERE claimed_by = $1")
        .bind(owner)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because(doing))?;
    Ok(jobs + issuance::release(tx, owner, None, at).await?)
}

/// Forgets what jobs that ended before `before` had to do: PEM that nobody asks for again. That they were,
/// and how they ended, stays.
///
/// # Errors
/// The database doesn't answer.
pub async fn forget_work(tx: &mut Tx, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sql("UPDATE jobs SET work = NULL WHERE work IS NOT NULL AND ended_at < $1")
        .bind(before)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("forgetting what ended jobs had to do"))?;
    Ok(done)
}

/// Puts a claimed job back until `at`. `burns` says whether that counts as a failed attempt; a sealed
/// Vault doesn't.
pub(super) async fn put_back(
    tx: &mut Tx,
    id: &str,
    error: &str,
    at: Option<DateTime<Utc>>,
    burns: bool,
) -> Result<(), StoreError> {
    sql(
        "UPDATE jobs SET claimed_by = NULL, lease_until = NULL, error_message = $2, next_attempt_at = $3, \
         attempt = attempt + $4 WHERE id = $1 AND status = 'queued'",
    )
    .bind(id)
    .bind(told(error))
    .bind(at)
    .bind(i64::from(burns))
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("putting a job back"))?;
    tx.changed(EntityKind::Job, id);
    Ok(())
}

/// A row about who is to be woken.
struct Called {
    listening: Listening,
    last_checkin: Option<DateTime<Utc>>,
    interval_s: i64,
}

impl Called {
    fn at(self, now: DateTime<Utc>) -> Whom {
        let patience = Duration::seconds(self.interval_s) * SILENT_AFTER_INTERVALS;
        Whom {
            listening: self.listening,
            heard_of: self.last_checkin.is_some_and(|at| now - at <= patience),
        }
    }
}

impl FromRow for Called {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            listening: Listening {
                address: row.try_get("address")?,
                reported_from: row.try_get("reported_from")?,
            },
            last_checkin: row.try_get("last_checkin")?,
            interval_s: row.try_get("checkin_interval_s")?,
        })
    }
}

impl FromRow for Job {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let result: Option<Json<JobResult>> = row.try_get("result")?;
        Ok(Self {
            id: row.try_get("id")?,
            kind: row.try_get("kind")?,
            status: row.try_get("status")?,
            agent_id: row.try_get("agent_id")?,
            request_id: row.try_get("request_id")?,
            certificate_id: row.try_get("certificate_id")?,
            installation_id: row.try_get("installation_id")?,
            attempt: row.try_get("attempt")?,
            error_message: row.try_get("error_message")?,
            result: result.map(|Json(result)| result),
            created_at: row.try_get("created_at")?,
            ended_at: row.try_get("ended_at")?,
        })
    }
}
