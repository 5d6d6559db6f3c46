//! Connections in use and places in the queues for them: where each was asked for, and since when. When nobody gets
//! one any more, the log says who has them all.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::apart::{Flow, flow};
use super::pools::Kind;

/// Between two log lines about one kind of connection.
const TOLD_EVERY: Duration = Duration::from_secs(30);
/// Further ones are counted.
const MOST_TOLD: usize = 12;

/// All of one database.
#[derive(Clone, Default)]
pub(super) struct InUse(Arc<Mutex<Uses>>);

#[derive(Default)]
struct Uses {
    next: u64,
    all: BTreeMap<u64, Use>,
    told: BTreeMap<Kind, Instant>,
}

struct Use {
    kind: Kind,
    place: &'static Location<'static>,
    since: Instant,
    /// No longer in the queue.
    has: bool,
    by: Option<Flow>,
}

/// One of them, until it is dropped.
pub(super) struct Held {
    uses: InUse,
    id: u64,
}

impl InUse {
    /// A place in the queue for a connection of this kind.
    ///
    /// Who has a connection does not wait for another one: when some do, each waits for what the others have, and
    /// nobody gets any. Builds with debug assertions refuse it, so that tests find each place that does.
    pub(super) fn queue(&self, kind: Kind, place: &'static Location<'static>) -> Held {
        let by = flow();
        let mut uses = self.uses();
        let is_its = |it: &&Use| it.has && by.as_ref().is_some_and(|by| by.is_part_of(it.by.as_ref()));
        let has = uses.all.values().find(is_its).map(|it| (it.kind, it.place));
        let id = uses.next;
        uses.next += 1;
        let new = Use {
            kind,
            place,
            since: Instant::now(),
            has: false,
            by,
        };
        uses.all.insert(id, new);
        drop(uses);
        let held = Held {
            uses: self.clone(),
            id,
        };
        debug_assert!(
            has.is_none(),
            "a connection ({kind}) is waited for at {place} by who has one: {has:?}"
        );
        held
    }

    /// Says in the log who has the connections of this kind, and who waits for one.
    pub(super) fn tell(&self, kind: Kind) {
        let now = Instant::now();
        let mut uses = self.uses();
        let told = uses.told.get(&kind);
        if told.is_some_and(|told| now.duration_since(*told) < TOLD_EVERY) {
            return;
        }
        uses.told.insert(kind, now);
        let in_use = uses.words(now, |it| it.kind == kind && it.has);
        let waiting = uses.words(now, |it| it.kind == kind && !it.has);
        drop(uses);
        tracing::warn!(
            in_use,
            waiting,
            "no connection to the database ({kind}) was to be had in time"
        );
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uses {
    /// The longest first.
    fn words(&self, now: Instant, of: impl Fn(&Use) -> bool) -> String {
        let mut all: Vec<&Use> = self.all.values().filter(|it| of(it)).collect();
        all.sort_by_key(|it| it.since);
        let mut words = String::new();
        for it in all.iter().take(MOST_TOLD) {
            let comma = if words.is_empty() { "" } else { ", " };
            let (file, line) = (it.place.file(), it.place.line());
            let s = now.duration_since(it.since).as_secs_f64();
            // Writing into a string doesn't fail.
            let _ = write!(words, "{comma}{file}:{line} for {s:.1} s");
        }
        match all.len().saturating_sub(MOST_TOLD) {
            0 if words.is_empty() => "none".to_owned(),
            0 => words,
            more => format!("{words} and {more} more"),
        }
    }
}

impl Held {
    /// It has its connection from now on.
    pub(super) fn got(&self) {
        if let Some(it) = self.uses.uses().all.get_mut(&self.id) {
            (it.has, it.since) = (true, Instant::now());
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.uses.uses().all.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::{Store, apart};

    async fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cmp.db", dir.path().display());
        let store = Store::open(&url, Clock::system()).await.unwrap();
        (dir, store)
    }

    #[tokio::test]
    async fn who_has_a_connection_is_refused_another_one() {
        let (_dir, store) = store().await;
        let it = store.clone();
        let nested = tokio::spawn(async move {
            let _has = it.read().await.unwrap();
            let _ = it.begin().await;
        });
        assert!(nested.await.unwrap_err().is_panic());
        let it = store.clone();
        let in_a_part = tokio::spawn(async move {
            let _has = it.read().await.unwrap();
            let _ = apart(it.begin()).await;
        });
        assert!(in_a_part.await.unwrap_err().is_panic(), "it waits for its parts");
        let beside = tokio::spawn(async move {
            let read = async || {
                let one = store.read().await.unwrap();
                tokio::task::yield_now().await;
                drop(one);
                store.begin().await.unwrap().rollback().await.unwrap();
            };
            tokio::join!(apart(read()), apart(read()));
        });
        beside.await.unwrap();
    }

    #[tokio::test]
    async fn it_is_known_who_has_a_connection_and_who_waits_for_one() {
        let (_dir, store) = store().await;
        let words = |has| {
            let uses = store.in_use.uses();
            uses.words(Instant::now(), |it| it.has == has)
        };
        assert_eq!(
            (words(true), words(false)),
            ("none".to_owned(), "none".to_owned())
        );
        let tx = store.begin().await.unwrap();
        let mut waits = Box::pin(store.begin());
        assert!(futures::poll!(&mut waits).is_pending());
        for has in [true, false] {
            let words = words(has);
            assert!(words.starts_with("src/store/in_use.rs:"), "{words}");
            assert!(words.ends_with(" for 0.0 s") && !words.contains(", "), "{words}");
        }
        drop((tx, waits));
        assert_eq!(
            (words(true), words(false)),
            ("none".to_owned(), "none".to_owned())
        );
    }
}
