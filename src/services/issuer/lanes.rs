//! Lanes: signing and revoking go on for each adapter by themselves, so that a CA that is slow, or has much before
//! it, holds up nothing of another's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::{Issuer, PATIENCE, PERIOD, goes_on, told};
use crate::domain::id::EntityKind;
use crate::store::{StoreError, adapters as rows};
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

/// Last sign of life of each lane.
pub(super) type WentOn = BTreeMap<Lane, Instant>;

impl Issuer {
    /// Works in the lanes of all adapters, those that come to be later too, until `stop` says true.
    pub(super) async fn in_lanes(&self, stop: watch::Receiver<bool>) {
        let mut changes = self.store.changes();
        let mut stopping = stop.clone();
        let mut known = BTreeSet::new();
        let mut lanes = FuturesUnordered::new();
        loop {
            match self.lanes().await {
                Ok(all) => {
                    let new = all.into_iter().filter(|lane| known.insert(lane.clone()));
                    lanes.extend(new.map(|lane| self.along(lane, stop.clone())));
                }
                Err(error) => tracing::error!(%error, "the issuer can't use the database"),
            }
            tokio::select! {
                // A lane ends only when it is time to stop.
                Some(()) = lanes.next() => {}
                () = until_adapter(&mut changes) => {}
                () = tokio::time::sleep(PERIOD) => {}
                () = told(&mut stopping) => {}
            }
            if *stop.borrow() {
                break;
            }
        }
        while lanes.next().await.is_some() {}
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
