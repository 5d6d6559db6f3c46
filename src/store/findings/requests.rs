//! Requests that failed or wait, and for whom.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use super::{AT_MOST, Asked, Foremost};
use crate::domain::finding::NAMED;
use crate::domain::request::Request;
use crate::store::in_use_sql::has_no_token;
use crate::store::row::{FromRow, Row};
use crate::store::statement::sql;
use crate::store::{Conn, StoreError, requests};

/// A request that failed, and what it was to replace.
pub struct Failed {
    /// The request.
    pub request: Request,
    /// The version of the certificate that it was to replace.
    pub replaces_version: Option<i64>,
}

/// Nobody asked for the same certificate again.
const FAILED: &str = "FROM issuance_requests r LEFT JOIN certificates c ON c.id = r.replaces \
     WHERE r.status = 'failed' AND NOT EXISTS ( \
       SELECT 1 FROM issuance_requests n WHERE n.id > r.id \
         AND n.status IN ('pending', 'issuing', 'issued', 'failed') \
         AND ((r.replaces IS NOT NULL AND n.replaces = r.replaces \
               AND COALESCE(n.install_path, '') = COALESCE(r.install_path, '')) \
           OR (r.replaces IS NULL AND n.replaces IS NULL AND n.common_name = r.common_name \
               AND COALESCE(n.agent_id, '') = COALESCE(r.agent_id, ''))))";

/// Requests that failed, and after which nobody asked for the same certificate again: first what was to replace
/// the certificate that ends first.
///
/// # Errors
/// The database doesn't answer.
pub async fn failed_requests(conn: &mut Conn) -> Result<Foremost<Failed>, StoreError> {
    let asked = Asked {
        columns: "r.*, c.version AS replaces_version",
        from: FAILED,
        order: "CASE WHEN c.not_after IS NULL THEN 1 ELSE 0 END, c.not_after, r.id DESC",
        bound: Vec::new(),
        doing: "looking for failed requests",
    };
    Foremost::ask(conn, asked).await
}

/// Requests that wait for one thing.
#[derive(Clone, Debug, Default)]
pub struct Blocked {
    /// How many.
    pub n: i64,
    /// Their names, the first [`NAMED`].
    pub names: Vec<String>,
}

/// An agent that requests wait for.
#[derive(Clone, Debug)]
pub struct WaitedFor {
    /// Which.
    pub agent_id: String,
    /// Its version.
    pub version: i64,
    /// Its host.
    pub hostname: String,
    /// Since when the first of them waits.
    pub since: DateTime<Utc>,
    /// How many wait for its key and CSR.
    pub n_keys: i64,
    /// How many wait.
    pub n: i64,
    /// Their names, the first [`NAMED`].
    pub names: Vec<String>,
}

const WAITS: &str = "r.status IN ('pending', 'issuing') AND r.created_at < $1";
// The lack of a token is told of the agent instead.
const FOR_AGENT: &str = concat!(
    "r.status = 'pending' AND r.agent_id IS NOT NULL AND r.waiting_on IN ('key', 'challenge') AND NOT ",
    has_no_token!("r.agent_id")
);
/// Requests that wait for an agent that can't check in. A ban takes back what waits for it.
const FOR_TOKEN: &str = concat!(
    "r.status = 'pending' AND r.agent_id IS NOT NULL AND r.waiting_on IN ('key', 'challenge') AND r.created_at <= $1 AND ",
    has_no_token!("r.agent_id")
);
const FOR_CA: &str = "(r.status = 'issuing' OR r.waiting_on = 'ca')";
const PAUSED: &str = "EXISTS (SELECT 1 FROM adapters p WHERE p.id = r.adapter_id AND p.status = 'paused')";

/// How many requests, under way since before `before`, wait for the CA of each adapter that is paused.
///
/// # Errors
/// The database doesn't answer.
pub async fn blocked_by_adapter(
    conn: &mut Conn,
    before: DateTime<Utc>,
) -> Result<BTreeMap<String, Blocked>, StoreError> {
    let condition = format!("{WAITS} AND {FOR_CA} AND {PAUSED}");
    named_by(conn, "r.adapter_id", &condition, before).await
}

/// How many requests, under way since before `before`, wait for an issuer.
///
/// # Errors
/// The database doesn't answer.
pub async fn waiting_for_issuer(conn: &mut Conn, before: DateTime<Utc>) -> Result<Blocked, StoreError> {
    let condition = format!("{WAITS} AND {FOR_CA}");
    let mut named = named_by(conn, "CAST('issuer' AS text)", &condition, before).await?;
    Ok(named.remove("issuer").unwrap_or_default())
}

/// Number of requests that wait for each agent that has no token: from the first moment, since nothing comes of waiting.
///
/// # Errors
/// The database doesn't answer.
pub async fn waiting_for_token(conn: &mut Conn) -> Result<BTreeMap<String, Blocked>, StoreError> {
    let now = conn.now();
    named_by(conn, "r.agent_id", FOR_TOKEN, now).await
}

/// Agents that requests, under way since before `before`, wait for: first the one that most wait for.
///
/// # Errors
/// The database doesn't answer.
pub async fn agents_waited_for(
    conn: &mut Conn,
    before: DateTime<Utc>,
) -> Result<Foremost<WaitedFor>, StoreError> {
    let doing = "looking for requests that wait for agents";
    let condition = format!("{WAITS} AND {FOR_AGENT}");
    let mut rows: Vec<WaitedFor> = sql(AssertSqlSafe(format!(
        "SELECT a.id, a.version, a.hostname, MIN(r.created_at) AS since, COUNT(*) AS n, \
         COUNT(*) FILTER (WHERE r.waiting_on = 'key') AS n_keys \
         FROM issuance_requests r JOIN agents a ON a.id = r.agent_id WHERE {condition} \
         GROUP BY a.id, a.version, a.hostname ORDER BY COUNT(*) DESC, MIN(r.created_at), a.id LIMIT $2"
    )))
    .bind(before)
    .bind(AT_MOST)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because(doing))?;
    let mut named = named_by(conn, "r.agent_id", &condition, before).await?;
    let n = i64::try_from(named.len()).unwrap_or(i64::MAX);
    for row in &mut rows {
        row.names = named.remove(&row.agent_id).unwrap_or_default().names;
    }
    Ok(Foremost::of_warnings(rows, n))
}

async fn named_by(
    conn: &mut Conn,
    group: &str,
    condition: &str,
    before: DateTime<Utc>,
) -> Result<BTreeMap<String, Blocked>, StoreError> {
    let rows: Vec<(String, String, i64)> = sql(AssertSqlSafe(format!(
        "SELECT whom, common_name, n FROM (SELECT {group} AS whom, r.common_name, \
           COUNT(*) OVER (PARTITION BY {group}) AS n, \
           ROW_NUMBER() OVER (PARTITION BY {group} ORDER BY r.id) AS place \
         FROM issuance_requests r WHERE {condition}) named WHERE place <= {NAMED} ORDER BY whom, place"
    )))
    .bind(before)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading which requests wait"))?;
    let mut blocked: BTreeMap<String, Blocked> = BTreeMap::new();
    for (whom, name, n) in rows {
        let known = blocked.entry(whom).or_default();
        known.names.push(name);
        known.n = n;
    }
    Ok(blocked)
}

/// Requests, under way since before `before`, that wait neither for an agent nor for a paused adapter, and where there
/// is no issuer not for a CA: first those that the CA answered with an error, then the oldest.
///
/// # Errors
/// The database doesn't answer.
pub async fn stuck_requests(
    conn: &mut Conn,
    before: DateTime<Utc>,
    has_issuer: bool,
) -> Result<Foremost<Request>, StoreError> {
    let told = match has_issuer {
        true => format!("{FOR_CA} AND {PAUSED}"),
        false => FOR_CA.to_owned(),
    };
    // Nothing is compared with null here: `waiting_on` is null in one that is being issued.
    let stuck = format!(
        "FROM issuance_requests r WHERE {WAITS} AND (r.status = 'issuing' OR r.agent_id IS NULL \
         OR r.waiting_on NOT IN ('key', 'challenge')) AND NOT ({told})"
    );
    let asked = Asked {
        columns: "r.*",
        from: &stuck,
        order: "CASE WHEN r.attempt > 0 THEN 0 ELSE 1 END, r.id",
        bound: vec![before.into()],
        doing: "looking for requests that wait",
    };
    let stuck: Foremost<requests::Wrapped> = Foremost::ask(conn, asked).await?;
    Ok(stuck.map(|row| row.0))
}

impl FromRow for Failed {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            request: requests::Wrapped::from_row(row)?.0,
            replaces_version: row.try_get("replaces_version")?,
        })
    }
}

impl FromRow for WaitedFor {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            agent_id: row.try_get("id")?,
            version: row.try_get("version")?,
            hostname: row.try_get("hostname")?,
            since: row.try_get("since")?,
            n_keys: row.try_get("n_keys")?,
            n: row.try_get("n")?,
            names: Vec::new(),
        })
    }
}
