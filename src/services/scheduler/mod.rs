//! The scheduler: what has to happen because time passed, not because anybody asked. So far: runs
//! whose console went away are closed as `unknown`, and what is old is forgotten. Renewals are not its matter yet.

mod forget;
mod stale_runs;

use std::time::Duration;

use tokio::sync::watch;

use crate::store::Store;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(60);

/// Works until `stop` says true.
pub async fn run(store: Store, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = stale_runs::close(&store).await {
            tracing::error!(%error, "stale runs can't be closed");
        }
        if let Err(error) = forget::forget(&store).await {
            tracing::error!(%error, "what is old can't be forgotten");
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
