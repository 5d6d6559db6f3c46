//! What has changed lately, as far as this server has heard, so that no answer is given twice that a
//! change lies between. Where the kept answers are is in `cached`.
//!
//! `Store::changes` has told of a change before the commit returns to whoever made it, and what it told
//! is taken in before every decision here. So an answer that was read before a change of this server's
//! own is never given after it. Of other servers' changes it is known when the store tells of them; of
//! those that it doesn't tell of, when the answer's time is over.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use crate::domain::id::{EntityKind, new_id};
use crate::store::Store;
use crate::wire::page::Change;

/// Changes are remembered for so long: longer than any answer that was read before them can be about.
const REMEMBERED: Duration = Duration::from_secs(15);
/// More than so many at once, and all that was read before counts as changed instead.
const AT_MOST: usize = 50_000;

/// What an answer was made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Part(EntityKind, String);

impl Part {
    /// This thing.
    pub(super) fn of(kind: EntityKind, id: &str) -> Self {
        Self(kind, id.to_owned())
    }

    /// Any installation: a certificate that goes back to where it was before is not named when that is
    /// told, only the place is.
    pub(super) fn installations() -> Self {
        Self(EntityKind::Installation, Change::ALL.to_owned())
    }

    fn changed(change: Change) -> Self {
        match change.entity {
            EntityKind::Installation => Self::installations(),
            kind => Self(kind, change.id),
        }
    }

    /// For the line that is kept with an answer.
    pub(super) fn words(&self) -> (EntityKind, &str) {
        (self.0, &self.1)
    }
}

/// A moment in what one server has heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Which server, since which start.
    by: String,
    /// How many changes it had heard of.
    n: u64,
}

/// See the module.
pub(super) struct Freshness {
    me: String,
    heard: Mutex<Heard>,
}

struct Heard {
    changes: Receiver<Change>,
    n: u64,
    /// How many of them said anything new.
    news: u64,
    /// When each thing changed last.
    last: HashMap<Part, u64>,
    /// Changes in their order, to forget them again.
    order: VecDeque<(Instant, u64, Part)>,
    /// So much changed that it isn't known what: until when that matters to others' answers, and what was
    /// the moment.
    all: Option<(Instant, u64)>,
}

impl Freshness {
    /// From now on.
    pub(super) fn new(store: &Store) -> Self {
        Self {
            me: new_id(EntityKind::Run),
            heard: Mutex::new(Heard {
                changes: store.changes(),
                n: 0,
                news: 0,
                last: HashMap::new(),
                order: VecDeque::new(),
                all: None,
            }),
        }
    }

    /// This moment: what is read from now on knows all changes so far.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            by: self.me.clone(),
            n: self.up_to_date().n,
        }
    }

    /// How many changes it has heard of that said anything new: for what is made of everything.
    pub(super) fn news(&self) -> u64 {
        self.up_to_date().news
    }

    /// Whether nothing of `parts` has changed since `mark`. Another server's moment can't be compared with
    /// ours, so what it read is trusted if nothing of it changed as long as we remember.
    pub(super) fn holds<'a>(
        &self,
        mark: &Mark,
        parts: impl IntoIterator<Item = (EntityKind, &'a str)>,
    ) -> bool {
        let heard = self.up_to_date();
        let ours = mark.by == self.me;
        let before = |n: u64| !ours || mark.n < n;
        if heard.all.is_some_and(|(_, n)| before(n)) {
            return false;
        }
        parts.into_iter().all(|(kind, id)| {
            let last = heard.last.get(&Part::of(kind, id));
            last.is_none_or(|n| !before(*n))
        })
    }

    fn up_to_date(&self) -> MutexGuard<'_, Heard> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.take_in(Instant::now());
        heard
    }
}

impl Heard {
    fn take_in(&mut self, now: Instant) {
        loop {
            match self.changes.try_recv() {
                Ok(change) if change.id == Change::ALL => self.everything(now),
                Ok(change) => {
                    self.news += u64::from(!change.routine);
                    self.one(now, Part::changed(change));
                }
                Err(TryRecvError::Lagged(_)) => self.everything(now),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if self.order.len() > AT_MOST {
            self.everything(now);
        }
        self.forget(now);
    }

    fn one(&mut self, now: Instant, part: Part) {
        self.n += 1;
        self.last.insert(part.clone(), self.n);
        self.order.push_back((now, self.n, part));
    }

    fn everything(&mut self, now: Instant) {
        self.n += 1;
        self.news += 1;
        self.last.clear();
        self.order.clear();
        self.all = Some((now, self.n));
    }

    fn forget(&mut self, now: Instant) {
        let over = |at: Instant| now.duration_since(at) > REMEMBERED;
        while let Some((at, n, _)) = self.order.front()
            && over(*at)
        {
            let n = *n;
            if let Some((_, _, part)) = self.order.pop_front()
                && self.last.get(&part) == Some(&n)
            {
                self.last.remove(&part);
            }
        }
        if self.all.is_some_and(|(at, _)| over(at)) {
            self.all = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::keys;

    async fn change(store: &Store, ids: impl IntoIterator<Item = String>) {
        let mut tx = store.begin().await.unwrap();
        for id in ids {
            keys::upsert(&mut tx, &id, "ecdsa-p256").await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_doesnt_hold_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cmp.db", dir.path().display());
        let store = Store::open(&url, Clock::system()).await.unwrap();
        let (ours, theirs) = (Freshness::new(&store), Freshness::new(&store));
        let holds = |mark: &Mark, id| ours.holds(mark, [(EntityKind::Key, id)]);
        let (before, elsewhere) = (ours.mark(), theirs.mark());
        change(&store, ["a".to_owned()]).await;
        assert!(!holds(&before, "a"));
        assert!(holds(&before, "b"));
        assert!(holds(&ours.mark(), "a"));
        // When another server read it isn't known, so nothing of its that changed lately is trusted.
        assert!(!holds(&elsewhere, "a") && !holds(&theirs.mark(), "a"));
        assert!(holds(&elsewhere, "b"));

        // More at once than is listened to.
        let before = ours.mark();
        change(&store, (0..5000).map(|n| format!("k{n}"))).await;
        assert!(!holds(&before, "b") && !holds(&elsewhere, "b"));
        assert!(holds(&ours.mark(), "b"));
    }

    #[tokio::test]
    async fn changes_are_forgotten_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cmp.db", dir.path().display());
        let store = Store::open(&url, Clock::system()).await.unwrap();
        let freshness = Freshness::new(&store);
        change(&store, ["a".to_owned(), "b".to_owned()]).await;
        let _ = freshness.mark();
        let mut heard = freshness.heard.lock().unwrap();
        assert_eq!((heard.last.len(), heard.order.len()), (2, 2));
        heard.everything(Instant::now());
        heard.one(Instant::now(), Part::of(EntityKind::Key, "c"));
        heard.take_in(Instant::now() + REMEMBERED * 2);
        assert_eq!((heard.last.len(), heard.order.len(), heard.all), (0, 0, None));
    }
}
