//! CAs that are known to publish a CRL, since one of theirs was read: one that says later that it has none is believed no
//! more than any other word that comes from its address.

use chrono::{DateTime, Utc};

use super::statement::sql;
use super::{Conn, StoreError, Tx};

/// Since when this adapter's CA is known to publish one.
///
/// # Errors
/// The database doesn't answer.
pub async fn since(conn: &mut Conn, adapter_id: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    sql("SELECT a.crl_seen_at FROM adapters a WHERE a.id = $1 AND a.crl_seen_at IS NOT NULL")
        .bind(adapter_id)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("looking whether a CA has a CRL"))
}

/// Records that it does; the first time stays.
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
