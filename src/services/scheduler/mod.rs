//! The scheduler: what has to happen because time passed, not because anybody asked. So far: runs
//! whose console went away are closed as `unknown`, what is old is forgotten, and the audit trail gets
//! room for the coming months. Renewals are not its matter yet.
//!
//! Where several servers have one database, one of them does it; the others are there when it is gone.

mod forget;
mod stale_runs;

use std::time::Duration;

use tokio::sync::watch;

use super::beat::Beat;
use crate::domain::worker::Duty;
use crate::store::{Store, audit};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(60);
/// Between two looks whether another one still leads.
const TAKE_OVER: Duration = Duration::from_secs(5);

/// A look that takes longer is one that hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// Works until `stop` says true; `name` is one that no other scheduler has.
pub async fn run(store: Store, name: String, mut stop: watch::Receiver<bool>) {
    let mut lead = store.lead();
    let beat = Beat::begin(store.clone(), Duty::Scheduler, name, PATIENCE);
    let mut led = false;
    loop {
        let leads = match lead.is_ours().await {
            Ok(leads) => leads,
            Err(error) => {
                tracing::error!(%error, "whether this scheduler leads is not known");
                false
            }
        };
        if leads != led {
            tracing::info!(leads, "which scheduler leads has changed");
            led = leads;
        }
        if leads {
            beat.goes_on();
            work(&store).await;
        } else {
            beat.rests();
        }
        tokio::select! {
            () = tokio::time::sleep(if leads { PERIOD } else { TAKE_OVER }) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    lead.resign().await;
}

/// One look at everything.
async fn work(store: &Store) {
    if let Err(error) = stale_runs::close(store).await {
        tracing::error!(%error, "stale runs can't be closed");
    }
    if let Err(error) = forget::forget(store).await {
        tracing::error!(%error, "what is old can't be forgotten");
    }
    if let Err(error) = audit::make_room(store).await {
        tracing::error!(%error, "the audit trail gets no room for the coming months");
    }
}
