//! Revocations that a CA confirmed, and that its CRL doesn't hold though it should by now.

use chrono::{DateTime, Utc};

use super::count;
use crate::domain::finding::NAMED;
use crate::store::row::{FromRow, Row};
use crate::store::statement::sql;
use crate::store::{Conn, StoreError};

/// One of them.
#[derive(Clone, Debug)]
pub struct Unlisted {
    /// The certificate.
    pub certificate_id: String,
    /// Its version.
    pub version: i64,
    /// Its subject.
    pub subject: String,
    /// Its serial.
    pub serial: String,
    /// Time at which the CA confirmed it.
    pub accepted_at: Option<DateTime<Utc>>,
    /// By when the CRL was to hold it.
    pub in_crl_by: DateTime<Utc>,
    /// Time at which it was seen in a CRL before, and the later one that doesn't hold it.
    pub fell_out: Option<(DateTime<Utc>, String)>,
    /// Time at which the CA is asked once more.
    pub again_at: Option<DateTime<Utc>>,
}

/// Text behind the columns. The index has what no CRL holds yet.
const UNLISTED: &str = "FROM certificates c WHERE c.adapter_id = $1 AND c.status = 'revoked' \
     AND c.in_crl_at IS NULL AND c.without_crl_at IS NULL AND c.in_crl_by <= $2 AND c.not_after > $2";

/// The first of them at one CA, the longest due first, and how many there are.
///
/// # Errors
/// The database doesn't answer.
pub async fn unlisted(conn: &mut Conn, adapter_id: &str) -> Result<(Vec<Unlisted>, i64), StoreError> {
    let (now, doing) = (conn.now(), "looking for revocations that no CRL holds");
    let most = i64::try_from(NAMED).unwrap_or(i64::MAX);
    let rows: Vec<Unlisted> = sql(sqlx::AssertSqlSafe(format!(
        "SELECT c.id, c.version, c.subject, c.serial, c.revocation_accepted_at, c.in_crl_by, c.revoke_again_at, \
         c.was_in_crl_at, c.left_crl \
         {UNLISTED} ORDER BY c.in_crl_by, c.id LIMIT $3"
    )))
    .bind(adapter_id)
    .bind(now)
    .bind(most)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because(doing))?;
    if count(&rows) < most {
        let n = count(&rows);
        return Ok((rows, n));
    }
    let n = sql(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) {UNLISTED}")))
        .bind(adapter_id)
        .bind(now)
        .fetch_one(conn.raw())
        .await
        .map_err(StoreError::because(doing))?;
    Ok((rows, n))
}

impl FromRow for Unlisted {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let was_in: Option<DateTime<Utc>> = row.try_get("was_in_crl_at")?;
        Ok(Self {
            fell_out: was_in.zip(row.try_get("left_crl")?),
            certificate_id: row.try_get("id")?,
            version: row.try_get("version")?,
            subject: row.try_get("subject")?,
            serial: row.try_get("serial")?,
            accepted_at: row.try_get("revocation_accepted_at")?,
            in_crl_by: row.try_get("in_crl_by")?,
            again_at: row.try_get("revoke_again_at")?,
        })
    }
}
