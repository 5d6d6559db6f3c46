//! The issuer: has requests signed and revocations carried out by the CAs behind its adapters. It
//! decides nothing about who may have what; that was decided when the request was made.
//!
//! Everything that it is about to do is in the database before it is done, so that it can be killed
//! between any two lines: what was `issuing` is looked for at the CA before it is signed again.

pub mod adapters;
mod backoff;
#[cfg(test)]
mod bench;
mod clock;
mod crl;
mod issue;
mod renewals;
#[cfg(test)]
mod renewals_tests;
mod revoke;
mod roster;
mod steps;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::beat::Beat;
use crate::clients::acme::ExternalAccount;
use crate::clients::vault::Login;
use crate::domain::adapter::{Adapter as AdapterRow, AdapterStatus};
use crate::domain::id::EntityKind;
use crate::domain::worker::Duty;
use crate::store::{Store, StoreError, adapters as rows, issuance, jobs};

pub(crate) use issue::inventory;
use roster::Roster;

/// How often it looks for work that nobody woke it for: another process may have written it.
const PERIOD: Duration = Duration::from_secs(5);
/// How long a claim holds when its worker is gone.
const LEASE: chrono::Duration = chrono::Duration::seconds(30);
/// Nothing is signed with less of the claim left: who takes it over when it ends has to find what the CA was
/// asked before. A call to a CA takes half of it at most.
const MARGIN: chrono::Duration = chrono::Duration::seconds(20);
/// For so long a CA may still be at a call whose caller is gone: only then is it asked what it has signed.
const SETTLES: chrono::Duration = chrono::Duration::seconds(5);
/// Requests claimed at once, and calls to a CA at once.
const BATCH: u32 = 32;
const AT_ONCE: usize = 4;
/// How often the credential for the CA is prolonged, at the most and at the least.
const RENEW: Duration = Duration::from_secs(3600);
const RENEW_SOON: Duration = Duration::from_secs(5);
/// And how soon again where that did not come about.
const RENEW_AGAIN: Duration = Duration::from_secs(60);

/// A piece of work that takes longer is one that hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// What it goes on looking at though nobody wakes it.
#[derive(Default)]
struct Watches {
    clock: clock::Watch,
    crl: crl::Watch,
    renewals: renewals::Watch,
}

/// The issuer. One may run in each process; claims keep them apart.
pub struct Issuer {
    store: Store,
    owner: String,
    roster: Roster,
    beat: Option<Beat>,
}

impl Issuer {
    /// An issuer called `owner`, a name that no other one has, with its login at Vault.
    #[must_use]
    pub fn new(store: Store, owner: impl Into<String>, vault_login: Login) -> Self {
        Self {
            store,
            owner: owner.into(),
            roster: Roster::new(vault_login),
            beat: None,
        }
    }

    /// With what binds a new account at an ACME CA to one that it knows.
    #[must_use]
    pub fn with_external_account(mut self, external: Option<ExternalAccount>) -> Self {
        self.roster.external_account = external;
        self
    }

    /// Works until `stop` says true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let beat = Beat::begin(self.store.clone(), Duty::Issuer, self.owner.clone(), PATIENCE);
        self.beat = Some(beat);
        let mut changes = self.store.changes();
        self.release_earlier_claims().await;
        let mut watches = Watches::default();
        let mut renew_at = Instant::now();
        loop {
            self.goes_on();
            let again = match self.round(&mut watches, &stop).await {
                Ok(again) => again,
                Err(error) => {
                    tracing::error!(%error, "the issuer can't use the database");
                    false
                }
            };
            if renew_at <= Instant::now() {
                renew_at = Instant::now() + self.renew_credentials().await;
            }
            // Between two batches nothing is claimed, so that another issuer can go on at once.
            if *stop.borrow() {
                return;
            }
            if again {
                continue;
            }
            tokio::select! {
                () = until_work(&mut changes) => {}
                () = tokio::time::sleep(watches.crl.next_look(PERIOD)) => {}
                () = tokio::time::sleep_until(renew_at) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Tells that its work goes on.
    fn goes_on(&self) {
        if let Some(beat) = &self.beat {
            beat.goes_on();
        }
    }

    /// What an earlier life of this very issuer had claimed is free again soon.
    async fn release_earlier_claims(&self) {
        let released = async {
            let mut tx = self.store.begin().await?;
            let at = tx.now() + SETTLES;
            let n = jobs::release(&mut tx, &self.owner, at).await?;
            tx.commit().await?;
            Ok::<u64, StoreError>(n)
        };
        match released.await {
            Ok(0) => {}
            Ok(n) => tracing::info!(n, "work of an earlier life is driven on"),
            // The leases end by themselves.
            Err(error) => tracing::error!(%error, "claims of an earlier life can't be released"),
        }
    }

    /// One look at everything; returns whether there may be more to do right now.
    async fn round(&self, watches: &mut Watches, stop: &watch::Receiver<bool>) -> Result<bool, StoreError> {
        if watches.clock.is_off(&self.store, &self.owner).await? {
            return Ok(false);
        }
        let adapters = rows::all(&mut self.store.read().await?).await?;
        for row in &adapters {
            if row.status == AdapterStatus::Paused {
                self.resume_if_back(row).await?;
            }
        }
        let due = issuance::claimable(&mut self.store.read().await?, BATCH).await?;
        let n_due = due.len();
        let ended: Vec<Result<(), StoreError>> = futures::stream::iter(due)
            // A request is claimed when its turn comes: once it is time to stop, the rest is left to others.
            .take_while(|_| std::future::ready(!*stop.borrow()))
            .map(|request| self.issue(request))
            .buffer_unordered(AT_ONCE)
            .inspect(|_| self.goes_on())
            .collect()
            .await;
        for result in ended {
            if let Err(error) = result {
                tracing::error!(%error, "a request could not be driven on");
            }
        }
        if self.revoke_all().await? {
            watches.crl.expect_news();
        }
        self.look_into_crls(&adapters, &mut watches.crl).await?;
        self.ask_about_renewals(&adapters, &mut watches.renewals, stop)
            .await?;
        // A full batch means that there may be more.
        Ok(n_due == usize::try_from(BATCH).unwrap_or(usize::MAX))
    }

    /// Resumes a paused adapter when its CA can work again.
    async fn resume_if_back(&self, row: &AdapterRow) -> Result<(), StoreError> {
        let Some(adapter) = self.roster.adapter(row) else {
            return Ok(());
        };
        match adapter.ready().await {
            Ok(()) => {
                let mut tx = self.store.begin().await?;
                issuance::resume_adapter(&mut tx, &row.id).await?;
                // What was left `issuing` because the CA went away is due at once, not when its lease
                // ends. No call is under way between two batches.
                let now = tx.now();
                jobs::release(&mut tx, &self.owner, now).await?;
                tx.commit().await?;
                tracing::info!(adapter = %row.name, "the adapter works again");
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                if row.paused_reason.as_deref() != Some(reason.as_str()) {
                    self.pause(&row.id, &reason).await?;
                }
                Ok(())
            }
        }
    }

    /// Pauses an adapter, saying why.
    async fn pause(&self, adapter_id: &str, reason: &str) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        issuance::pause_adapter(&mut tx, adapter_id, reason).await?;
        tx.commit().await?;
        tracing::warn!(adapter = adapter_id, reason, "the adapter is paused");
        Ok(())
    }

    /// Prolongs the credentials of all adapters that work; after how long that is due again.
    async fn renew_credentials(&self) -> Duration {
        let Ok(mut conn) = self.store.read().await else {
            return RENEW_AGAIN;
        };
        let Ok(adapters) = rows::all(&mut conn).await else {
            return RENEW_AGAIN;
        };
        drop(conn);
        let mut next = RENEW;
        for row in adapters {
            if row.status != AdapterStatus::Active {
                next = next.min(RENEW_AGAIN);
                continue;
            }
            let Some(adapter) = self.roster.adapter(&row) else {
                continue;
            };
            match adapter.renew_credential().await {
                Ok(None) => {}
                // Well before its end, so that there is time to try again.
                Ok(Some(lasts)) => next = next.min(lasts / 2).max(RENEW_SOON),
                // It still works until its end; who reads the log has time.
                Err(error) => {
                    next = next.min(RENEW_AGAIN);
                    tracing::warn!(adapter = %row.name, %error, "the issuer's credential can't be renewed");
                }
            }
        }
        next
    }
}

/// Until something changed that the issuer cares for.
async fn until_work(changes: &mut broadcast::Receiver<crate::wire::page::Change>) {
    loop {
        match changes.recv().await {
            Ok(change)
                if matches!(
                    change.entity,
                    EntityKind::Request | EntityKind::Job | EntityKind::Adapter
                ) =>
            {
                // One commit often changes several things; they are taken together.
                while changes.try_recv().is_ok() {}
                return;
            }
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            // The store is closed: only the period and the stop are left.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
