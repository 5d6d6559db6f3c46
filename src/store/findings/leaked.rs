//! Certificates of compromised keys that still have to be revoked.

use chrono::{DateTime, Utc};

use crate::store::row::{FromRow, Row};
use crate::store::statement::sql;
use crate::store::{Conn, StoreError};

/// A certificate of a compromised key that is in use nowhere, neither revoked nor over.
#[derive(Clone, Debug)]
pub struct Unrevoked {
    /// Which.
    pub certificate_id: String,
    /// Its version.
    pub version: i64,
    /// Its subject.
    pub subject: String,
    /// Its key.
    pub spki_sha256: String,
    /// Since when that counts as compromised.
    pub compromised_at: Option<DateTime<Utc>>,
}

/// All of them, those of one key together. One that is still in use has a finding of its own, whose answer comes first:
/// revoked before it is replaced it would be refused by its clients.
///
/// # Errors
/// The database doesn't answer.
pub async fn unrevoked_of_leaked_keys(conn: &mut Conn) -> Result<Vec<Unrevoked>, StoreError> {
    let now = conn.now();
    sql(
        "SELECT c.id, c.version, c.subject, c.spki_sha256, k.compromised_at FROM certificate_states s \
           JOIN certificates c ON c.id = s.id JOIN keys k ON k.spki_sha256 = c.spki_sha256 \
         WHERE s.is_key_compromised AND s.not_after > $1 AND s.status IN ('active', 'held') AND s.host = '' \
         ORDER BY k.compromised_at, c.spki_sha256, c.subject, c.id",
    )
    .bind(now)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for certificates of leaked keys"))
}

impl FromRow for Unrevoked {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            certificate_id: row.try_get("id")?,
            version: row.try_get("version")?,
            subject: row.try_get("subject")?,
            spki_sha256: row.try_get("spki_sha256")?,
            compromised_at: row.try_get("compromised_at")?,
        })
    }
}
