//! Agents that missed their check-ins or are banned, and what is expected on them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use super::{Asked, Foremost};
use crate::domain::finding::NAMED;
use crate::store::in_use_sql::{has_no_token, without_token};
use crate::store::row::{FromRow, Row};
use crate::store::statement::{places, sql};
use crate::store::{Conn, StoreError};

/// An agent that missed its check-ins, by its own interval, or can't check in any more.
#[derive(Clone, Debug)]
pub struct Silent {
    /// Which.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// Its host.
    pub hostname: String,
    /// Where TLS is served with what it installs.
    pub tls_address: Option<String>,
    /// Its last check-in, if it ever came.
    pub last_checkin: Option<DateTime<Utc>>,
    /// When it enrolled.
    pub enrolled_at: DateTime<Utc>,
    /// Each token that it ever had was taken back, as after a ban: it can't check in.
    pub has_no_token: bool,
}

/// A banned agent whose host has certificates in use.
#[derive(Clone, Debug)]
pub struct Banned {
    /// Which.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// Its host.
    pub hostname: String,
    /// Its last change, which was the ban: nothing else changes it meanwhile.
    pub since: DateTime<Utc>,
    /// Places at which its last report saw one served.
    pub n_served: i64,
}

/// What is expected on an agent.
#[derive(Clone, Debug, Default)]
pub struct OnAgent {
    /// Subjects, the first [`NAMED`].
    pub subjects: Vec<String>,
    /// How many certificates.
    pub n: i64,
}

/// Active agents that have no token or missed their check-ins: first the one whose patience ended first.
///
/// # Errors
/// The database doesn't answer.
pub async fn silent_agents(conn: &mut Conn) -> Result<Foremost<Silent>, StoreError> {
    let asked = Asked {
        columns: concat!(
            "a.id, a.version, a.hostname, a.tls_address, a.last_checkin, a.enrolled_at, CAST(CASE WHEN ",
            has_no_token!("a.id"),
            " THEN 1 ELSE 0 END AS bigint) AS has_no_token"
        ),
        // One without a token is told at once: its last check-in says nothing of the next.
        from: concat!(
            "FROM agents a WHERE a.status = 'active' AND (a.silent_at < $1 OR a.id IN ",
            without_token!(),
            ")"
        ),
        order: "a.silent_at, a.id",
        bound: vec![conn.now().into()],
        doing: "looking for silent agents",
    };
    Foremost::ask(conn, asked).await
}

/// Banned agents whose hosts have certificates in use, as their last reports said, the newest ban first.
///
/// # Errors
/// The database doesn't answer.
pub async fn banned_agents(conn: &mut Conn) -> Result<Foremost<Banned>, StoreError> {
    let asked = Asked {
        columns: "a.id, a.version, a.hostname, a.updated_at, (SELECT COUNT(*) FROM installations i \
           WHERE i.agent_id = a.id AND i.served_sha256 IS NOT NULL) AS n_served",
        from: "FROM agents a WHERE a.status = 'banned' AND EXISTS (SELECT 1 FROM installations i \
               WHERE i.agent_id = a.id AND NOT i.never_there)",
        order: "a.updated_at DESC, a.id",
        bound: Vec::new(),
        doing: "looking for banned agents",
    };
    Foremost::ask(conn, asked).await
}

/// What is expected on each of these agents, by which a person knows what its loss means.
///
/// # Errors
/// The database doesn't answer.
pub async fn on_agents(conn: &mut Conn, agents: &[&str]) -> Result<BTreeMap<String, OnAgent>, StoreError> {
    let mut on: BTreeMap<String, OnAgent> = BTreeMap::new();
    let doing = "reading what agents serve";
    for some in agents.chunks(AT_ONCE) {
        let rows: Vec<(String, String, i64)> = sql(AssertSqlSafe(format!(
            "SELECT agent_id, subject, n FROM (SELECT i.agent_id, c.subject, \
               COUNT(*) OVER (PARTITION BY i.agent_id) AS n, \
               ROW_NUMBER() OVER (PARTITION BY i.agent_id ORDER BY c.subject, c.id) AS place \
             FROM (SELECT DISTINCT agent_id, certificate_id FROM installations WHERE agent_id IN ({})) i \
             JOIN certificates c ON c.id = i.certificate_id) named WHERE place <= {NAMED} ORDER BY agent_id, place",
            places(1, some.len())
        )))
        .bind_all(some.iter().map(|&agent| agent.into()))
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because(doing))?;
        for (agent, subject, n) in rows {
            let known = on.entry(agent).or_default();
            known.subjects.push(subject);
            known.n = n;
        }
    }
    Ok(on)
}

/// Agents asked about in one statement.
const AT_ONCE: usize = 250;

impl FromRow for Silent {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            hostname: row.try_get("hostname")?,
            tls_address: row.try_get("tls_address")?,
            last_checkin: row.try_get("last_checkin")?,
            enrolled_at: row.try_get("enrolled_at")?,
            has_no_token: row.try_get::<i64>("has_no_token")? == 1,
        })
    }
}

impl FromRow for Banned {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            hostname: row.try_get("hostname")?,
            since: row.try_get("updated_at")?,
            n_served: row.try_get("n_served")?,
        })
    }
}
