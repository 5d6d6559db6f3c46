//! One answer for all who ask the same at the same time. At most one is being made, and one more waits its
//! turn for those who need to know what changed since that one began. When nobody waits for it any more it
//! ends, and its question in the database with it.
//!
//! No answer is given that a change of this server's own lies after: `freshness` tells.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use crate::clock::Clock;
use crate::problem::Problem;

use super::cached::AsNow;
use super::freshness::Freshness;

type Making<T> = BoxFuture<'static, Result<T, Problem>>;

/// Where the answer to one question is made.
pub(super) struct Together<T: Clone>(Arc<Place<T>>);

struct Place<T: Clone> {
    /// How old an answer may be.
    lasts: Duration,
    freshness: Arc<Freshness>,
    clock: Clock,
    /// Held by the answer that is being made.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State<T>>,
}

struct State<T: Clone> {
    last: Option<(Moment, T)>,
    /// What is being made, and since when.
    making: Option<(Moment, WeakShared<Making<T>>)>,
    /// What is made next: it knows all that has changed until now.
    next: Option<WeakShared<Making<T>>>,
}

/// When an answer was begun, and how much had changed by then.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    /// By the clock, which findings are about, and which may be set.
    time: DateTime<Utc>,
    news: u64,
}

impl Moment {
    fn is_within(&self, lasts: Duration, now: DateTime<Utc>) -> bool {
        let by_clock = (now - self.time).abs().to_std();
        self.at.elapsed() < lasts && by_clock.is_ok_and(|age| age < lasts)
    }
}

impl<T: Clone + Send + Sync + 'static> Together<T> {
    /// Answers that are no older than `lasts`.
    pub(super) fn new(freshness: &Arc<Freshness>, clock: &Clock, lasts: Duration) -> Self {
        Self(Arc::new(Place {
            lasts,
            freshness: Arc::clone(freshness),
            clock: clock.clone(),
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                last: None,
                making: None,
                next: None,
            }),
        }))
    }

    /// The answer of a moment ago, the one that is being made, or what `make` makes.
    pub(super) async fn ask<F>(&self, as_now: AsNow, make: impl FnOnce() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let making = {
            let place = &self.0;
            let news = place.freshness.news();
            let now = place.clock.now();
            let will_do = |moment: &Moment| {
                !as_now.is_wanted() && moment.news == news && moment.is_within(place.lasts, now)
            };
            let mut state = place.state();
            if let Some((_, answer)) = state.last.as_ref().filter(|(moment, _)| will_do(moment)) {
                return Ok(answer.clone());
            }
            let making = state.making.as_ref().filter(|(moment, _)| will_do(moment));
            let making = making.and_then(|(_, making)| making.upgrade());
            match making.or_else(|| state.next.as_ref().and_then(WeakShared::upgrade)) {
                Some(making) => making,
                None => place.queue(&mut state, make()),
            }
        };
        making.await
    }
}

impl<T: Clone + Send + Sync + 'static> Place<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next answer, to be made once its turn comes.
    fn queue(
        self: &Arc<Self>,
        state: &mut State<T>,
        made: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Shared<Making<T>> {
        let place = Arc::clone(self);
        let making = async move {
            let _turn = place.turn.lock().await;
            // Before anything is read, so that it knows of all changes until here.
            let moment = Moment {
                at: Instant::now(),
                time: place.clock.now(),
                news: place.freshness.news(),
            };
            {
                let mut state = place.state();
                state.making = state.next.take().map(|next| (moment, next));
            }
            let answer = made.await;
            let mut state = place.state();
            state.making = None;
            if let Ok(answer) = &answer {
                state.last = Some((moment, answer.clone()));
            }
            answer
        };
        let making = making.boxed().shared();
        state.next = making.downgrade();
        making
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::store::{Store, keys};

    struct Bench {
        _dir: tempfile::TempDir,
        store: Store,
        together: Together<usize>,
        /// How many answers were begun.
        begun: Arc<AtomicUsize>,
        /// How many may be finished.
        go: Arc<Semaphore>,
    }

    impl Bench {
        async fn new(lasts: Duration) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}/cmp.db", dir.path().display());
            let store = Store::open(&url, Clock::system()).await.unwrap();
            let together = Together::new(&Arc::new(Freshness::new(&store)), store.clock(), lasts);
            Self {
                _dir: dir,
                store,
                together,
                begun: Arc::default(),
                go: Arc::new(Semaphore::new(0)),
            }
        }

        fn ask(&self, as_now: bool) -> impl Future<Output = Result<usize, Problem>> + use<'_> {
            self.together.ask(AsNow::when(as_now), || {
                let (begun, go) = (Arc::clone(&self.begun), Arc::clone(&self.go));
                async move {
                    let n = begun.fetch_add(1, Ordering::Relaxed) + 1;
                    go.acquire().await.unwrap().forget();
                    Ok(n)
                }
            })
        }

        async fn change(&self, id: &str) {
            let mut tx = self.store.begin().await.unwrap();
            keys::upsert(&mut tx, id, "ecdsa-p256").await.unwrap();
            tx.commit().await.unwrap();
        }

        fn n_begun(&self) -> usize {
            self.begun.load(Ordering::Relaxed)
        }
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_answer_and_the_next_ones_take_it_too() {
        let it = Bench::new(LONG).await;
        it.go.add_permits(1);
        let all = futures::future::join_all((0..50).map(|_| it.ask(false))).await;
        assert!(all.into_iter().all(|answer| answer == Ok(1)));
        assert_eq!(it.ask(false).await, Ok(1), "kept");
        it.go.add_permits(1);
        assert_eq!(it.ask(true).await, Ok(2), "who wants it as it is now");
        assert_eq!(it.n_begun(), 2);
    }

    #[tokio::test]
    async fn no_answer_is_older_than_a_change_and_however_many_there_are_two_are_made_at_most() {
        let it = Bench::new(LONG).await;
        let mut first = Box::pin(it.ask(false));
        assert!(futures::poll!(&mut first).is_pending());
        let mut later: Vec<_> = Vec::new();
        for n in 0..20 {
            it.change(&format!("k{n}")).await;
            let mut asked = Box::pin(it.ask(false));
            assert!(futures::poll!(&mut asked).is_pending());
            later.push(asked);
        }
        assert_eq!(it.n_begun(), 1, "the next one waits for its turn");
        it.go.add_permits(2);
        assert_eq!(first.await, Ok(1));
        for answer in futures::future::join_all(later).await {
            assert_eq!(answer, Ok(2));
        }
        assert_eq!(it.n_begun(), 2);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_is_given_up() {
        let it = Bench::new(LONG).await;
        let mut first = Box::pin(it.ask(false));
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        it.go.add_permits(1);
        assert_eq!(it.ask(false).await, Ok(2), "the next one doesn't wait for it");
    }

    #[tokio::test]
    async fn an_old_answer_is_not_given() {
        let it = Bench::new(Duration::ZERO).await;
        it.go.add_permits(2);
        assert_eq!(it.ask(false).await, Ok(1));
        assert_eq!(it.ask(false).await, Ok(2));
    }
}
