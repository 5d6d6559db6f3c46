//! Revocations that a CA accepted, and that its CRL doesn't hold though it should by now: who stands before a CA can say
//! yes in its place and pass nothing on. The CA is asked once more, and again, more and more seldom.

use chrono::{DateTime, Duration, Utc};

use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::domain::moment;

use super::issuing::by_issuer;
use super::queue;
use super::row::{FromRow, Row};
use super::statement::{judged, sql};
use super::{Conn, StoreError, Tx, audit};

/// Between two times that a CA is asked once more, at first and at most.
const FIRST: Duration = Duration::minutes(5);
const LONGEST: Duration = Duration::hours(6);

/// Records by when the CRL holds it; a time that was told before stays.
///
/// # Errors
/// The database doesn't answer.
pub async fn expect(tx: &mut Tx, id: &str, by: DateTime<Utc>) -> Result<(), StoreError> {
    sql("UPDATE certificates SET in_crl_by = $2, revoke_again_at = $2 \
         WHERE id = $1 AND status = 'revoked' AND in_crl_by IS NULL")
    .bind(id)
    .bind(by)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording by when a CRL holds a revocation"))?;
    Ok(())
}

/// Those of one CA that it is to be asked for again now, and by when each was to be listed.
///
/// # Errors
/// The database doesn't answer.
pub async fn due(
    conn: &mut Conn,
    adapter_id: &str,
    limit: u32,
) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
    let now = conn.now();
    sql("SELECT c.id, c.in_crl_by FROM certificates c \
         WHERE c.adapter_id = $1 AND c.status = 'revoked' AND c.in_crl_at IS NULL AND c.without_crl_at IS NULL \
           AND c.in_crl_by <= $2 AND c.revoke_again_at <= $2 AND c.not_after > $2 \
         ORDER BY c.in_crl_by, c.id LIMIT $3")
    .bind(adapter_id)
    .bind(now)
    .bind(limit)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for revocations that no CRL holds"))
}

/// Some of those of one CA that a CRL was seen to hold and that haven't ended, behind the one with this id, without PEM.
///
/// # Errors
/// The database doesn't answer.
pub async fn listed(
    conn: &mut Conn,
    adapter_id: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<Listed>, StoreError> {
    let now = conn.now();
    sql("SELECT c.id, c.issuer, c.serial FROM certificates c \
         WHERE c.adapter_id = $1 AND c.status = 'revoked' AND c.in_crl_at IS NOT NULL AND c.not_after > $2 AND c.id > $3 \
         ORDER BY c.id LIMIT $4")
    .bind(adapter_id)
    .bind(now)
    .bind(after)
    .bind(limit)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for revocations that a CRL holds"))
}

/// A certificate that a CRL was seen to hold.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Which.
    pub id: String,
    /// Its CA's distinguished name.
    pub issuer: String,
    /// Its serial.
    pub serial: String,
}

impl FromRow for Listed {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            issuer: row.try_get("issuer")?,
            serial: row.try_get("serial")?,
        })
    }
}

/// Records that `list` doesn't hold a revocation that one held before: it is expected there at once, so that it is a
/// finding, and the CA is asked once more. Returns whether it was on record as listed.
///
/// # Errors
/// The database doesn't answer.
pub async fn fell_out(tx: &mut Tx, id: &str, list: &str) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sql(concat!(
        "UPDATE certificates SET was_in_crl_at = in_crl_at, left_crl = $3, in_crl_at = NULL, in_crl_by = $2, \
           revoke_again_at = $2, \
           version = version + 1, updated_at = $2 \
         WHERE id = $1 AND ",
        judged!("status = 'revoked' AND in_crl_at IS NOT NULL")
    ))
    .bind(id)
    .bind(now)
    .bind(list)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because(
        "recording that a CRL holds a revocation no longer",
    ))?;
    if done == 0 {
        return Ok(false);
    }
    tx.changed(EntityKind::Certificate, id);
    let detail = format!(
        "{list} doesn't hold it, and one before did: its CA was put back, or somebody stands before it"
    );
    let entry = by_issuer(
        "revoke",
        EntityKind::Certificate,
        id,
        AuditOutcome::Unknown,
        Some(detail),
    );
    audit::note(tx, entry);
    Ok(true)
}

/// Has the CA asked once more to revoke what was to be listed `by` then; a revocation is done once however often it is
/// asked for. Returns whether it is: another issuer may have been faster.
///
/// # Errors
/// The database doesn't answer.
pub async fn ask_again(tx: &mut Tx, id: &str, by: DateTime<Utc>) -> Result<bool, StoreError> {
    let now = tx.now();
    let next = now + (now - by).clamp(FIRST, LONGEST);
    let done = sql(concat!(
        "UPDATE certificates SET revoke_again_at = $2 WHERE id = $1 AND ",
        judged!(
            "status = 'revoked' AND in_crl_at IS NULL AND without_crl_at IS NULL AND revoke_again_at <= $3"
        ),
        " AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = $1 AND j.kind = 'revoke' \
           AND j.status = 'queued')"
    ))
    .bind(id)
    .bind(next)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("asking a CA to revoke once more"))?;
    if done == 0 {
        return Ok(false);
    }
    queue::revoke(tx, id).await?;
    let detail = format!(
        "the CA accepted it, and its CRL was to hold it by {}, and doesn't: the CA is asked once more",
        moment::whole(by)
    );
    let entry = by_issuer(
        "revoke",
        EntityKind::Certificate,
        id,
        AuditOutcome::Asked,
        Some(detail),
    );
    audit::note(tx, entry);
    Ok(true)
}
