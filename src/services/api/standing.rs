//! Answers that count much and are asked for again and again: who asks gets the last one at once, and a newer one is made
//! beside, where that one is old for what it costs. A count that takes a third of a second is made once in half a minute at most; one
//! that takes a few milliseconds is never older than a second, since who asks waits for it.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::problem::Problem;

use super::cached::AsNow;

/// An answer is new for as many times as long as it took.
const WORTH: u32 = 100;
/// Bounds of that.
const AT_LEAST: Duration = Duration::from_secs(1);
const AT_MOST: Duration = Duration::from_secs(60);
/// Upper bound for the time of an answer that is waited for, since it is soon there.
const CHEAP: Duration = Duration::from_millis(50);
/// Older ones are nobody's answer: who asks waits for a newer one.
const LASTS: Duration = Duration::from_secs(300);

/// The place of one such answer; clones share it.
pub(super) struct Standing<T>(Arc<Place<T>>);

impl<T> Clone for Standing<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Place<T> {
    last: Mutex<Option<Last<T>>>,
    /// Held by who makes one.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Last<T> {
    value: T,
    /// When it was begun.
    at: Instant,
    took: Duration,
}

impl<T> Last<T> {
    fn is_new(&self) -> bool {
        self.at.elapsed() < (self.took * WORTH).clamp(AT_LEAST, AT_MOST)
    }
}

impl<T> Default for Standing<T> {
    fn default() -> Self {
        Self(Arc::new(Place {
            last: Mutex::default(),
            turn: Arc::default(),
        }))
    }
}

impl<T: Clone + Send + Sync + 'static> Standing<T> {
    /// The last answer, or where there is none what `make` makes.
    ///
    /// # Errors
    /// None is there and `make` fails.
    pub(super) async fn ask<F>(&self, as_now: AsNow, make: impl FnOnce() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let will_do = |last: &Last<T>| last.is_new() || last.took > CHEAP && last.at.elapsed() < LASTS;
        let last = self.0.last().clone().filter(will_do);
        if let (Some(last), false) = (last, as_now.is_wanted()) {
            if !last.is_new()
                && let Ok(turn) = Arc::clone(&self.0.turn).try_lock_owned()
            {
                let (place, making) = (Arc::clone(&self.0), make());
                tokio::spawn(async move {
                    if let Err(problem) = place.make(making).await {
                        tracing::warn!(%problem, "what is counted in the background is old");
                    }
                    drop(turn);
                });
            }
            return Ok(last.value);
        }
        let asked = Instant::now();
        let _turn = self.0.turn.lock().await;
        let made = self.0.last().clone().filter(|last| last.at >= asked);
        match made {
            // Somebody else's, meanwhile.
            Some(last) => Ok(last.value),
            None => self.0.make(make()).await,
        }
    }
}

impl<T: Clone> Place<T> {
    fn last(&self) -> MutexGuard<'_, Option<Last<T>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(&self, making: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        let at = Instant::now();
        let value = making.await?;
        *self.last() = Some(Last {
            value: value.clone(),
            at,
            took: at.elapsed(),
        });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_asks_gets_the_last_one_and_a_newer_one_is_made_once_beside() {
        let standing = Standing::default();
        let n = Arc::new(AtomicU32::new(0));
        let (go, gate) = (Arc::new(tokio::sync::Semaphore::new(1)), Duration::from_millis(1));
        let ask = |as_now| {
            let (standing, n, go) = (standing.clone(), Arc::clone(&n), Arc::clone(&go));
            async move {
                let made = || async move {
                    go.acquire().await.unwrap().forget();
                    tokio::time::sleep(gate).await;
                    Ok(n.fetch_add(1, Ordering::SeqCst) + 1)
                };
                standing.ask(AsNow::when(as_now), made).await.unwrap()
            }
        };
        // The first waits, and is new for a while.
        assert_eq!(ask(false).await, 1);
        assert_eq!(ask(false).await, 1);
        // Grown old it is the answer still, and one is making the next.
        if let Some(last) = &mut *standing.0.last() {
            last.at -= AT_MOST * 2;
            last.took = CHEAP * 2;
        }
        assert_eq!((ask(false).await, ask(false).await), (1, 1));
        go.add_permits(1);
        while n.load(Ordering::SeqCst) < 2 || standing.0.turn.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask(false).await, 2);
        // An answer as of now is waited for.
        go.add_permits(1);
        assert_eq!(ask(true).await, 3);
        // Too old, it is no answer.
        if let Some(last) = &mut *standing.0.last() {
            last.at -= LASTS;
        }
        go.add_permits(1);
        assert_eq!(ask(false).await, 4);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_who_waits_and_kept_from_who_has_an_answer() {
        let standing: Standing<u32> = Standing::default();
        let fails = || async { Err(Problem::unavailable("the database is away")) };
        assert!(standing.ask(AsNow::when(false), fails).await.is_err());
        assert_eq!(
            standing
                .ask(AsNow::when(false), || async { Ok(7) })
                .await
                .unwrap(),
            7
        );
        if let Some(last) = &mut *standing.0.last() {
            last.at -= AT_MOST * 2;
            last.took = CHEAP * 2;
        }
        assert_eq!(standing.ask(AsNow::when(false), fails).await.unwrap(), 7);
    }
}
