//! Which agent holds which private key, as the agents report it. A key can be on several hosts.

use std::collections::BTreeSet;

use crate::domain::id::EntityKind;

use super::statement::sql;
use super::{Conn, StoreError, Tx};

const DOING: &str = "recording which keys an agent holds";

/// Whether the agent holds the key.
///
/// # Errors
/// The database doesn't answer.
pub async fn holds(conn: &mut Conn, agent_id: &str, spki: &str) -> Result<bool, StoreError> {
    let found: Option<String> =
        sql("SELECT agent_id FROM key_holders WHERE agent_id = $1 AND spki_sha256 = $2")
            .bind(agent_id)
            .bind(spki)
            .fetch_optional(conn.raw())
            .await
            .map_err(StoreError::because("reading which keys an agent holds"))?;
    Ok(found.is_some())
}

/// The agents that hold the key.
///
/// # Errors
/// The database doesn't answer.
pub async fn of_key(conn: &mut Conn, spki: &str) -> Result<Vec<String>, StoreError> {
    sql("SELECT agent_id FROM key_holders WHERE spki_sha256 = $1 ORDER BY agent_id")
        .bind(spki)
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because("reading who holds a key"))
}

/// The agent holds the key.
///
/// # Errors
/// The database doesn't answer.
pub async fn add(tx: &mut Tx, agent_id: &str, spki: &str) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "INSERT INTO key_holders (agent_id, spki_sha256, since) VALUES ($1, $2, $3) \
         ON CONFLICT (agent_id, spki_sha256) DO NOTHING",
    )
    .bind(agent_id)
    .bind(spki)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because(DOING))?;
    Ok(())
}

/// The agent holds exactly these keys. One statement when nothing changed since the last report.
///
/// # Errors
/// The database doesn't answer.
pub async fn set(tx: &mut Tx, agent_id: &str, keys: &[String]) -> Result<(), StoreError> {
    let known: Vec<String> = sql("SELECT spki_sha256 FROM key_holders WHERE agent_id = $1")
        .bind(agent_id)
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because(DOING))?;
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    let held: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    for spki in held.difference(&known) {
        add(tx, agent_id, spki).await?;
        tx.changed(EntityKind::Key, spki);
    }
    for spki in known.difference(&held) {
        sql("DELETE FROM key_holders WHERE agent_id = $1 AND spki_sha256 = $2")
            .bind(agent_id)
            .bind(*spki)
            .execute(tx.raw())
            .await
            .map_err(StoreError::because(DOING))?;
        tx.changed(EntityKind::Key, spki);
    }
    Ok(())
}
