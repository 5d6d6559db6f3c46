//! The issuer: has requests signed and revocations carried out by the CAs behind its adapters. It
//! decides nothing about who may have what; that was decided when the request was made.
//!
//! Everything that it is about to do is in the database before it is done, so that it can be killed
//! between any two lines: what was `issuing` is looked for at the CA before it is signed again.

pub mod adapters;
mod backoff;
mod crl;
pub mod facts;
mod issue;
mod revoke;
mod roster;
mod steps;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::clients::acme::ExternalAccount;
use crate::domain::adapter::{Adapter as AdapterRow, AdapterStatus};
use crate::domain::id::EntityKind;
use crate::domain::secret::Secret;
use crate::store::{Store, StoreError, adapters as rows, issuance, jobs};

pub(crate) use issue::inventory;
use roster::Roster;

/// How often it looks for work that nobody woke it for: another process may have written it.
const PERIOD: Duration = Duration::from_secs(5);
/// How long a claim holds when its worker is gone.
const LEASE: chrono::Duration = chrono::Duration::seconds(30);
/// Requests claimed at once, and calls to a CA at once.
const BATCH: u32 = 32;
const AT_ONCE: usize = 4;
/// How often the credential for the CA is prolonged.
const RENEW: Duration = Duration::from_secs(3600);
/// And how soon again where that did not come about.
const RENEW_AGAIN: Duration = Duration::from_secs(60);

/// The issuer. One may run in each process; claims keep them apart.
pub struct Issuer {
    store: Store,
    owner: String,
    roster: Roster,
}

impl Issuer {
    /// An issuer called `owner`, a name that no other one has, with its token at Vault.
    #[must_use]
    pub fn new(store: Store, owner: impl Into<String>, vault_token: Secret) -> Self {
        Self {
            store,
            owner: owner.into(),
            roster: Roster::new(vault_token),
        }
    }

    /// With what binds a new account at an ACME CA to one that it knows.
    #[must_use]
    pub fn with_external_account(mut self, external: Option<ExternalAccount>) -> Self {
        self.roster.external_account = external;
        self
    }

    /// Works until `stop` says true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut changes = self.store.changes();
        self.release_earlier_claims().await;
        let mut crl = crl::Watch::default();
        let mut renew_at = Instant::now();
        loop {
            let again = match self.round(&mut crl, &stop).await {
                Ok(again) => again,
                Err(error) => {
                    tracing::error!(%error, "the issuer can't use the database");
                    false
                }
            };
            if renew_at <= Instant::now() {
                let all = self.renew_credentials().await;
                renew_at = Instant::now() + if all { RENEW } else { RENEW_AGAIN };
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
                () = tokio::time::sleep(crl.next_look(PERIOD)) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// What an earlier life of this very issuer had claimed is free again at once.
    async fn release_earlier_claims(&self) {
        let released = async {
            let mut tx = self.store.begin().await?;
            let n = jobs::release(&mut tx, &self.owner).await?;
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
    async fn round(&self, crl: &mut crl::Watch, stop: &watch::Receiver<bool>) -> Result<bool, StoreError> {
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
            .collect()
            .await;
        for result in ended {
            if let Err(error) = result {
                tracing::error!(%error, "a request could not be driven on");
            }
        }
        if self.revoke_all().await? {
            crl.expect_news();
        }
        self.look_into_crls(&adapters, crl).await?;
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
                jobs::release(&mut tx, &self.owner).await?;
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

    /// Prolongs the tokens of all adapters that work; whether that is done for now.
    async fn renew_credentials(&self) -> bool {
        let Ok(mut conn) = self.store.read().await else {
            return false;
        };
        let Ok(adapters) = rows::all(&mut conn).await else {
            return false;
        };
        drop(conn);
        let mut all = true;
        for row in adapters {
            if row.status != AdapterStatus::Active {
                all = false;
                continue;
            }
            let Some(adapter) = self.roster.adapter(&row) else {
                continue;
            };
            // A token that can't be renewed still works until its end; who reads the log has time.
            if let Err(error) = adapter.renew_credential().await {
                all = false;
                tracing::warn!(adapter = %row.name, %error, "the issuer's token can't be renewed");
            }
        }
        all
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
