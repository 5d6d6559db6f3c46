//! Agents that hold private keys. A key can be on several hosts. An agent's word for it is kept where the inventory
//! knows the key, and gives it nothing: a holder has signed something of its own with the key.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use crate::domain::id::EntityKind;

use super::statement::{Statement, Value, places, sql};
use super::{Conn, StoreError, Tx};

const DOING: &str = "recording which keys an agent holds";
/// The most proofs that an agent is asked for at once.
pub const PROOFS_AT_ONCE: usize = 8;
/// The most keys that come or go with one report; the others do with the next ones.
const CHANGES_AT_ONCE: usize = 256;

/// Whether the agent holds the key, proven.
///
/// # Errors
/// The database doesn't answer.
pub async fn holds(conn: &mut Conn, agent_id: &str, spki: &str) -> Result<bool, StoreError> {
    let found: Option<String> = sql(
        "SELECT agent_id FROM key_holders WHERE agent_id = $1 AND spki_sha256 = $2 AND proven_at IS NOT NULL",
    )
    .bind(agent_id)
    .bind(spki)
    .fetch_optional(conn.raw())
    .await
    .map_err(StoreError::because("reading which keys an agent holds"))?;
    Ok(found.is_some())
}

/// The agents that hold the key, proven.
///
/// # Errors
/// The database doesn't answer.
pub async fn of_key(conn: &mut Conn, spki: &str) -> Result<Vec<String>, StoreError> {
    sql("SELECT agent_id FROM key_holders WHERE spki_sha256 = $1 AND proven_at IS NOT NULL ORDER BY agent_id")
        .bind(spki)
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because("reading who holds a key"))
}

/// The agent has proven that it holds the key.
///
/// # Errors
/// The database doesn't answer.
pub async fn add(tx: &mut Tx, agent_id: &str, spki: &str) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "INSERT INTO key_holders (agent_id, spki_sha256, since, proven_at) VALUES ($1, $2, $3, $3) \
         ON CONFLICT (agent_id, spki_sha256) DO UPDATE SET \
         proven_at = COALESCE(key_holders.proven_at, excluded.proven_at)",
    )
    .bind(agent_id)
    .bind(spki)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because(DOING))?;
    tx.changed(EntityKind::Key, spki);
    Ok(())
}

/// The agent has signed its own id with these keys. What it didn't say that it holds, or the inventory doesn't know,
/// is passed over.
///
/// # Errors
/// The database doesn't answer.
pub async fn prove(tx: &mut Tx, agent_id: &str, keys: &[String]) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let now = tx.now();
    let proven: Vec<String> = of_keys(
        "UPDATE key_holders SET proven_at = $2 WHERE agent_id = $1 AND proven_at IS NULL AND spki_sha256 IN ({keys}) \
         RETURNING spki_sha256",
        [agent_id.into(), now.into()],
        keys,
    )
    .fetch_all(tx.raw())
    .await
    .map_err(StoreError::because(DOING))?;
    for spki in proven {
        tx.changed(EntityKind::Key, &spki);
    }
    Ok(())
}

/// The agent says that it holds exactly these keys. One statement when nothing changed since the last report, three
/// however many did. Of what the inventory doesn't know nothing is kept: it is said again with the next report.
/// Returns whether there may be one that it hasn't proven.
///
/// # Errors
/// The database doesn't answer.
pub async fn set(tx: &mut Tx, agent_id: &str, keys: &[String]) -> Result<bool, StoreError> {
    let known: Vec<(String, Option<DateTime<Utc>>)> =
        sql("SELECT spki_sha256, proven_at FROM key_holders WHERE agent_id = $1 ORDER BY spki_sha256")
            .bind(agent_id)
            .fetch_all(tx.raw())
            .await
            .map_err(StoreError::because(DOING))?;
    let is_unproven = known.iter().any(|(_, proven_at)| proven_at.is_none());
    let known: BTreeSet<&str> = known.iter().map(|(spki, _)| spki.as_str()).collect();
    let held: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    let now = tx.now();
    let new: Vec<&str> = held.difference(&known).copied().collect();
    if !new.is_empty() {
        of_keys(
            &format!(
                "INSERT INTO key_holders (agent_id, spki_sha256, since) SELECT $1, k.spki_sha256, $2 FROM keys k \
                 WHERE k.spki_sha256 IN ({{keys}}) ORDER BY k.spki_sha256 LIMIT {CHANGES_AT_ONCE} \
                 ON CONFLICT (agent_id, spki_sha256) DO NOTHING"
            ),
            [agent_id.into(), now.into()],
            &new,
        )
        .execute(tx.raw())
        .await
        .map_err(StoreError::because(DOING))?;
    }
    let gone: Vec<&str> = known.difference(&held).copied().take(CHANGES_AT_ONCE).collect();
    if !gone.is_empty() {
        of_keys(
            "DELETE FROM key_holders WHERE agent_id = $1 AND spki_sha256 IN ({keys})",
            [agent_id.into()],
            &gone,
        )
        .execute(tx.raw())
        .await
        .map_err(StoreError::because(DOING))?;
        for spki in gone {
            tx.changed(EntityKind::Key, spki);
        }
    }
    Ok(is_unproven || !new.is_empty())
}

/// The statement `text` with `first` bound to its first places, and `keys` to those that `{keys}` stands for.
fn of_keys<const N: usize>(text: &str, first: [Value; N], keys: &[impl AsRef<str>]) -> Statement {
    let text = text.replace("{keys}", &places(N + 1, keys.len()));
    sql(AssertSqlSafe(text))
        .bind_all(first)
        .bind_all(keys.iter().map(|key| Value::from(key.as_ref())))
}

/// Keys of the inventory that the agent says it holds and hasn't proven, [`PROOFS_AT_ONCE`] at most.
///
/// # Errors
/// The database doesn't answer.
pub async fn to_prove(conn: &mut Conn, agent_id: &str) -> Result<Vec<String>, StoreError> {
    sql(
        "SELECT h.spki_sha256 FROM key_holders h JOIN keys k ON k.spki_sha256 = h.spki_sha256 \
         WHERE h.agent_id = $1 AND h.proven_at IS NULL ORDER BY h.spki_sha256 LIMIT $2",
    )
    .bind(agent_id)
    .bind(i64::try_from(PROOFS_AT_ONCE).unwrap_or(i64::MAX))
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading which keys an agent has to prove"))
}
