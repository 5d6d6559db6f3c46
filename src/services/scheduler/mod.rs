//! The scheduler: what has to happen because time passed, not because anybody asked. So far: runs
//! whose console went away are closed as `unknown`. Renewals are not its matter yet.

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
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
