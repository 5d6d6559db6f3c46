//! What CAs say of when to renew a certificate: which one to ask about next, and the answer. Whether an
//! answer makes sense is decided in `domain::renewal`.

use chrono::{DateTime, Duration, Utc};

use crate::domain::id::EntityKind;
use crate::domain::renewal::{Suggestion, moved_from};

use super::certificate_list::STILL_MATTERS;
use super::row::{FromRow, Row};
use super::statement::sql;
use super::{StoreError, Tx, certificates};

/// A certificate to ask about.
#[derive(Clone, Debug)]
pub struct Due {
    /// The certificate.
    pub id: String,
    /// In PEM.
    pub pem: String,
    /// First moment of validity.
    pub not_before: DateTime<Utc>,
    /// Last moment of validity.
    pub not_after: DateTime<Utc>,
}

/// Takes the next certificate of this adapter that its CA is to be asked about, the one that waits longest
/// first: nobody else gets it for as long as `lease`. Those that are over, revoked, or replaced and gone are
/// asked about no more.
///
/// # Errors
/// The database doesn't answer.
pub async fn claim(tx: &mut Tx, adapter_id: &str, lease: Duration) -> Result<Option<Due>, StoreError> {
    let doing = "looking for a certificate to ask its CA about";
    let now = tx.now();
    // Those that were never asked about, then those whose time has come: each is the beginning of an index.
    let mut due: Option<Due> = None;
    for when in ["c.renewal_ask_at IS NULL", "c.renewal_ask_at <= $2"] {
        due = sql(sqlx::AssertSqlSafe(format!(
            "SELECT c.id, c.pem, c.not_before, c.not_after FROM certificates c \
             JOIN certificate_states s ON s.id = c.id WHERE c.adapter_id = $1 AND c.status = 'active' AND c.not_after > $2 AND {when} \
             AND {STILL_MATTERS} ORDER BY c.renewal_ask_at, c.id LIMIT 1"
        )))
        .bind(adapter_id)
        .bind(now)
        .skipping_locked("c")
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because(doing))?;
        if due.is_some() {
            break;
        }
    }
    if let Some(due) = &due {
        ask_again(tx, &due.id, now + lease).await?;
    }
    Ok(due)
}

/// The CA is asked about this certificate again at `at`, not before.
///
/// # Errors
/// The database doesn't answer.
pub async fn ask_again(tx: &mut Tx, id: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    sql("UPDATE certificates SET renewal_ask_at = $2 WHERE id = $1")
        .bind(id)
        .bind(at)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("putting off to ask a CA again"))?;
    Ok(())
}

/// Keeps what the CA suggests, and when to ask again. Tells whether the CA has moved the window earlier
/// with that. The same as before is no change of the certificate.
///
/// # Errors
/// There is no such certificate, or the database doesn't answer.
pub async fn record(
    tx: &mut Tx,
    id: &str,
    suggestion: &Suggestion,
    ask_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let certificate = certificates::lock(tx, id).await?;
    let before = certificate.renewal;
    let was_moved_from = before.as_ref().and_then(|it| it.moved_from);
    let moved_from = moved_from(
        before.as_ref().map(|it| it.start),
        was_moved_from,
        suggestion.start,
    );
    let is_same = before.as_ref().is_some_and(|it| {
        it.start == suggestion.start
            && it.end == suggestion.end
            && it.explanation_url.as_deref() == suggestion.url()
    });
    let (version, updated_at) = match is_same {
        true => (certificate.version, certificate.updated_at),
        false => (certificate.version + 1, now),
    };
    sql(
        "UPDATE certificates SET renewal_window_start = $2, renewal_window_end = $3, renewal_moved_from = $4, \
         renewal_explanation_url = $5, renewal_asked_at = $6, renewal_ask_at = $7, version = $8, \
         updated_at = $9 WHERE id = $1",
    )
    .bind(id)
    .bind(suggestion.start)
    .bind(suggestion.end)
    .bind(moved_from)
    .bind(suggestion.url())
    .bind(now)
    .bind(ask_at)
    .bind(version)
    .bind(updated_at)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because(
        "recording when a CA suggests to renew a certificate",
    ))?;
    if is_same {
        tx.heard_of(EntityKind::Certificate, id);
    } else {
        tx.changed(EntityKind::Certificate, id);
    }
    Ok(moved_from.is_some() && was_moved_from.is_none())
}

impl FromRow for Due {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            pem: row.try_get("pem")?,
            not_before: row.try_get("not_before")?,
            not_after: row.try_get("not_after")?,
        })
    }
}
