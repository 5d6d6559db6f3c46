//! Adapters: their rows, paused and resumed. What waits on one is in `issuance`.

use crate::domain::adapter::{Adapter, AdapterStatus, Pause, PauseKind, StrangeCa};
use crate::domain::id::{EntityKind, new_id};
use crate::domain::told::told;

use super::row::{FromRow, Row, optional_word, word};
use super::statement::{Json, sql};
use super::{Conn, StoreError, Tx};

/// Makes the adapter `name`, or gives it a new configuration.
///
/// # Errors
/// The database doesn't answer.
pub async fn upsert(
    tx: &mut Tx,
    name: &str,
    kind: &str,
    config: &serde_json::Value,
) -> Result<Adapter, StoreError> {
    let now = tx.now();
    let adapter: Wrapped = sql(
        "INSERT INTO adapters (id, name, kind, config, status, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'active', $5, $5) \
         ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, config = excluded.config, \
         version = adapters.version + 1, updated_at = excluded.updated_at RETURNING *",
    )
    .bind(new_id(EntityKind::Adapter))
    .bind(name)
    .bind(kind)
    .bind(Json(config))
    .bind(now)
    .fetch_one(tx.raw())
    .await
    .map_err(StoreError::because("configuring an adapter"))?;
    tx.changed(EntityKind::Adapter, &adapter.0.id);
    Ok(adapter.0)
}

/// All, by name; there are few.
///
/// # Errors
/// The database doesn't answer.
pub async fn all(conn: &mut Conn) -> Result<Vec<Adapter>, StoreError> {
    let rows: Vec<Wrapped> = sql("SELECT * FROM adapters ORDER BY name")
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because("reading the adapters"))?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// One.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, id: &str) -> Result<Option<Adapter>, StoreError> {
    let row: Option<Wrapped> = sql("SELECT * FROM adapters WHERE id = $1")
        .bind(id)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("reading an adapter"))?;
    Ok(row.map(|row| row.0))
}

/// One, kept from others until the transaction ends.
///
/// # Errors
/// There is none, or the database doesn't answer.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Adapter, StoreError> {
    let row: Option<Wrapped> = sql("SELECT a.* FROM adapters a WHERE a.id = $1")
        .bind(id)
        .locking("a")
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because("reading an adapter"))?;
    row.map(|row| row.0)
        .ok_or_else(|| StoreError::not_found(EntityKind::Adapter, id))
}

/// The one that new requests go through: the oldest.
///
/// # Errors
/// None is configured, or the database doesn't answer.
pub async fn default(conn: &mut Conn) -> Result<Adapter, StoreError> {
    let row: Option<Wrapped> = sql("SELECT * FROM adapters ORDER BY id LIMIT 1")
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("reading the adapters"))?;
    row.map(|row| row.0)
        .ok_or_else(|| StoreError::not_found(EntityKind::Adapter, "default"))
}

/// Pauses it, saying why. Returns whether that changed anything.
///
/// # Errors
/// The database doesn't answer.
pub async fn pause(tx: &mut Tx, id: &str, pause: &Pause) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE adapters SET status = 'paused', paused_kind = $4, paused_reason = $2, \
         paused_at = COALESCE(paused_at, $3), version = version + 1, updated_at = $3 \
         WHERE id = $1 AND (status <> 'paused' OR paused_reason <> $2 OR COALESCE(paused_kind, '') <> $4)",
    )
    .bind(id)
    .bind(told(&pause.reason))
    .bind(now)
    .bind(pause.kind.word())
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("pausing an adapter"))?;
    if done > 0 {
        tx.changed(EntityKind::Adapter, id);
    }
    Ok(done > 0)
}

/// Lets it work again. Returns whether that changed anything.
///
/// # Errors
/// The database doesn't answer.
pub async fn resume(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE adapters SET status = 'active', paused_kind = NULL, paused_reason = NULL, paused_at = NULL, \
         version = version + 1, updated_at = $2 WHERE id = $1 AND status = 'paused'",
    )
    .bind(id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("resuming an adapter"))?;
    if done > 0 {
        tx.changed(EntityKind::Adapter, id);
    }
    Ok(done > 0)
}

struct Wrapped(Adapter);

impl FromRow for Wrapped {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let Json(config) = row.try_get("config")?;
        let Json(cas) = row.try_get("cas")?;
        let strange_ca: Option<Json<StrangeCa>> = row.try_get("strange_ca")?;
        Ok(Self(Adapter {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            kind: row.try_get("kind")?,
            config,
            status: word(row, "status", AdapterStatus::from_word)?,
            paused_kind: optional_word(row, "paused_kind", PauseKind::from_word)?,
            paused_reason: row.try_get("paused_reason")?,
            paused_at: row.try_get("paused_at")?,
            cas,
            strange_ca: strange_ca.map(|Json(strange)| strange),
            crl_ends_at: row.try_get("crl_ends_at")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        }))
    }
}
