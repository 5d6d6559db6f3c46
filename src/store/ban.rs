//! Banning an agent: it may not check in any more, what it had to do is withdrawn, and nothing is issued for it. Its
//! tokens are taken back by the caller. A ban that is taken back lets it enrol again; nothing else comes back by
//! itself.

use super::agents::existing;
use super::jobs::{self, Of};
use super::statement::sql;
use super::{Conn, StoreError, Tx, requests};
use crate::domain::agent::AgentStatus;
use crate::domain::id::EntityKind;
use crate::domain::request::Request;

/// Requests that a ban found open.
#[derive(Debug, Default)]
pub struct Stopped {
    /// The agent's host.
    pub hostname: String,
    /// Those that are cancelled.
    pub cancelled: Vec<Request>,
    /// Those that the CA was asked about: the issuer looks whether it has signed, revokes that, and has nothing signed.
    pub looked_for: Vec<Request>,
}

/// A person, whose name is `by`, bans it. Returns what that stopped, or nothing of an agent that was banned before.
///
/// # Errors
/// There is no such agent, or the database doesn't answer.
pub async fn ban(tx: &mut Tx, id: &str, by: &str) -> Result<Option<Stopped>, StoreError> {
    requests::lock_of_agent(tx, id).await?;
    let now = tx.now();
    let banned: Option<String> = sql(
        "UPDATE agents SET status = 'banned', version = version + 1, updated_at = $2 \
         WHERE id = $1 AND status <> 'banned' RETURNING hostname",
    )
    .bind(id)
    .bind(now)
    .fetch_optional(tx.raw())
    .await
    .map_err(StoreError::because("banning an agent"))?;
    let Some(hostname) = banned else {
        existing(tx, id).await?;
        return Ok(None);
    };
    tx.changed(EntityKind::Agent, id);
    let why = format!("ban of {hostname}");
    // Read anew: one may have come since the lock.
    let (never_at_ca, mut looked_for) = requests::under_way_for(tx, id).await?;
    let mut cancelled = Vec::new();
    for request in never_at_ca {
        cancelled.push(requests::cancel(tx, &request.id, by, Some(&why)).await?);
    }
    let failed = jobs::withdraw(tx, Of::Agent(id), "the agent was banned").await?;
    looked_for.retain(|request| !failed.contains(&request.id));
    Ok(Some(Stopped {
        hostname,
        cancelled,
        looked_for,
    }))
}

/// True if nothing is issued for this agent. A caller that asks before something is signed or installed for it holds a
/// lock on the request, which a ban waits for.
///
/// # Errors
/// The database doesn't answer.
pub async fn is_banned(conn: &mut Conn, agent_id: Option<&str>) -> Result<bool, StoreError> {
    let Some(id) = agent_id else { return Ok(false) };
    let status: Option<String> = sql("SELECT status FROM agents WHERE id = $1")
        .bind(id)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("reading whether an agent is banned"))?;
    Ok(status.as_deref() == Some(AgentStatus::Banned.word()))
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
