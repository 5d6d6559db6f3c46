//! The facts that findings are worked out from. What they mean is decided in `store/read/findings`.
//!
//! A list that makes critical findings is read whole. One of warnings and notices is read in the order of its own
//! urgency, up to [`AT_MOST`], and comes with how many there are in all ([`Foremost`]).

mod agents;
mod crl_expired;
mod installed;
mod installed_row;
mod leaked;
mod requests;
mod unlisted;

use chrono::{DateTime, Utc};

use crate::domain::adapter::{Pause, PauseKind};
use crate::domain::finding::LeftOut;
use crate::domain::reason::Reason;

use super::row::{FromRow, Row, optional_word};
use super::statement::sql;
use super::{Conn, StoreError};

pub use agents::{Banned, OnAgent, Silent, banned_agents, on_agents, silent_agents};
pub use installed::{
    Expected, InUse, Instead, Owed, compromised_in_use, ending_in_use, ends_or_is_wanted_now,
    installations_at_odds, installations_in_doubt, renewals_suggested, revoked_in_use,
};
pub use leaked::{Unrevoked, unrevoked_of_leaked_keys};
pub use requests::{
    Blocked, Failed, WaitedFor, agents_waited_for, blocked_by_adapter, failed_requests, stuck_requests,
    waiting_for_issuer, waiting_for_token,
};

pub use crl_expired::{Relying, relying};
pub use unlisted::{Unlisted, unlisted};

/// So many findings of a kind that isn't critical are told one by one; the others are counted.
pub const AT_MOST: i64 = 500;

/// The most urgent of what there is.
#[derive(Clone, Debug)]
pub struct Foremost<T> {
    /// Those.
    pub rows: Vec<T>,
    /// Numbers of others, by how bad they are.
    pub more: LeftOut,
}

impl<T> Foremost<T> {
    /// These, of `n` that are all as bad as a warning.
    fn of_warnings(rows: Vec<T>, n: i64) -> Self {
        let warning = n - count(&rows);
        Self {
            rows,
            more: LeftOut { warning, notice: 0 },
        }
    }

    /// The first of what is asked for, and the number of others; that is counted only where there may be others.
    async fn ask(conn: &mut Conn, asked: Asked<'_>) -> Result<Self, StoreError>
    where
        T: FromRow,
    {
        let Asked {
            columns,
            from,
            order,
            bound,
            doing,
        } = asked;
        let limit = bound.len() + 1;
        let rows: Vec<T> = sql(sqlx::AssertSqlSafe(format!(
            "SELECT {columns} {from} ORDER BY {order} LIMIT ${limit}"
        )))
        .bind_all(bound.clone())
        .bind(AT_MOST)
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because(doing))?;
        let all = All {
            with: "",
            from,
            bound,
            doing,
        };
        let n = all.count(conn, &rows).await?;
        Ok(Self::of_warnings(rows, n))
    }

    /// Rows as above, each made into something else.
    fn map<U>(self, made: impl FnMut(T) -> U) -> Foremost<U> {
        Foremost {
            rows: self.rows.into_iter().map(made).collect(),
            more: self.more,
        }
    }
}

/// A list of what is all as bad as a warning, the most urgent first.
struct Asked<'a> {
    columns: &'a str,
    /// Text from `FROM` to before `ORDER BY`.
    from: &'a str,
    order: &'a str,
    bound: Vec<super::statement::Value>,
    doing: &'static str,
}

/// The statement whose first rows were read, for counting all of them.
struct All<'a> {
    /// Text before its `SELECT`.
    with: &'a str,
    /// Text from its `FROM` on.
    from: &'a str,
    bound: Vec<super::statement::Value>,
    doing: &'static str,
}

impl All<'_> {
    async fn count<T>(&self, conn: &mut Conn, rows: &[T]) -> Result<i64, StoreError> {
        if count(rows) < AT_MOST {
            return Ok(count(rows));
        }
        let text = format!("{}SELECT COUNT(*) {}", self.with, self.from);
        sql(sqlx::AssertSqlSafe(text))
            .bind_all(self.bound.clone())
            .fetch_one(conn.raw())
            .await
            .map_err(StoreError::because(self.doing))
    }
}

fn count<T>(rows: &[T]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}

/// A revocation that the CA has not confirmed.
#[derive(Clone, Debug)]
pub struct Unconfirmed {
    /// The certificate.
    pub certificate_id: String,
    /// Its version.
    pub version: i64,
    /// Its subject.
    pub subject: String,
    /// Through which its CA is asked.
    pub adapter_id: Option<String>,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// Why.
    pub reason: Option<Reason>,
    /// The CA's last word.
    pub error: Option<String>,
    /// True if it is still under way: asked again it would only be refused as being under way.
    pub queued: bool,
    /// Its adapter's pause, unless it only can't sign.
    pub paused: Option<Pause>,
}

impl Unconfirmed {
    /// Words of the CA that refused it, where nobody asks it any more: that is final, and no wait mends it.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.error.as_deref().filter(|_| !self.queued)
    }
}

/// Revocations asked for before `before` that the CA has not confirmed, the longest wait first.
///
/// # Errors
/// The database doesn't answer.
pub async fn unconfirmed_revocations(
    conn: &mut Conn,
    before: DateTime<Utc>,
) -> Result<Vec<Unconfirmed>, StoreError> {
    sql(
        "SELECT c.id, c.version, c.subject, c.adapter_id, c.revocation_asked_at, c.revocation_reason, a.paused_kind, a.paused_reason, \
         (SELECT j.error_message FROM jobs j WHERE j.certificate_id = c.id AND j.kind = 'revoke' \
          ORDER BY j.id DESC LIMIT 1) AS error_message, \
         (SELECT COUNT(*) FROM jobs j WHERE j.certificate_id = c.id AND j.kind = 'revoke' \
          AND j.status = 'queued') AS n_queued \
         FROM certificates c LEFT JOIN adapters a ON a.id = c.adapter_id \
         WHERE c.status = 'revocation_pending' AND c.revocation_asked_at < $1 \
         ORDER BY c.revocation_asked_at, c.id",
    )
    .bind(before)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for unconfirmed revocations"))
}

/// The cause for which revocations that are under way wait, where that is known, and how many do: the oldest one's words.
///
/// # Errors
/// The database doesn't answer.
pub async fn waiting_revocations(conn: &mut Conn) -> Result<Option<(i64, String)>, StoreError> {
    let row: Option<Waiting> = sql(
        "SELECT j.error_message, (SELECT COUNT(*) FROM jobs o WHERE o.agent_id IS NULL AND o.kind = 'revoke' \
           AND o.status = 'queued' AND o.error_message IS NOT NULL) AS n_waiting \
         FROM jobs j WHERE j.agent_id IS NULL AND j.kind = 'revoke' AND j.status = 'queued' AND j.error_message IS NOT NULL \
         ORDER BY j.id LIMIT 1",
    )
    .fetch_optional(conn.raw())
    .await
    .map_err(StoreError::because("looking for revocations that wait"))?;
    Ok(row.map(|row| (row.n, row.words)))
}

struct Waiting {
    n: i64,
    words: String,
}

impl FromRow for Waiting {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            n: row.try_get("n_waiting")?,
            words: row.try_get("error_message")?,
        })
    }
}

/// A key in several certificates that are neither revoked, nor replaced and gone, nor over.
#[derive(Clone, Debug)]
pub struct SharedKey {
    /// The key.
    pub spki_sha256: String,
    /// Its version.
    pub version: i64,
    /// In how many.
    pub n_certificates: i64,
    /// Since when.
    pub since: DateTime<Utc>,
    /// One of them, which a fresh key would do good.
    pub certificate_id: String,
}

/// Those of the keys that were ever shared, each with the number of its live certificates; by an index, key by key.
const SHARED: &str = "WITH counted AS MATERIALIZED (SELECT k.spki_sha256, (SELECT COUNT(*) FROM certificates c \
       JOIN certificate_states s ON s.id = c.id \
       WHERE c.spki_sha256 = k.spki_sha256 AND c.status = 'active' AND c.not_after > $1 AND NOT s.is_replaced) \
       AS n_certificates FROM shared_keys k), \
     shared AS (SELECT * FROM counted WHERE n_certificates > 1) ";

/// Details of the first of them.
const FIRST_SHARED: &str = "SELECT first.spki_sha256, first.n_certificates, \
       (SELECT k.version FROM keys k WHERE k.spki_sha256 = first.spki_sha256) AS version, \
       MAX(c.created_at) AS since, MAX(c.id) AS certificate_id \
     FROM (SELECT * FROM shared ORDER BY n_certificates DESC, spki_sha256 LIMIT $2) first \
     JOIN certificates c ON c.spki_sha256 = first.spki_sha256 JOIN certificate_states s ON s.id = c.id \
     WHERE c.status = 'active' AND c.not_after > $1 AND NOT s.is_replaced \
     GROUP BY first.spki_sha256, first.n_certificates ORDER BY first.n_certificates DESC, first.spki_sha256";

/// Keys in several live certificates, those in most first.
///
/// # Errors
/// The database doesn't answer.
pub async fn shared_keys(conn: &mut Conn) -> Result<Foremost<SharedKey>, StoreError> {
    let (now, doing) = (conn.now(), "looking for shared keys");
    let rows: Vec<SharedKey> = sql(sqlx::AssertSqlSafe(format!("{SHARED} {FIRST_SHARED}")))
        .bind(now)
        .bind(AT_MOST)
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because(doing))?;
    let all = All {
        with: SHARED,
        from: "FROM shared",
        bound: vec![now.into()],
        doing,
    };
    let notice = all.count(conn, &rows).await? - count(&rows);
    Ok(Foremost {
        rows,
        more: LeftOut { warning: 0, notice },
    })
}

impl FromRow for SharedKey {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            spki_sha256: row.try_get("spki_sha256")?,
            version: row.try_get("version")?,
            n_certificates: row.try_get("n_certificates")?,
            since: row.try_get("since")?,
            certificate_id: row.try_get("certificate_id")?,
        })
    }
}

impl FromRow for Unconfirmed {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            certificate_id: row.try_get("id")?,
            version: row.try_get("version")?,
            subject: row.try_get("subject")?,
            adapter_id: row.try_get("adapter_id")?,
            asked_at: row.try_get("revocation_asked_at")?,
            reason: optional_word(row, "revocation_reason", Reason::parse)?,
            error: row.try_get("error_message")?,
            queued: row.try_get::<i64>("n_queued")? > 0,
            paused: optional_word(row, "paused_kind", PauseKind::from_word)?
                .filter(|kind| *kind != PauseKind::Unsigned)
                .zip(row.try_get::<Option<String>>("paused_reason")?)
                .map(|(kind, reason)| Pause { kind, reason }),
        })
    }
}
