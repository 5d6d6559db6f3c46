//! Outcomes of the changes of a run, as they are now: they are told by the rows that asked for them, and judged by the
//! requests, certificates and jobs that followed.

use chrono::TimeDelta;

use crate::domain::follows::{Came, Follows};
use crate::domain::told::{SAID, cited};
use crate::wire::runs::RunView;

use super::row::{FromRow, Row};
use super::statement::{Statement, sql};
use super::{Conn, StoreError};

/// A change of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Id of the thing that its row is about.
    pub about: String,
    /// The row's details.
    pub detail: Option<String>,
    /// Its outcome.
    pub came: Came,
}

/// Rows of a run's changes.
macro_rules! of_run {
    ($columns:literal, $joined:literal, $which:literal) => {
        concat!(
            "SELECT a.entity_id, a.detail, ",
            $columns,
            " FROM audit_logs a ",
            $joined,
            " WHERE a.timestamp >= $1 AND a.run_id = $2 AND a.action = $3 AND a.outcome IN ('asked', 'done') \
              AND a.source <> 'issuer'",
            $which,
            " ORDER BY a.seq"
        )
    };
}

/// No more than the row.
macro_rules! rows {
    ($which:literal) => {
        of_run!(
            "'done' AS word, NULL AS what, NULL AS why, NULL AS job, CAST(0 AS bigint) AS is_there",
            "",
            $which
        )
    };
}

/// Requests of the moment in which they were asked for, and the last job that installs what they brought. What is on disk
/// while that job is under way may be taken back, unless a handshake showed it.
macro_rules! certificates {
    ($which:literal) => {
        of_run!(
            "r.status AS word, r.id AS what, r.error_message AS why, \
             CASE WHEN r.install_path IS NULL THEN 'done' ELSE \
               (SELECT j.status FROM jobs j JOIN installations i ON i.id = j.installation_id \
                 WHERE j.certificate_id = r.certificate_id AND j.kind = 'install' AND i.agent_id = r.agent_id \
                 AND i.path = r.install_path ORDER BY j.created_at DESC, j.id DESC LIMIT 1) END AS job, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM installations i WHERE i.agent_id = r.agent_id AND i.path = r.install_path \
               AND i.certificate_id = r.certificate_id AND i.on_disk_sha256 = i.expected_sha256 \
               AND (i.served_sha256 = i.expected_sha256 OR NOT EXISTS (SELECT 1 FROM jobs j \
                 WHERE j.installation_id = i.id AND j.kind = 'install' AND j.status = 'queued'))) \
               THEN 1 ELSE 0 END AS bigint) AS is_there",
            "JOIN issuance_requests r ON r.replaces = a.entity_id AND r.created_at = a.timestamp",
            $which
        )
    };
}

/// Certificates, and the last job that revokes them.
macro_rules! revocations {
    ($which:literal) => {
        of_run!(
            "c.status AS word, c.id AS what, \
             (SELECT j.error_message FROM jobs j WHERE j.certificate_id = c.id AND j.kind = 'revoke' \
               ORDER BY j.created_at DESC, j.id DESC LIMIT 1) AS why, \
             (SELECT j.status FROM jobs j WHERE j.certificate_id = c.id AND j.kind = 'revoke' \
               ORDER BY j.created_at DESC, j.id DESC LIMIT 1) AS job, CAST(0 AS bigint) AS is_there",
            "JOIN certificates c ON c.id = a.entity_id",
            $which
        )
    };
}

/// Agents, and the last job of theirs that installs the certificate whose id follows the first word of the row's details,
/// at the path behind that: `certificate crt_… at /etc/tls/web.pem on web-01`.
macro_rules! installations {
    ($which:literal) => {
        of_run!(
            "'issued' AS word, h.hostname AS what, j.error_message AS why, j.status AS job, CAST(0 AS bigint) AS is_there",
            "JOIN agents h ON h.id = a.entity_id \
             LEFT JOIN jobs j ON j.id = (SELECT l.id FROM jobs l JOIN installations i ON i.id = l.installation_id \
               WHERE l.kind = 'install' AND l.agent_id = a.entity_id \
               AND l.created_at >= a.timestamp AND l.certificate_id = SUBSTR(a.detail, 13, 30) \
               AND SUBSTR(a.detail, 47, LENGTH(i.path) + 4) = i.path || ' on ' \
               ORDER BY l.created_at DESC, l.id DESC LIMIT 1)",
            $which
        )
    };
}

/// All changes of a run by this verb, each with what became of it. They are found by the time, for which there is an
/// index.
///
/// # Errors
/// The database doesn't answer.
pub async fn of_run(
    conn: &mut Conn,
    run: &RunView,
    verb: &str,
    follows: Follows,
) -> Result<Vec<Change>, StoreError> {
    let text = match follows {
        Follows::Nothing => rows!(""),
        Follows::Certificates => certificates!(""),
        Follows::Revocation => revocations!(""),
        Follows::Installation => installations!(""),
    };
    let found = found(sql(text), conn, run, verb, None).await?;
    Ok(found.into_iter().map(|found| found.judged(follows)).collect())
}

/// The changes of a run by this verb about one thing, or on agents that were asked to install it.
///
/// # Errors
/// The database doesn't answer.
pub async fn of_thing(
    conn: &mut Conn,
    run: &RunView,
    verb: &str,
    follows: Follows,
    thing: &str,
) -> Result<Vec<Change>, StoreError> {
    let text = match follows {
        Follows::Nothing => rows!(" AND a.entity_id = $4"),
        Follows::Certificates => certificates!(" AND a.entity_id = $4"),
        Follows::Revocation => revocations!(" AND a.entity_id = $4"),
        Follows::Installation => installations!(
            " AND a.entity_id IN (SELECT o.agent_id FROM jobs o WHERE o.certificate_id = $4 AND o.kind = 'install') \
             AND SUBSTR(a.detail, 13, 30) = $4"
        ),
    };
    let found = found(sql(text), conn, run, verb, Some(thing)).await?;
    Ok(found.into_iter().map(|found| found.judged(follows)).collect())
}

async fn found(
    of: Statement,
    conn: &mut Conn,
    run: &RunView,
    verb: &str,
    thing: Option<&str>,
) -> Result<Vec<Found>, StoreError> {
    // Clocks of servers differ by less.
    let since = run.started_at - TimeDelta::hours(1);
    let of = of.bind(since).bind(&run.id).bind(verb);
    let of = match thing {
        Some(thing) => of.bind(thing),
        None => of,
    };
    of.fetch_all(conn.raw())
        .await
        .map_err(StoreError::because("reading what became of a run's changes"))
}

/// True if the run has a change by this verb: about this thing, or on an agent that was asked to install it.
///
/// # Errors
/// The database doesn't answer.
pub async fn has_change(
    conn: &mut Conn,
    run: &str,
    verb: &str,
    follows: Follows,
    thing: &str,
) -> Result<bool, StoreError> {
    let text = match follows {
        Follows::Installation => {
            "SELECT a.entity_id FROM audit_logs a \
             WHERE a.entity_id IN (SELECT j.agent_id FROM jobs j WHERE j.certificate_id = $3 AND j.kind = 'install') \
             AND a.run_id = $1 AND a.action = $2 AND SUBSTR(a.detail, 13, 30) = $3 \
             AND a.outcome IN ('asked', 'done') LIMIT 1"
        }
        _ => {
            "SELECT a.entity_id FROM audit_logs a WHERE a.entity_id = $3 AND a.run_id = $1 AND a.action = $2 \
             AND a.outcome IN ('asked', 'done') LIMIT 1"
        }
    };
    let found: Option<String> = sql(text)
        .bind(run)
        .bind(verb)
        .bind(thing)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("looking for a change of a run"))?;
    Ok(found.is_some())
}

struct Found {
    about: String,
    detail: Option<String>,
    /// The status of what was asked for.
    word: String,
    /// Its name.
    what: Option<String>,
    /// Its last error.
    why: Option<String>,
    /// The status of the job that carries it out.
    job: Option<String>,
    is_there: bool,
}

impl Found {
    fn judged(self, follows: Follows) -> Change {
        let what = self.what.as_deref().unwrap_or_default();
        let why = self
            .why
            .as_deref()
            .map_or(String::new(), |why| format!(": {}", cited(why, SAID)));
        let came = match (follows, self.word.as_str(), self.job.as_deref()) {
            (Follows::Nothing, ..) | (Follows::Revocation, "revoked", _) => Came::About,
            (Follows::Revocation, _, Some("failed")) => {
                Came::ToNothing(format!("the CA refused to revoke `{what}`{why}"))
            }
            (Follows::Revocation, ..) => Came::NotYet(format!("the CA has not revoked `{what}`{why}")),
            (Follows::Certificates, "failed" | "cancelled" | "denied", _) => {
                Came::ToNothing(format!("request `{what}` is {}{why}", self.word))
            }
            (Follows::Certificates, "pending" | "issuing", _) => {
                Came::NotYet(format!("request `{what}` is {}{why}", self.word))
            }
            (Follows::Certificates | Follows::Installation, _, Some("done")) => Came::About,
            (Follows::Certificates, _, Some("failed")) => Came::ToNothing(format!(
                "request `{what}` is issued, and the installation of its certificate failed"
            )),
            (Follows::Certificates, ..) if self.is_there => Came::About,
            (Follows::Certificates, _, Some(_)) => Came::NotYet(format!(
                "request `{what}` is issued, and its agent has not reported the installation yet"
            )),
            (Follows::Certificates, _, None) => Came::ToNothing(format!(
                "request `{what}` is issued, and its certificate was not installed"
            )),
            (Follows::Installation, _, Some("failed")) => {
                Came::ToNothing(format!("the installation on {what} failed{why}"))
            }
            (Follows::Installation, _, Some(_)) => {
                Came::NotYet(format!("{what} has not reported the installation yet"))
            }
            (Follows::Installation, _, None) => {
                Came::ToNothing(format!("no installation on {what} is on record"))
            }
        };
        Change {
            about: self.about,
            detail: self.detail,
            came,
        }
    }
}

impl FromRow for Found {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            about: row.try_get("entity_id")?,
            detail: row.try_get("detail")?,
            word: row.try_get("word")?,
            what: row.try_get("what")?,
            why: row.try_get("why")?,
            job: row.try_get("job")?,
            is_there: row.try_get::<i64>("is_there")? == 1,
        })
    }
}
