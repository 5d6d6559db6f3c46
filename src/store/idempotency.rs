//! Answers that were given, by caller and key, so that a request that is sent again is answered again
//! and not carried out again. An answer is kept in the transaction of the change that it tells of.

use chrono::{DateTime, Utc};

use super::row::{FromRow, Row};
use super::statement::sql;
use super::{Conn, StoreError, Tx};

/// An answer that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// SHA-256 over what was asked.
    pub request_hash: String,
    /// The HTTP status.
    pub status: i64,
    /// The body.
    pub body: String,
}

/// The answer that `caller` got for `key`, if it did.
///
/// # Errors
/// The database doesn't answer.
pub async fn find(conn: &mut Conn, caller: &str, key: &str) -> Result<Option<Answer>, StoreError> {
    sql("SELECT request_hash, status, body FROM idempotency WHERE caller = $1 AND key = $2")
        .bind(caller)
        .bind(key)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("looking for an answer given before"))
}

/// Kept answer for a call that is about to be carried out: another one with this key is waited for, so that
/// its answer is found.
///
/// # Errors
/// The other one takes too long, or the database doesn't answer.
pub async fn find_alone(tx: &mut Tx, caller: &str, key: &str) -> Result<Option<Answer>, StoreError> {
    tx.alone(&format!("answer {caller} {key}")).await?;
    find(tx, caller, key).await
}

/// Keeps an answer.
///
/// # Errors
/// One is there already, or the database doesn't answer.
pub async fn keep(tx: &mut Tx, caller: &str, key: &str, answer: &Answer) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "INSERT INTO idempotency (caller, key, request_hash, status, body, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(caller)
    .bind(key)
    .bind(&answer.request_hash)
    .bind(answer.status)
    .bind(&answer.body)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("keeping an answer"))?;
    Ok(())
}

/// Forgets what was answered before `before`.
///
/// # Errors
/// The database doesn't answer.
pub async fn forget(tx: &mut Tx, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sql("DELETE FROM idempotency WHERE created_at < $1")
        .bind(before)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("forgetting old answers"))?;
    Ok(done)
}

impl FromRow for Answer {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            request_hash: row.try_get("request_hash")?,
            status: row.try_get("status")?,
            body: row.try_get("body")?,
        })
    }
}
