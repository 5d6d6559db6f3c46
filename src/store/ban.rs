//! Banning an agent: it may not check in any more, and what it had to do is withdrawn. Its tokens are taken back
//! by the caller. A ban that is taken back lets it enrol again; nothing else comes back by itself.

use super::agents::existing;
use super::jobs::{self, Of};
use super::statement::sql;
use super::{StoreError, Tx, requests};
use crate::domain::id::EntityKind;

/// Bans it. Returns whether it wasn't banned before.
///
/// # Errors
/// There is no such agent, or the database doesn't answer.
pub async fn ban(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    requests::lock_of_agent(tx, id).await?;
    let now = tx.now();
    let done = sql(
        "UPDATE agents SET status = 'banned', version = version + 1, updated_at = $2 \
         WHERE id = $1 AND status <> 'banned'",
    )
    .bind(id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("banning an agent"))?;
    if done == 0 {
        existing(tx, id).await?;
        return Ok(false);
    }
    tx.changed(EntityKind::Agent, id);
    jobs::withdraw(tx, Of::Agent(id), "the agent was banned").await?;
    Ok(true)
}

/// Takes its ban back. Returns whether it was banned.
///
/// # Errors
/// There is no such agent, or the database doesn't answer.
pub async fn unban(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE agents SET status = 'active', version = version + 1, updated_at = $2 \
         WHERE id = $1 AND status = 'banned'",
    )
    .bind(id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("taking an agent's ban back"))?;
    if done == 0 {
        existing(tx, id).await?;
        return Ok(false);
    }
    tx.changed(EntityKind::Agent, id);
    Ok(true)
}
