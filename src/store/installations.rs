//! Installations: what is expected where, and what the agents found there.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use crate::domain::certificate::Certificate;
use crate::domain::id::{EntityKind, new_id};
use crate::domain::installation::Installation;
use crate::domain::told::told;
use crate::problem::Problem;
use crate::wire::agents::ReportedInstallation;

use super::row::{FromRow, Row};
use super::statement::{Value, places, rows_of, sql};
use super::{Conn, StoreError, Tx, agents};

/// A certificate `f` that is found at the installation `i`, fulfils a condition, and isn't the expected one.
macro_rules! found {
    ($of:literal) => {
        concat!(
            "i.id IN (SELECT i.id FROM certificates f JOIN installations i ON i.served_sha256 = f.fingerprint_sha256 \
               WHERE i.served_sha256 <> i.expected_sha256 AND ",
            $of,
            " UNION ALL SELECT i.id FROM certificates f JOIN installations i \
               ON i.on_disk_sha256 = f.fingerprint_sha256 WHERE i.on_disk_sha256 <> i.expected_sha256 AND ",
            $of,
            ")"
        )
    };
}

/// From now on `certificate` is expected at `path` on the agent. What was expected there before is
/// remembered until the installation is done, in case it is rolled back.
///
/// # Errors
/// The database doesn't answer.
pub async fn expect(
    tx: &mut Tx,
    agent_id: &str,
    path: &str,
    certificate: &Certificate,
) -> Result<Installation, StoreError> {
    let places = [Expected {
        agent_id,
        path,
        certificate_id: &certificate.id,
        fingerprint_sha256: &certificate.fingerprint_sha256,
    }];
    match expect_all(tx, &places).await?.pop() {
        Some((id, ..)) => existing(tx, &id).await,
        None => Err(Problem::internal("an installation was not recorded").into()),
    }
}

/// A place and the certificate that is expected there.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) agent_id: &'a str,
    pub(super) path: &'a str,
    pub(super) certificate_id: &'a str,
    pub(super) fingerprint_sha256: &'a str,
}

/// Expects certificates at as many places, no two of which are the same. Gives the id, the agent and the path of each
/// installation.
pub(super) async fn expect_all(
    tx: &mut Tx,
    places: &[Expected<'_>],
) -> Result<Vec<(String, String, String)>, StoreError> {
    let doing = "recording what is expected on an agent";
    let agents: BTreeSet<String> = places.iter().map(|place| place.agent_id.to_owned()).collect();
    agents::all_locked(tx, &agents).await?;
    let now = tx.now();
    // While an installation is under way, what it was to replace is still what is really there; where the first one
    // failed, nothing ever was.
    let text = format!(
        "INSERT INTO installations (id, agent_id, path, certificate_id, expected_sha256, created_at, \
         updated_at) VALUES {} \
         ON CONFLICT (agent_id, path) DO UPDATE SET \
         previous_certificate_id = CASE \
           WHEN EXISTS (SELECT 1 FROM jobs j WHERE j.installation_id = installations.id \
                        AND j.status = 'queued') THEN installations.previous_certificate_id \
           WHEN installations.previous_certificate_id IS NULL AND installations.install_error IS NOT NULL \
             AND installations.on_disk_sha256 IS NULL THEN NULL \
           ELSE installations.certificate_id END, \
         certificate_id = excluded.certificate_id, expected_sha256 = excluded.expected_sha256, \
         install_error = NULL, version = installations.version + 1, updated_at = excluded.updated_at \
         RETURNING id, agent_id, path",
        rows_of(places.len(), 7)
    );
    let mut insert = sql(AssertSqlSafe(text));
    for place in places {
        insert = insert
            .bind(new_id(EntityKind::Installation))
            .bind(place.agent_id)
            .bind(place.path)
            .bind(place.certificate_id)
            .bind(place.fingerprint_sha256)
            .bind(now)
            .bind(now);
    }
    let made: Vec<(String, String, String)> = insert
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because(doing))?;
    for (id, agent_id, _) in &made {
        tx.changed(EntityKind::Installation, id);
        tx.changed(EntityKind::Agent, agent_id);
    }
    for place in places {
        tx.changed(EntityKind::Certificate, place.certificate_id);
    }
    Ok(made)
}

/// One.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, id: &str) -> Result<Option<Installation>, StoreError> {
    Ok(some(conn, "i.id = $1", id).await?.into_iter().next())
}

async fn existing(conn: &mut Conn, id: &str) -> Result<Installation, StoreError> {
    read(conn, id)
        .await?
        .ok_or_else(|| StoreError::not_found(EntityKind::Installation, id))
}

/// What is expected on an agent, by path.
///
/// # Errors
/// The database doesn't answer.
pub async fn by_agent(conn: &mut Conn, agent_id: &str) -> Result<Vec<Installation>, StoreError> {
    some(conn, "i.agent_id = $1", agent_id).await
}

/// Where a certificate is expected.
///
/// # Errors
/// The database doesn't answer.
pub async fn by_certificate(conn: &mut Conn, certificate_id: &str) -> Result<Vec<Installation>, StoreError> {
    some(conn, "i.certificate_id = $1", certificate_id).await
}

/// Places that expect another certificate, and where the agent found this one served or on disk.
///
/// # Errors
/// The database doesn't answer.
pub async fn found_by_certificate(
    conn: &mut Conn,
    certificate_id: &str,
) -> Result<Vec<Installation>, StoreError> {
    some(conn, found!("f.id = $1"), certificate_id).await
}

/// Places that expect another certificate, and where the agent found one with this key served or on disk.
///
/// # Errors
/// The database doesn't answer.
pub async fn found_by_spki(conn: &mut Conn, spki: &str) -> Result<Vec<Installation>, StoreError> {
    some(conn, found!("f.spki_sha256 = $1"), spki).await
}

/// Places that expect another certificate, since the installation of this one failed there.
///
/// # Errors
/// The database doesn't answer.
pub async fn failed_by_certificate(
    conn: &mut Conn,
    certificate_id: &str,
) -> Result<Vec<Installation>, StoreError> {
    some(
        conn,
        "i.failed_certificate_id = $1 AND i.certificate_id <> i.failed_certificate_id",
        certificate_id,
    )
    .await
}

/// Where certificates with this key are expected.
///
/// # Errors
/// The database doesn't answer.
pub async fn by_spki(conn: &mut Conn, spki: &str) -> Result<Vec<Installation>, StoreError> {
    some(conn, "c.spki_sha256 = $1", spki).await
}

async fn some(conn: &mut Conn, which: &'static str, value: &str) -> Result<Vec<Installation>, StoreError> {
    let rows: Vec<Wrapped> = sql(AssertSqlSafe(format!(
        "SELECT i.id, i.version, i.agent_id, a.hostname, a.owner, i.path, a.tls_address, i.certificate_id, \
         c.subject, c.not_after, i.expected_sha256, i.on_disk_sha256, i.served_sha256, i.chain_missing, \
         (SELECT COUNT(*) FROM certificates r WHERE r.fingerprint_sha256 = i.served_sha256 \
           AND r.status = 'revoked') AS n_revoked, \
         COALESCE(i.install_error, (SELECT i.failed_error FROM certificates f \
           WHERE f.id = i.failed_certificate_id AND f.id <> i.certificate_id AND f.status = 'active'), \
           i.report_error) AS error, \
         CAST(CASE WHEN i.install_error IS NULL THEN 0 ELSE 1 END AS bigint) AS failed, i.checked_at, \
         CAST(CASE WHEN EXISTS (SELECT 1 FROM jobs j WHERE j.installation_id = i.id AND j.status = 'queued' \
           AND j.kind = 'install') THEN 1 ELSE 0 END AS bigint) AS under_way, \
         CAST(CASE WHEN {LEFT_OUT} THEN 1 ELSE 0 END AS bigint) AS is_left_out \
         FROM installations i JOIN agents a ON a.id = i.agent_id \
         JOIN certificates c ON c.id = i.certificate_id WHERE {which} ORDER BY a.hostname, i.path"
    )))
    .bind(value)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading what is expected on an agent"))?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Findings of an agent at its paths. Paths that nothing is expected at are passed over; what is known of one that the agent says
/// nothing of stays as it was, with its age: not looked at isn't gone. Returns at how many of them something is expected.
///
/// # Errors
/// The database doesn't answer.
pub async fn reported(
    tx: &mut Tx,
    agent_id: &str,
    found: &[ReportedInstallation],
) -> Result<usize, StoreError> {
    let found: BTreeMap<&str, &ReportedInstallation> =
        found.iter().map(|it| (it.path.as_str(), it)).collect();
    if found.is_empty() {
        return Ok(0);
    }
    let text = format!(
        "UPDATE installations SET checked_at = $2 WHERE agent_id = $1 AND path IN ({}) \
         RETURNING id, path, on_disk_sha256, served_sha256, chain_missing, report_error",
        places(3, found.len())
    );
    let known: Vec<Found> = sql(AssertSqlSafe(text))
        .bind(agent_id)
        .bind(tx.now())
        .bind_all(found.keys().map(|path| Value::from(*path)))
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because("recording what an agent found"))?;
    let n_known = known.len();
    for row in known {
        let Some(now_there) = found.get(row.path.as_str()) else {
            continue;
        };
        let same = row.on_disk_sha256 == now_there.on_disk_sha256
            && row.served_sha256 == now_there.served_sha256
            && row.chain_missing == now_there.chain_missing
            && row.report_error == now_there.error;
        if !same {
            found_at(tx, &row.id, now_there).await?;
        }
    }
    Ok(n_known)
}

/// Paths that were looked at before and that the agent's last report said nothing of, as after its state was lost: it is
/// asked to look there. No more than one report holds.
///
/// # Errors
/// The database doesn't answer.
pub async fn left_out(conn: &mut Conn, agent_id: &str, at_most: i64) -> Result<Vec<String>, StoreError> {
    sql(AssertSqlSafe(format!(
        "SELECT i.path FROM installations i JOIN agents a ON a.id = i.agent_id \
         WHERE i.agent_id = $1 AND {LEFT_OUT} ORDER BY i.path LIMIT $2"
    )))
    .bind(agent_id)
    .bind(at_most)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading what an agent doesn't look at"))
}

/// The agent `a` has reported since the place `i` was looked at, and said nothing of it.
const LEFT_OUT: &str = "i.checked_at < a.last_checkin";

/// Records what is at a place. An installation that failed before is over once the expected certificate is found where
/// nothing could be read: somebody has put it right.
async fn found_at(tx: &mut Tx, id: &str, found: &ReportedInstallation) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "UPDATE installations SET on_disk_sha256 = $2, served_sha256 = $3, chain_missing = $4, \
         report_error = $5, checked_at = $6, updated_at = $6, \
         install_error = CASE WHEN on_disk_sha256 IS NULL AND $2 = expected_sha256 THEN NULL \
           ELSE install_error END, \
         failed_certificate_id = CASE WHEN on_disk_sha256 IS NULL AND $2 = expected_sha256 \
             AND failed_certificate_id = certificate_id THEN NULL ELSE failed_certificate_id END WHERE id = $1",
    )
    .bind(id)
    .bind(&found.on_disk_sha256)
    .bind(&found.served_sha256)
    .bind(&found.chain_missing)
    .bind(&found.error)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording what an agent found"))?;
    tx.changed(EntityKind::Installation, id);
    Ok(())
}

/// An installation came about; `found` is what is there now.
pub(super) async fn done(
    tx: &mut Tx,
    id: &str,
    found: Option<&ReportedInstallation>,
) -> Result<(), StoreError> {
    // One that failed here and is newer still belongs here.
    sql(AssertSqlSafe(format!(
        "UPDATE installations SET install_error = NULL, previous_certificate_id = NULL, \
         failed_certificate_id = {NEWER_THAT_FAILED}, \
         failed_error = CASE WHEN {NEWER_THAT_FAILED} IS NULL THEN NULL ELSE failed_error END WHERE id = $1"
    )))
    .bind(id)
    .bind(tx.now())
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording an installation"))?;
    tx.changed(EntityKind::Installation, id);
    match found {
        Some(found) => found_at(tx, id, found).await,
        None => Ok(()),
    }
}

/// The certificate whose installation failed at a place before, where it is still good and newer than the one that is
/// expected there. `$2` is the present.
const NEWER_THAT_FAILED: &str = "(SELECT f.id FROM certificates f, certificates c \
     WHERE f.id = installations.failed_certificate_id AND c.id = installations.certificate_id \
       AND f.not_before > c.not_before AND f.status = 'active' AND f.not_after > $2)";

/// An installation did not come about: its certificate is remembered as the one that belongs there. Where the previous set is back in place, it is what is expected
/// again; where there was none, what could not be installed still is, with its error, until somebody installs it
/// or takes it back.
pub(super) async fn failed(
    tx: &mut Tx,
    id: &str,
    error: &str,
    previous_is_back: bool,
    found: Option<&ReportedInstallation>,
) -> Result<(), StoreError> {
    let now = tx.now();
    let doing = "recording a failed installation";
    sql(AssertSqlSafe(format!(
        "UPDATE installations SET install_error = $3, updated_at = $2, \
         failed_certificate_id = COALESCE({NEWER_THAT_FAILED}, certificate_id), \
         failed_error = CASE WHEN {NEWER_THAT_FAILED} IS NULL THEN $3 ELSE failed_error END WHERE id = $1"
    )))
    .bind(id)
    .bind(now)
    .bind(told(error))
    .execute(tx.raw())
    .await
    .map_err(StoreError::because(doing))?;
    tx.changed(EntityKind::Installation, id);
    if previous_is_back {
        back_to_previous(tx, id).await?;
    }
    match found {
        Some(found) => found_at(tx, id, found).await,
        None => Ok(()),
    }
}

/// An installation was taken back before anybody began it, for `why`: what was expected before is expected again, and
/// where that was nothing, nothing is.
pub(super) async fn withdrawn(tx: &mut Tx, id: &str, why: &str) -> Result<(), StoreError> {
    failed(tx, id, why, false, None).await?;
    match back_to_previous(tx, id).await? {
        true => Ok(()),
        false => forget(tx, id).await,
    }
}

/// A row would have the next reissue go there too.
async fn forget(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    for text in [
        "UPDATE jobs SET installation_id = NULL WHERE installation_id = $1",
        "DELETE FROM installations WHERE id = $1",
    ] {
        sql(text)
            .bind(id)
            .execute(tx.raw())
            .await
            .map_err(StoreError::because("taking an installation back"))?;
    }
    Ok(())
}

/// What was expected before is expected again; false if nothing was.
async fn back_to_previous(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    let done = sql(
        "UPDATE installations SET certificate_id = previous_certificate_id, \
         expected_sha256 = (SELECT c.fingerprint_sha256 FROM certificates c \
                            WHERE c.id = installations.previous_certificate_id), \
         previous_certificate_id = NULL, version = version + 1 \
         WHERE id = $1 AND previous_certificate_id IS NOT NULL",
    )
    .bind(id)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording a failed installation"))?;
    Ok(done > 0)
}

struct Found {
    id: String,
    path: String,
    on_disk_sha256: Option<String>,
    served_sha256: Option<String>,
    chain_missing: Option<String>,
    report_error: Option<String>,
}

impl FromRow for Found {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            path: row.try_get("path")?,
            on_disk_sha256: row.try_get("on_disk_sha256")?,
            served_sha256: row.try_get("served_sha256")?,
            chain_missing: row.try_get("chain_missing")?,
            report_error: row.try_get("report_error")?,
        })
    }
}

struct Wrapped(Installation);

impl FromRow for Wrapped {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self(Installation {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            agent_id: row.try_get("agent_id")?,
            hostname: row.try_get("hostname")?,
            owner: row.try_get("owner")?,
            path: row.try_get("path")?,
            tls_address: row.try_get("tls_address")?,
            certificate_id: row.try_get("certificate_id")?,
            subject: row.try_get("subject")?,
            not_after: row.try_get("not_after")?,
            expected_sha256: row.try_get("expected_sha256")?,
            on_disk_sha256: row.try_get("on_disk_sha256")?,
            served_sha256: row.try_get("served_sha256")?,
            served_revoked: row.try_get::<i64>("n_revoked")? > 0,
            chain_missing: row.try_get("chain_missing")?,
            failed: row.try_get::<i64>("failed")? > 0,
            under_way: row.try_get::<i64>("under_way")? > 0,
            error: row.try_get("error")?,
            checked_at: row.try_get("checked_at")?,
            is_left_out: row.try_get::<i64>("is_left_out")? > 0,
        }))
    }
}
