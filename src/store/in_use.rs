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
/// A connection that was given back is given to the next one within this time, where the database answers.
const AT_ONCE: Duration = Duration::from_millis(150);
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
    /// When somebody was last given a connection.
    given: BTreeMap<Kind, Instant>,
    /// When one was last given back.
    given_back: BTreeMap<Kind, Instant>,
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

    /// True if others have or had the connections of this kind, of which there are so many, that somebody has waited
    /// for since `since` in vain: then the database gives some. Counted by who was given one, since a pool counts those
    /// that it is trying to open as in use.
    pub(super) fn is_crowded(&self, kind: Kind, most: usize, since: Instant) -> bool {
        let uses = self.uses();
        let n = uses.all.values().filter(|it| it.kind == kind && it.has).count();
        let was_given = uses.given.get(&kind).is_some_and(|at| *at >= since);
        let is_just_back = || {
            let at = uses.given_back.get(&kind);
            at.is_some_and(|at| at.elapsed() < AT_ONCE)
        };
        was_given || n >= most || (n + 1 >= most && is_just_back())
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
        let mut uses = self.uses.uses();
        let now = Instant::now();
        if let Some(it) = uses.all.get_mut(&self.id) {
            (it.has, it.since) = (true, now);
            let kind = it.kind;
            uses.given.insert(kind, now);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut uses = self.uses.uses();
        if let Some(gone) = uses.all.remove(&self.id).filter(|it| it.has) {
            uses.given_back.insert(gone.kind, Instant::now());
        }
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
    async fn a_queue_is_told_from_a_database_that_gives_nothing() {
        let (_dir, store) = store().await;
        let (in_use, kind, most) = (&store.in_use, Kind::Changes, 1);
        // Work of the store at its beginning is long over.
        in_use.uses().given_back.clear();
        let since = Instant::now();
        assert!(!in_use.is_crowded(kind, most, since), "nobody has any");
        let waits = in_use.queue(kind, Location::caller());
        assert!(!in_use.is_crowded(kind, most, since), "nor has who waits too");
        drop(waits);
        let tx = store.begin().await.unwrap();
        assert!(in_use.is_crowded(kind, most, since));
        assert!(in_use.is_crowded(kind, most, Instant::now()), "it still has it");
        tx.rollback().await.unwrap();
        assert!(
            in_use.is_crowded(kind, most, Instant::now()),
            "it gave it back just now"
        );
        assert!(in_use.is_crowded(kind, most, since), "it was given meanwhile");
        assert!(
            !in_use.is_crowded(Kind::Screen, most, since),
            "others are no matter"
        );
        let past = Instant::now().checked_sub(2 * AT_ONCE).unwrap();
        in_use.uses().given_back.insert(kind, past);
        assert!(
            !in_use.is_crowded(kind, most, Instant::now()),
            "it is free, and not given"
        );
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
