//! Wakes agents as soon as a job for them is durable, whoever queued it, so that nobody who queues one
//! waits for a host that may be gone.

use std::collections::BTreeSet;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::domain::id::EntityKind;
use crate::store::jobs::Listening;
use crate::store::{StoreError, jobs};

use super::ApiState;

/// What to look at.
enum Heard {
    Jobs(BTreeSet<String>),
    /// So much changed that some of it was missed.
    Missed,
}

/// Runs until the store is gone.
pub(super) async fn run(state: ApiState) {
    let mut changes = state.store.changes();
    // What was queued before this server began.
    let mut heard = Heard::Missed;
    loop {
        match addresses(&state, &heard).await {
            Ok(addresses) => addresses.into_iter().for_each(|agent| wake(&state, agent)),
            Err(error) => {
                tracing::warn!(%error, "agents with jobs are not woken, they wait for their check-in");
            }
        }
        heard = loop {
            match changes.recv().await {
                Ok(change) if change.entity == EntityKind::Job => {
                    break more(&mut changes, change.id);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break Heard::Missed,
                Err(RecvError::Closed) => return,
            }
        };
    }
}

/// Takes all that is there already.
fn more(changes: &mut tokio::sync::broadcast::Receiver<crate::wire::page::Change>, first: String) -> Heard {
    let mut ids = BTreeSet::from([first]);
    loop {
        match changes.try_recv() {
            Ok(change) if change.entity == EntityKind::Job => {
                ids.insert(change.id);
            }
            Ok(_) => {}
            Err(TryRecvError::Lagged(_)) => return Heard::Missed,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Heard::Jobs(ids),
        }
    }
}

async fn addresses(state: &ApiState, heard: &Heard) -> Result<BTreeSet<Listening>, StoreError> {
    let mut conn = state.store.read().await?;
    match heard {
        Heard::Missed => Ok(jobs::addresses(&mut conn).await?.into_iter().collect()),
        Heard::Jobs(ids) => {
            let mut addresses = BTreeSet::new();
            for id in ids {
                addresses.extend(jobs::address(&mut conn, id).await?);
            }
            Ok(addresses)
        }
    }
}

fn wake(state: &ApiState, agent: Listening) {
    let address = agent.address.clone();
    let woken = state.wake.wake(agent);
    tokio::spawn(async move {
        if let Err(unreached) = woken.await {
            tracing::info!(
                address,
                step = unreached.failed_step,
                "agent at {address} not woken, its jobs wait for its check-in: {}",
                unreached.problem
            );
        }
    });
}
