//! The beat of a worker: it is written to the database for as long as the worker's loop goes round, so that whoever
//! looks there knows that somebody works. A loop that hangs has no beat, nor has one that broke off.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::domain::worker::Duty;
use crate::store::{Store, StoreError, workers};

/// Between two beats: several fit into [`Duty::PATIENCE`], so that a lost one is no alarm.
const EVERY: Duration = Duration::from_secs(8);

/// A worker's beat; it ends with the worker that holds it.
#[derive(Debug)]
pub(super) struct Beat {
    went_round: watch::Sender<Option<Instant>>,
    beating: JoinHandle<()>,
}

impl Beat {
    /// Begins once the loop goes round, which it does at least every `patience`.
    #[must_use]
    pub(super) fn begin(store: Store, duty: Duty, name: String, patience: Duration) -> Self {
        let (went_round, mut seen) = watch::channel(None::<Instant>);
        let beating = tokio::spawn(async move {
            // The worker is gone when there is nothing to see any more.
            while seen
                .wait_for(|at| at.is_some_and(|at| at.elapsed() < patience))
                .await
                .is_ok()
            {
                if let Err(error) = tell(&store, duty, &name).await {
                    tracing::warn!(%error, duty = duty.word(), "that it works could not be told");
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { went_round, beating }
    }

    /// The loop goes round.
    pub(super) fn goes_on(&self) {
        self.went_round.send_replace(Some(Instant::now()));
    }

    /// Somebody else does it.
    pub(super) fn rests(&self) {
        self.went_round.send_replace(None);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

async fn tell(store: &Store, duty: Duty, name: &str) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    workers::beat(&mut tx, duty, name, env!("CARGO_PKG_VERSION")).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::workers;

    async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
        let asked = Instant::now();
        while !is_so().await {
            assert!(asked.elapsed() < Duration::from_secs(20), "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn it_beats_once_the_loop_goes_round_and_ends_with_its_worker() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cmp.db", dir.path().display());
        let store = Store::open(&url, Clock::system()).await.unwrap();
        let all = async || workers::all(&mut store.read().await.unwrap()).await.unwrap();
        let beat = Beat::begin(
            store.clone(),
            Duty::Issuer,
            "a".to_owned(),
            Duration::from_secs(60),
        );
        let beating = beat.beating.abort_handle();
        tokio::task::yield_now().await;
        assert!(all().await.is_empty(), "it hasn't begun to work");
        beat.goes_on();
        until("it is told", async || all().await.iter().any(|it| it.is_there)).await;
        drop(beat);
        until("nobody tells it any more", async || beating.is_finished()).await;
    }
}
