//! Work on files that may never come back, as below a network mount that hangs. It is waited for up to a limit; while
//! it hangs, nothing more is begun at that place, and nothing else waits for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfinished {
    /// Its file system doesn't answer.
    #[error(
        "`{place}` has not answered for {for_s} s: its file system hangs. Look after the mount or the disk on this host; \
         nothing else waits for it"
    )]
    Hangs {
        /// Which place.
        place: String,
        /// For how long.
        for_s: u64,
    },
    /// The work ended in a defect, or could not be begun.
    #[error("the work at `{0}` broke off")]
    BrokeOff(String),
}

/// Between work and who waits for it: either the work goes on to what can't be broken off, or the waiting ends first.
#[derive(Clone, Debug, Default)]
pub(super) struct Decision(Arc<AtomicU8>);

const OPEN: u8 = 0;
const GOES_ON: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Decision {
    /// For the work, before it changes what others see: whether somebody still waits, who then waits for its end.
    pub(super) fn goes_on(&self) -> bool {
        self.decide(GOES_ON)
    }

    fn is_given_up(&self) -> bool {
        self.decide(GIVEN_UP)
    }

    /// Decides it so, unless it is decided; says whether it is so now.
    fn decide(&self, so: u8) -> bool {
        match self
            .0
            .compare_exchange(OPEN, so, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => true,
            Err(decided) => decided == so,
        }
    }
}

/// Decides it however the waiting ends before the work does.
struct Waiting(Decision);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.is_given_up();
    }
}

/// What is under way at which place.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience(Arc<Mutex<UnderWay>>);

#[derive(Debug, Default)]
struct UnderWay {
    last: u64,
    begun: HashMap<u64, (String, Instant)>,
}

impl Patience {
    /// Does `work` at `place` on a thread of its own, and waits for it for `limit`. A thread that hangs ends with the
    /// process, which waits for none.
    pub(super) async fn within<T: Send + 'static>(
        &self,
        place: &str,
        limit: Duration,
        work: impl FnOnce(&Decision) -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let id = self.begin(place, limit)?;
        let decision = Decision::default();
        let waiting = Waiting(decision.clone());
        let (say, mut hear) = oneshot::channel();
        let under_way = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name("files".to_owned());
        let begun = thread.spawn(move || {
            let _ended = Ended { under_way, id };
            // Nobody hears it where it took too long.
            let _ = say.send(work(&decision));
        });
        if begun.is_err() {
            self.lock().begun.remove(&id);
            return Err(Unfinished::BrokeOff(place.to_owned()));
        }
        let mut ended = timeout(limit, &mut hear).await;
        if ended.is_err() && !waiting.0.is_given_up() {
            ended = timeout(limit, hear).await;
        }
        match ended {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(Unfinished::BrokeOff(place.to_owned())),
            Err(_) => Err(Unfinished::Hangs {
                place: place.to_owned(),
                for_s: limit.as_secs(),
            }),
        }
    }

    /// Notes what begins, unless something at that place has been hanging for longer than `limit`.
    fn begin(&self, place: &str, limit: Duration) -> Result<u64, Unfinished> {
        let mut under_way = self.lock();
        let oldest = under_way.begun.values().filter(|(at, _)| at == place);
        let oldest = oldest.map(|(_, since)| since.elapsed()).max();
        if let Some(hangs) = oldest.filter(|since| *since >= limit) {
            return Err(Unfinished::Hangs {
                place: place.to_owned(),
                for_s: hangs.as_secs(),
            });
        }
        under_way.last += 1;
        let id = under_way.last;
        under_way.begun.insert(id, (place.to_owned(), Instant::now()));
        Ok(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what has ended out of the list, a defect included.
struct Ended {
    under_way: Arc<Mutex<UnderWay>>,
    id: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.begun.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn what_hangs_is_told_and_holds_up_nobody() {
        let patience = Patience::default();
        let (let_go, hangs) = mpsc::channel::<()>();
        let (told, hear) = mpsc::channel();
        let hung = patience.within("/mnt/a", SHORT, move |decision| {
            let _ = hangs.recv();
            told.send(decision.goes_on()).unwrap();
        });
        let error = hung.await.unwrap_err();
        assert!(error.to_string().contains("`/mnt/a` has not answered"), "{error}");
        // Elsewhere work goes on; there, nothing is begun again.
        assert_eq!(patience.within("/mnt/b", LONG, |_| 7).await, Ok(7));
        let again = patience.within("/mnt/a", SHORT, |_| 7).await;
        assert!(matches!(again, Err(Unfinished::Hangs { .. })), "{again:?}");
        let_go.send(()).unwrap();
        assert!(!hear.recv().unwrap(), "it hears that nobody waits for it");
        while patience.within("/mnt/a", SHORT, |_| 7).await != Ok(7) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_went_on_is_waited_for() {
        let patience = Patience::default();
        let limit = Duration::from_secs(1);
        // It takes longer than the limit, and less than twice that.
        let (_never, hangs) = mpsc::channel::<()>();
        let done = patience.within("/a", limit, move |decision| {
            assert!(decision.goes_on());
            let _ = hangs.recv_timeout(limit * 3 / 2);
            1
        });
        assert_eq!(done.await, Ok(1));
    }

    #[tokio::test]
    async fn a_defect_is_no_hang() {
        let patience = Patience::default();
        let broken: Result<(), _> = patience.within("/a", LONG, |_| panic!("a defect")).await;
        assert_eq!(broken, Err(Unfinished::BrokeOff("/a".to_owned())));
        assert_eq!(patience.within("/a", LONG, |_| 1).await, Ok(1));
    }
}
