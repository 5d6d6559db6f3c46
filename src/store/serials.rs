//! Which of a CA's certificates the inventory has: how a signature whose answer was lost is found.

use std::collections::BTreeSet;

use super::statement::{Value, places, sql};
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
        let text = format!(
            "SELECT serial FROM certificates WHERE serial IN ({})",
            places(1, some.len())
        );
        let known: Vec<String> = sql(sqlx::AssertSqlSafe(text))
            .bind_all(some.iter().map(Value::from))
            .fetch_all(conn.raw())
            .await
            .map_err(StoreError::because(
                "comparing the CA's serials with the inventory",
            ))?;
        let known: BTreeSet<String> = known.into_iter().collect();
        strange.extend(some.iter().filter(|serial| !known.contains(*serial)).cloned());
    }
    Ok(strange)
}
