//! Which certificate an agent has to prove itself with: the one that counts, and the one it was given to
//! follow it. What a certificate is and who signs it, the store doesn't know.
//!
//! There are two, because neither side can know whether the other has a new one for good: the agent may be
//! cut off before it is on its disk, the platform before its answer is sent. So the former counts until the
//! next one was shown, and never after.

use super::statement::sql;
use super::{StoreError, Tx};
use crate::domain::agent::AgentIdentity;
use crate::domain::id::EntityKind;

/// From now on this counts and nothing else: the agent enrolled with it, or without any.
///
/// # Errors
/// The database doesn't answer.
pub async fn begin(tx: &mut Tx, agent_id: &str, identity: Option<&AgentIdentity>) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "UPDATE agents SET identity_serial = $2, identity_not_after = $3, next_identity_serial = NULL, \
         next_identity_not_after = NULL, updated_at = $4, version = version + 1 WHERE id = $1",
    )
    .bind(agent_id)
    .bind(identity.map(|it| it.serial.clone()))
    .bind(identity.map(|it| it.not_after))
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("giving an agent its identity"))?;
    tx.changed(EntityKind::Agent, agent_id);
    Ok(())
}

/// This may follow the one that counts.
///
/// # Errors
/// The database doesn't answer.
pub async fn offer(tx: &mut Tx, agent_id: &str, next: &AgentIdentity) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "UPDATE agents SET next_identity_serial = $2, next_identity_not_after = $3, updated_at = $4, \
         version = version + 1 WHERE id = $1",
    )
    .bind(agent_id)
    .bind(&next.serial)
    .bind(next.not_after)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("offering an agent its next identity"))?;
    tx.changed(EntityKind::Agent, agent_id);
    Ok(())
}

/// The agent has shown the next one: from now on that counts. Returns whether it counts now: of several
/// requests that show it first, one puts it in force, and the others find it so.
///
/// # Errors
/// The database doesn't answer.
pub async fn promote(tx: &mut Tx, agent_id: &str, serial: &str) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE agents SET identity_serial = next_identity_serial, identity_not_after = next_identity_not_after, \
         next_identity_serial = NULL, next_identity_not_after = NULL, updated_at = $3, version = version + 1 \
         WHERE id = $1 AND next_identity_serial = $2",
    )
    .bind(agent_id)
    .bind(serial)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("putting an agent's next identity in force"))?;
    if done == 1 {
        tx.changed(EntityKind::Agent, agent_id);
        return Ok(true);
    }
    let counts: Option<String> = sql("SELECT id FROM agents WHERE id = $1 AND identity_serial = $2")
        .bind(agent_id)
        .bind(serial)
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because("reading an agent's identity"))?;
    Ok(counts.is_some())
}
