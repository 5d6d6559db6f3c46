//! CAs that are known to publish a CRL, since one of theirs was read: one that says later that it has none is believed no
//! more than any other word that comes from its address.

use chrono::{DateTime, Utc};

use super::row::{FromRow, Row};
use super::statement::sql;
use super::{Conn, StoreError, Tx};

/// Facts that are known of a CA's CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownCrl {
    /// Since when the CA is known to publish one.
    pub since: DateTime<Utc>,
    /// End of the last one that was read and that the CA verifiably signed.
    pub ends_at: Option<DateTime<Utc>>,
}

/// The CRL of this adapter's CA, if one was ever read.
///
/// # Errors
/// The database doesn't answer.
pub async fn of(conn: &mut Conn, adapter_id: &str) -> Result<Option<KnownCrl>, StoreError> {
    sql("SELECT a.crl_seen_at, a.crl_ends_at FROM adapters a WHERE a.id = $1 AND a.crl_seen_at IS NOT NULL")
        .bind(adapter_id)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("looking whether a CA has a CRL"))
}

/// Records that it publishes one; the first time stays.
///
/// # Errors
/// The database doesn't answer.
pub async fn note(tx: &mut Tx, adapter_id: &str) -> Result<(), StoreError> {
    let now = tx.now();
    sql("UPDATE adapters SET crl_seen_at = $2 WHERE id = $1 AND crl_seen_at IS NULL")
        .bind(adapter_id)
        .bind(now)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("recording that a CA has a CRL"))?;
    Ok(())
}

/// Records when the one that it publishes now ends; none where it publishes none any more, or one without an end.
///
/// # Errors
/// The database doesn't answer.
pub async fn note_end(
    tx: &mut Tx,
    adapter_id: &str,
    ends_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sql("UPDATE adapters SET crl_ends_at = $2 WHERE id = $1")
        .bind(adapter_id)
        .bind(ends_at)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("recording when a CRL ends"))?;
    Ok(())
}

impl FromRow for KnownCrl {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            since: row.try_get("crl_seen_at")?,
            ends_at: row.try_get("crl_ends_at")?,
        })
    }
}
