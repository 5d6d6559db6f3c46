//! The certificates of a CA that are verified by its CRL.

use crate::store::statement::sql;
use crate::store::{Conn, StoreError};

/// Kinds of those that a CA has and that haven't ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relying {
    /// Some that are good.
    pub good: bool,
    /// Some that are revoked, which its CRL is to keep out.
    pub revoked: bool,
}

/// Kinds that this CA has.
///
/// # Errors
/// The database doesn't answer.
pub async fn relying(conn: &mut Conn, adapter_id: &str) -> Result<Relying, StoreError> {
    let now = conn.now();
    let any = |status: &str| {
        format!(
            "(SELECT COUNT(*) FROM (SELECT 1 FROM certificates c WHERE c.adapter_id = $1 AND c.status = '{status}' \
             AND c.not_after > $2 LIMIT 1) one)"
        )
    };
    let (good, revoked): (i64, i64) = sql(sqlx::AssertSqlSafe(format!(
        "SELECT {}, {}",
        any("active"),
        any("revoked")
    )))
    .bind(adapter_id)
    .bind(now)
    .fetch_one(conn.raw())
    .await
    .map_err(StoreError::because("looking who relies on a CRL"))?;
    Ok(Relying {
        good: good > 0,
        revoked: revoked > 0,
    })
}
