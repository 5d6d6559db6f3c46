//! The platform in numbers, for metrics: each by one statement over an index, so that a scrape costs
//! little however much there is.

use chrono::{DateTime, Duration, Utc};
use sqlx::AssertSqlSafe;

use crate::domain::adapter::Adapter;

use super::agents::Headcount;
use super::certificate_list::STILL_MATTERS;
use super::statement::sql;
use super::{Conn, StoreError, adapters, agents};

/// Audit rows that are looked through at most at once.
const AUDIT_ROWS: i64 = 50_000;

/// How the platform is.
#[derive(Clone, Debug)]
pub struct Figures {
    /// When it was counted.
    pub at: DateTime<Utc>,
    /// Queued jobs by kind; kinds without any are left out.
    pub jobs_queued: Vec<(String, i64)>,
    /// Requests that are not at their end or failed, by status; those without any are left out.
    pub requests_open: Vec<(String, i64)>,
    /// Certificates that still matter and end within `0d` (have ended), `7d` and `30d`.
    pub expiring: [(&'static str, i64); 3],
    /// Agents.
    pub agents: Headcount,
    /// Adapters.
    pub adapters: Vec<Adapter>,
}

/// Issuances that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The last audit row that is counted.
    pub up_to: i64,
    /// Certificates that were issued.
    pub done: i64,
    /// Requests that failed.
    pub failed: i64,
}

/// Counts everything.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn) -> Result<Figures, StoreError> {
    let at = conn.now();
    let jobs = "SELECT kind, COUNT(*) FROM jobs WHERE status = 'queued' AND agent_id IS NOT NULL GROUP BY kind \
                UNION ALL SELECT kind, COUNT(*) FROM jobs WHERE status = 'queued' AND agent_id IS NULL GROUP BY kind";
    let jobs_queued = by_word(conn, jobs).await?;
    let requests = "SELECT status, COUNT(*) FROM issuance_requests \
                    WHERE status IN ('pending', 'issuing', 'failed') GROUP BY status";
    let requests_open = by_word(conn, requests).await?;
    let text = format!(
        "SELECT COUNT(*) FILTER (WHERE s.not_after < $1), COUNT(*) FILTER (WHERE s.not_after < $2), COUNT(*) \
         FROM certificate_states s WHERE s.not_after < $3 AND {STILL_MATTERS}"
    );
    let (expired, week, month): (i64, i64, i64) = sql(AssertSqlSafe(text))
        .bind(at)
        .bind(at + Duration::days(7))
        .bind(at + Duration::days(30))
        .fetch_one(conn.raw())
        .await
        .map_err(StoreError::because("counting what expires"))?;
    Ok(Figures {
        at,
        jobs_queued,
        requests_open,
        expiring: [("0d", expired), ("7d", week), ("30d", month)],
        agents: agents::headcount(conn).await?,
        adapters: adapters::all(conn).await?,
    })
}

/// Issuances that ended after the audit row `after`; from now on, if it isn't given.
///
/// # Errors
/// The database doesn't answer.
pub async fn issued(conn: &mut Conn, after: Option<i64>) -> Result<Issued, StoreError> {
    let head: i64 = sql("SELECT COALESCE(MAX(seq), 0) FROM audit_logs")
        .fetch_one(conn.raw())
        .await
        .map_err(StoreError::because("counting issuances"))?;
    let after = after.unwrap_or(head);
    let up_to = head.min(after + AUDIT_ROWS);
    let (done, failed): (i64, i64) = sql(
        "SELECT COUNT(*) FILTER (WHERE outcome = 'done'), COUNT(*) FILTER (WHERE outcome = 'failed') \
         FROM audit_logs WHERE seq > $1 AND seq <= $2 AND action = 'issue'",
    )
    .bind(after)
    .bind(up_to)
    .fetch_one(conn.raw())
    .await
    .map_err(StoreError::because("counting issuances"))?;
    Ok(Issued { up_to, done, failed })
}

async fn by_word(conn: &mut Conn, text: &'static str) -> Result<Vec<(String, i64)>, StoreError> {
    sql(text)
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because("counting for metrics"))
}
