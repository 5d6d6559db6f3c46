//! Lanes: signing and revoking go on for each adapter by themselves, so that a CA that is slow, or has much before
//! it, holds up nothing of another's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::PoisonError;

use futures::{StreamExt, stream};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::{Issuer, PATIENCE, PERIOD, goes_on, told};
use crate::domain::id::EntityKind;
use crate::store::{StoreError, adapters as rows, apart};
use crate::wire::page::Change;

/// Work that has to go on for the issuer to be alive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Signs,
    Revokes,
}

/// One kind of work at one CA.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) work: Work,
    /// Its row; none for certificates that no adapter leads to.
    pub(super) adapter: Option<String>,
}

/// A look for lanes.
struct Look {
    changes: broadcast::Receiver<Change>,
    stop: watch::Receiver<bool>,
    known: BTreeSet<Lane>,
    /// Found, and nobody works in them yet.
    new: VecDeque<Lane>,
}

/// Last sign of life of each lane.
pub(super) type WentOn = BTreeMap<Lane, Instant>;

impl Issuer {
    /// Works in the lanes of all adapters, those that come to be later too, until `stop` says true.
    pub(super) async fn in_lanes(&self, stop: watch::Receiver<bool>) {
        let look = Look {
            changes: self.store.changes(),
            stop: stop.clone(),
            known: BTreeSet::new(),
            new: VecDeque::new(),
        };
        // Looking takes a connection, and so do lanes: none is left standing with one while it is looked for others.
        stream::unfold(look, |look| apart(self.next_lane(look)))
            .for_each_concurrent(None, |lane| apart(self.along(lane, stop.clone())))
            .await;
    }

    /// The next lane that nobody works in yet; none once it is time to stop.
    async fn next_lane(&self, mut look: Look) -> Option<(Lane, Look)> {
        loop {
            if *look.stop.borrow() {
                return None;
            }
            if let Some(lane) = look.new.pop_front() {
                return Some((lane, look));
            }
            match self.lanes().await {
                Ok(all) => look
                    .new
                    .extend(all.into_iter().filter(|lane| look.known.insert(lane.clone()))),
                Err(error) => tracing::error!(%error, "the issuer can't use the database"),
            }
            if look.new.is_empty() {
                tokio::select! {
                    () = until_adapter(&mut look.changes) => {}
                    () = tokio::time::sleep(PERIOD) => {}
                    () = told(&mut look.stop) => {}
                }
            }
        }
    }

    pub(super) async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
        let adapters = rows::all(&mut self.store.read().await?).await?;
        let of_one = adapters.into_iter().flat_map(|row| {
            [Work::Signs, Work::Revokes].map(|work| Lane {
                work,
                adapter: Some(row.id.clone()),
            })
        });
        let of_none = Lane {
            work: Work::Revokes,
            adapter: None,
        };
        Ok(of_one.chain([of_none]).collect())
    }

    async fn along(&self, lane: Lane, mut stop: watch::Receiver<bool>) {
        let mut changes = self.store.changes();
        loop {
            self.work_goes_on(&lane);
            let done = match (lane.work, &lane.adapter) {
                (Work::Signs, Some(adapter)) => self.sign_all(adapter, &lane, &stop).await,
                (Work::Revokes, _) => self.revoke_all(&lane, &stop).await,
                // Every request has an adapter.
                (Work::Signs, None) => Ok(false),
            };
            if !goes_on(done, &mut changes, &mut stop).await {
                return;
            }
        }
    }

    /// Tells that this lane goes on, as long as the others do too: one that hangs is not covered up.
    pub(super) fn work_goes_on(&self, lane: &Lane) {
        let Some(beat) = &self.beat else { return };
        let mut went_on = self.went_on.lock().unwrap_or_else(PoisonError::into_inner);
        went_on.insert(lane.clone(), Instant::now());
        if went_on.values().all(|at| at.elapsed() < PATIENCE) {
            beat.goes_on();
        }
    }
}

/// Until an adapter changed.
async fn until_adapter(changes: &mut broadcast::Receiver<Change>) {
    loop {
        match changes.recv().await {
            Ok(change) if change.entity == EntityKind::Adapter => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            // The store is closed: only the period and the stop are left.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
