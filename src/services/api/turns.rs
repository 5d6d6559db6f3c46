//! One at a time of each name: of an agent, one report is recorded, and the next ones wait a moment without a
//! connection to the database. Nobody's flood queues for the database more than once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Upper bound for the wait of who sent twice in one moment: a report whose answer was lost, and the one after it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names whose turn it is.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<String, Arc<Semaphore>>>>);

/// A place in the queue of a name, with the turn once it has come.
pub(super) struct Turn {
    turns: Turns,
    name: String,
    queue: Option<Arc<Semaphore>>,
    has: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// The turn of `name`, until it is dropped; none where others have it for longer than anybody waits.
    pub(super) async fn take(&self, name: &str) -> Option<Turn> {
        self.take_within(PATIENCE, name).await
    }

    async fn take_within(&self, patience: Duration, name: &str) -> Option<Turn> {
        let queue = {
            let mut all = self.all();
            let queue = all
                .entry(name.to_owned())
                .or_insert_with(|| Arc::new(Semaphore::new(1)));
            Arc::clone(queue)
        };
        let mut turn = Turn {
            turns: self.clone(),
            name: name.to_owned(),
            queue: Some(Arc::clone(&queue)),
            has: None,
        };
        let has = tokio::time::timeout(patience, queue.acquire_owned()).await;
        turn.has = Some(has.ok()?.ok()?);
        Some(turn)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.has = None;
        self.queue = None;
        let mut all = self.turns.all();
        // A queue that nobody else waits in is removed.
        if all
            .get(&self.name)
            .is_some_and(|queue| Arc::strong_count(queue) == 1)
        {
            all.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_one_name_one_goes_and_the_others_wait_a_moment() {
        let turns = Turns::default();
        let first = turns.take("agt_1").await.unwrap();
        assert!(turns.take_within(Duration::ZERO, "agt_1").await.is_none());
        assert!(
            turns.take("agt_2").await.is_some(),
            "another one's turn is its own"
        );
        let waits = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take("agt_1").await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waits.await.unwrap());
        assert!(turns.all().is_empty(), "nothing is kept of who is gone");
    }
}
