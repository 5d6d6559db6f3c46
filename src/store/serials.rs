//! Which of a CA's certificates the inventory has: how a signature whose answer was lost is found.

use std::collections::BTreeSet;

use super::{Conn, StoreError};

/// Serials asked for with one statement.
const AT_ONCE: usize = 200;

/// Those of `serials`, in the platform's notation, that no certificate of the inventory has.
///
/// # Errors
/// The database doesn't answer.
pub async fn unknown(conn: &mut Conn, serials: &[String]) -> Result<Vec<String>, StoreError> {
    let mut strange = Vec::new();
    for some in serials.chunks(AT_ONCE) {
        let places: Vec<String> = (1..=some.len()).map(|i| format!("${i}")).collect();
        let sql = format!(
            "SELECT serial FROM certificates WHERE serial IN ({})",
            places.join(", ")
        );
        let mut query = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql));
        for serial in some {
            query = query.bind(serial);
        }
        let known = query.fetch_all(conn.raw()).await.map_err(StoreError::because(
            "comparing the CA's serials with the inventory",
        ))?;
        let known: BTreeSet<String> = known.into_iter().collect();
        strange.extend(some.iter().filter(|serial| !known.contains(*serial)).cloned());
    }
    Ok(strange)
}
