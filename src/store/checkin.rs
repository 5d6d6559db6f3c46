//! A check-in as the store keeps it: that the agent was heard of, what it found at its paths, which keys it holds.
//! Which jobs it is given is in `jobs`.

use super::agents::{banned, lock};
use super::statement::{Json, sql};
use super::{StoreError, Tx, holders, installations};
use crate::domain::agent::{Agent, AgentHealth, AgentStatus};
use crate::domain::id::EntityKind;
use crate::domain::layout::Layout;
use crate::wire::agents::Report;

/// [`check_in_from`] for a report that came over no network.
///
/// # Errors
/// See there.
pub async fn check_in(tx: &mut Tx, id: &str, report: &Report) -> Result<Agent, StoreError> {
    Ok(check_in_from(tx, id, report, &[], None).await?.agent)
}

/// A report that was recorded, and what the agent is asked for.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The agent as it is now.
    pub agent: Agent,
    /// Keys of the inventory that it says it holds and hasn't proven.
    pub prove: Vec<String>,
    /// Paths that it said nothing of, and did before.
    pub look: Vec<String>,
}

/// More paths than any host has.
const MOST_PATHS: i64 = 2000;

/// Records a report: the check-in, the installations and the keys, of which it has proven `proven`. Four statements
/// when nothing changed since the last one and nothing is to be asked for.
///
/// # Errors
/// The agent is unknown or banned, or the database doesn't answer.
pub async fn check_in_from(
    tx: &mut Tx,
    id: &str,
    report: &Report,
    proven: &[String],
    from: Option<&str>,
) -> Result<Recorded, StoreError> {
    let now = tx.now();
    let before = lock(tx, id).await?;
    if before.status == AgentStatus::Banned {
        return Err(banned(&before).into());
    }
    let agent = Agent {
        address: report.address.clone(),
        tls_address: report.tls_address.clone(),
        install_dirs: report.install_dirs.clone(),
        agent_version: report.agent_version.clone(),
        owner: report.owner.clone(),
        ..before.clone()
    };
    let layout = report
        .layout
        .as_deref()
        .and_then(Layout::from_word)
        .map(Layout::word);
    let known = matches!(before.health(now), AgentHealth::Healthy | AgentHealth::Late);
    let agent = if agent == before {
        sql(
            "UPDATE agents SET last_checkin = $2, reported_from = COALESCE($3, reported_from), layout = $4 \
             WHERE id = $1",
        )
        .bind(id)
        .bind(now)
        .bind(from)
        .bind(layout)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("recording a check-in"))?;
        agent
    } else {
        sql(
            "UPDATE agents SET last_checkin = $2, address = $3, tls_address = $4, install_dirs = $5, \
             agent_version = $6, owner = $7, reported_from = COALESCE($8, reported_from), layout = $9, \
             version = version + 1, updated_at = $2 WHERE id = $1",
        )
        .bind(id)
        .bind(now)
        .bind(&agent.address)
        .bind(&agent.tls_address)
        .bind(Json(&agent.install_dirs))
        .bind(&agent.agent_version)
        .bind(&agent.owner)
        .bind(from)
        .bind(layout)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("recording a check-in"))?;
        Agent {
            version: before.version + 1,
            updated_at: now,
            ..agent
        }
    };
    if known && agent.version == before.version {
        tx.heard_of(EntityKind::Agent, id);
    } else {
        tx.changed(EntityKind::Agent, id);
    }
    let n_reported = installations::reported(tx, id, &report.installations).await?;
    let any_unproven = holders::set(tx, id, &report.keys).await?;
    holders::prove(tx, id, proven).await?;
    let prove = match any_unproven {
        true => holders::to_prove(tx, id).await?,
        false => Vec::new(),
    };
    let look = match i64::try_from(n_reported).is_ok_and(|n| n < before.n_installations) {
        true => installations::left_out(tx, id, MOST_PATHS).await?,
        false => Vec::new(),
    };
    Ok(Recorded {
        agent: Agent {
            last_checkin: Some(now),
            reported_from: from.map(str::to_owned).or(agent.reported_from),
            ..agent
        },
        prove,
        look,
    })
}
