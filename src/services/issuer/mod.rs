//! The issuer: has requests signed and revocations carried out by the CAs behind its adapters. It
//! decides nothing about who may have what; that was decided when the request was made.
//!
//! Everything that it is about to do is in the database before it is done, so that it can be killed
//! between any two lines: what was `issuing` is looked for at the CA before it is signed again.

pub mod adapters;
#[cfg(test)]
mod answers_tests;
mod backoff;
#[cfg(test)]
mod bench;
mod clock;
mod crl;
mod crl_again;
mod expected;
#[cfg(test)]
mod forged_tests;
mod issue;
mod known_ca;
mod lanes;
#[cfg(test)]
mod lanes_tests;
#[cfg(test)]
mod mood;
mod renewals;
#[cfg(test)]
mod renewals_tests;
mod revoke;
mod roster;
mod steps;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unlisted_tests;
mod way;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use tokio::sync::{Mutex, Notify, broadcast, mpsc, watch};

use self::adapters::{Adapter, AdapterError};
use super::beat::Beat;
use crate::clients::acme::ExternalAccount;
use crate::clients::vault::Login;
use crate::domain::adapter::{Adapter as AdapterRow, AdapterStatus};
use crate::domain::adapter::{Pause, PauseKind};
use crate::domain::id::EntityKind;
use crate::domain::worker::Duty;
use crate::store::issuance::Issuing;
use crate::store::{Store, StoreError, adapters as rows, apart, claims, issuance, jobs};
use crate::wire::page::Change;

use issue::Signed;
use lanes::{Lane, WentOn};
use roster::Roster;

/// How often it looks for work that nobody woke it for: another process may have written it.
const PERIOD: Duration = Duration::from_secs(5);
/// Between two looks for work, unless there is surely more.
const REST: Duration = Duration::from_millis(100);
/// How long a claim holds when its worker is gone.
const LEASE: chrono::Duration = chrono::Duration::seconds(30);
/// Nothing is signed with less of the claim left: who takes it over when it ends has to find what the CA was
/// asked before. A call to a CA takes half of it at most.
const MARGIN: chrono::Duration = chrono::Duration::seconds(20);
/// For so long a CA may still be at a call whose caller is gone: only then is it asked what it has signed.
const SETTLES: chrono::Duration = chrono::Duration::seconds(5);
/// Requests claimed at once, and recorded at once.
const BATCH: u32 = 64;
const RECORDED_AT_ONCE: usize = 32;
/// Calls to one CA at once: so many to sign, and so many to revoke.
const SIGNED_AT_ONCE: usize = 16;
const AT_ONCE: usize = 4;
/// Records that are written beside each other.
const WRITERS: usize = 2;
/// How often the credential for the CA is prolonged, at the most and at the least.
const RENEW: Duration = Duration::from_secs(3600);
const RENEW_SOON: Duration = Duration::from_secs(5);
/// And how soon again where that did not come about.
const RENEW_AGAIN: Duration = Duration::from_secs(60);

/// A piece of work that takes longer is one that hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A request that was claimed, the CA that it is for, and the time of the claim.
struct Claimed {
    adapter: Arc<dyn Adapter>,
    issuing: Issuing,
    at: DateTime<Utc>,
}

/// The issuer. One may run in each process; claims keep them apart.
pub struct Issuer {
    store: Store,
    owner: String,
    roster: Roster,
    clock: Mutex<clock::Watch>,
    /// Rung with each revocation that a CA accepted.
    accepted: Notify,
    beat: Option<Beat>,
    went_on: std::sync::Mutex<WentOn>,
}

impl Issuer {
    /// An issuer called `owner`, a name that no other one has, with its login at Vault.
    #[must_use]
    pub fn new(store: Store, owner: impl Into<String>, vault_login: Login) -> Self {
        Self {
            store,
            owner: owner.into(),
            roster: Roster::new(vault_login),
            clock: Mutex::default(),
            accepted: Notify::new(),
            beat: None,
            went_on: std::sync::Mutex::default(),
        }
    }

    /// With what binds a new account at an ACME CA to one that it knows.
    #[must_use]
    pub fn with_external_account(mut self, external: Option<ExternalAccount>) -> Self {
        self.roster.external_account = external;
        self
    }

    /// Works until `stop` says true. Signing and revoking for each adapter, the proof of revocations, renewals and
    /// credentials go on beside each other: none waits for what another has before it.
    pub async fn run(mut self, stop: watch::Receiver<bool>) {
        let beat = Beat::begin(self.store.clone(), Duty::Issuer, self.owner.clone(), PATIENCE);
        self.beat = Some(beat);
        self.release_earlier_claims().await;
        tokio::join!(
            apart(self.in_lanes(stop.clone())),
            apart(self.prove_along(stop.clone())),
            apart(self.ask_along(stop.clone())),
            apart(self.renew_along(stop.clone())),
            apart(self.look_along(stop)),
        );
    }

    async fn ask_along(&self, mut stop: watch::Receiver<bool>) {
        let mut changes = self.store.changes();
        let mut watch = renewals::Watch::default();
        loop {
            let done = self.ask_all(&mut watch, &stop).await;
            if !goes_on(done, &mut changes, &mut stop).await {
                return;
            }
        }
    }

    /// Looks into the CRLs by their own time: soon after a CA accepted something, however much more waits to
    /// be revoked, and more and more seldom while a list lacks what it should hold.
    async fn prove_along(&self, mut stop: watch::Receiver<bool>) {
        let (mut watch, mut again) = (crl::Watch::default(), crl_again::Again::default());
        loop {
            // Before the other, which then has asked once more what is missing.
            let looked = match self.look_into_crls_again(&mut again).await {
                Ok(()) => self.look_into_crls(&mut watch).await,
                failed => failed,
            };
            if let Err(error) = looked {
                tracing::error!(%error, "the issuer can't use the database");
            }
            let accepted = tokio::select! {
                () = self.accepted.notified() => true,
                () = tokio::time::sleep(watch.next_look(PERIOD)) => false,
                () = told(&mut stop) => return,
            };
            if accepted {
                watch.expect_news();
                // What is accepted meanwhile is looked for together.
                tokio::select! {
                    () = tokio::time::sleep(crl::FIRST) => {}
                    () = told(&mut stop) => return,
                }
            }
        }
    }

    /// Prolongs the credentials for the CAs.
    async fn renew_along(&self, mut stop: watch::Receiver<bool>) {
        loop {
            let next = self.renew_credentials().await;
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = told(&mut stop) => return,
            }
        }
    }

    /// Whether nothing may be claimed, since this issuer's clock is off.
    async fn clock_is_off(&self) -> Result<bool, StoreError> {
        self.clock.lock().await.is_off(&self.store, &self.owner).await
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

    /// Has signed what is due at one CA: what claims, what has it signed and what records it go on beside each other.
    async fn sign_all(
        &self,
        adapter: &str,
        lane: &Lane,
        stop: &watch::Receiver<bool>,
    ) -> Result<bool, StoreError> {
        // That a CA is back is seen by any clock, and claims nothing.
        let row = rows::read(&mut self.store.read().await?, adapter).await?;
        if let Some(row) = row.filter(|row| row.status == AdapterStatus::Paused) {
            self.resume_if_back(&row).await?;
        }
        let (claimed, to_sign) = mpsc::channel(SIGNED_AT_ONCE);
        let (signed, to_record) = mpsc::channel(RECORDED_AT_ONCE);
        let (to_sign, to_record) = (Mutex::new(to_sign), Mutex::new(to_record));
        let signers =
            (0..SIGNED_AT_ONCE).map(|_| apart(self.sign_along(lane, stop, &to_sign, signed.clone())));
        let writers = (0..WRITERS).map(|_| apart(self.record_along(lane, &to_record)));
        let (signers, writers) = (join_all(signers), join_all(writers));
        // Each ends once those before it have.
        drop(signed);
        let (all_claimed, not_begun, _) =
            tokio::join!(apart(self.claim_along(adapter, stop, claimed)), signers, writers);
        let not_begun = not_begun.concat();
        if !not_begun.is_empty() {
            let mut tx = self.store.begin_behind().await?;
            claims::give_back(&mut tx, &not_begun, &self.owner).await?;
            tx.commit().await?;
        }
        all_claimed.map(|()| false)
    }

    /// Claims batch after batch, until nothing more is due or it is time to stop.
    async fn claim_along(
        &self,
        adapter: &str,
        stop: &watch::Receiver<bool>,
        claimed: mpsc::Sender<Claimed>,
    ) -> Result<(), StoreError> {
        while !*stop.borrow() {
            let batch = self.claim(adapter).await?;
            let n = batch.len();
            for it in batch {
                // Signers are there until the last one is claimed.
                drop(claimed.send(it).await);
            }
            // A full batch means that there may be more.
            if n < usize::try_from(BATCH).unwrap_or(usize::MAX) {
                break;
            }
        }
        Ok(())
    }

    /// Has one after the other signed, until nothing more comes; gives those that were claimed and not begun, since it was
    /// time to stop: they are left to others.
    async fn sign_along(
        &self,
        lane: &Lane,
        stop: &watch::Receiver<bool>,
        to_sign: &Mutex<mpsc::Receiver<Claimed>>,
        signed: mpsc::Sender<Signed>,
    ) -> Vec<Issuing> {
        let mut not_begun = Vec::new();
        loop {
            let next = to_sign.lock().await.recv().await;
            let Some(claimed) = next else {
                return not_begun;
            };
            if *stop.borrow() {
                not_begun.push(claimed.issuing);
                continue;
            }
            match self.sign(claimed).await {
                // Who records it is there until the last one is signed.
                Ok(Some(it)) => drop(signed.send(it).await),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "a request could not be driven on"),
            }
            self.work_goes_on(lane);
        }
    }

    /// Records what is signed, together what came meanwhile, until nothing more comes.
    async fn record_along(&self, lane: &Lane, to_record: &Mutex<mpsc::Receiver<Signed>>) {
        loop {
            let mut signed = Vec::with_capacity(RECORDED_AT_ONCE);
            to_record
                .lock()
                .await
                .recv_many(&mut signed, RECORDED_AT_ONCE)
                .await;
            if signed.is_empty() {
                return;
            }
            self.record(signed).await;
            self.work_goes_on(lane);
        }
    }

    /// Claims what is due at one CA, a batch of it; nothing where its adapter can't be worked with.
    async fn claim(&self, adapter_id: &str) -> Result<Vec<Claimed>, StoreError> {
        if self.clock_is_off().await? {
            return Ok(Vec::new());
        }
        let row = rows::read(&mut self.store.read().await?, adapter_id).await?;
        let Some(row) = row.filter(|row| row.status == AdapterStatus::Active) else {
            return Ok(Vec::new());
        };
        let mut tx = self.store.begin_behind().await?;
        let at = tx.now();
        let Some(adapter) = self.roster.adapter(&row) else {
            if claims::is_due(&mut tx, adapter_id).await? {
                let pause = Pause::new(PauseKind::Stopped, "the adapter's configuration makes no sense");
                issuance::pause_adapter(&mut tx, adapter_id, &pause).await?;
            }
            tx.commit().await?;
            return Ok(Vec::new());
        };
        let claimed = claims::claim(&mut tx, adapter_id, &self.owner, LEASE, BATCH).await?;
        tx.commit().await?;
        let of_batch = |issuing| Claimed {
            adapter: Arc::clone(&adapter),
            issuing,
            at,
        };
        Ok(claimed.into_iter().map(of_batch).collect())
    }

    /// Asks the CAs when to renew what they signed, as far as that is due.
    async fn ask_all(
        &self,
        watch: &mut renewals::Watch,
        stop: &watch::Receiver<bool>,
    ) -> Result<bool, StoreError> {
        if self.clock_is_off().await? {
            return Ok(false);
        }
        let adapters = rows::all(&mut self.store.read().await?).await?;
        self.ask_about_renewals(&adapters, watch, stop).await?;
        Ok(false)
    }

    /// Resumes a paused adapter when its CA can work again.
    async fn resume_if_back(&self, row: &AdapterRow) -> Result<(), StoreError> {
        let Some(adapter) = self.roster.adapter(row) else {
            return Ok(());
        };
        match self.shown_by(adapter.as_ref()).await {
            Ok(shown) => {
                if !self.holds_ca(row, shown).await? {
                    return Ok(());
                }
                let mut tx = self.store.begin().await?;
                issuance::resume_adapter(&mut tx, &row.id).await?;
                // What was left `issuing` because the CA went away is due at once, not when its lease
                // ends. No signature of this adapter is under way between two batches.
                let now = tx.now();
                issuance::release(&mut tx, &self.owner, Some(&row.id), now).await?;
                tx.commit().await?;
                tracing::info!(adapter = %row.name, "the adapter works again");
                Ok(())
            }
            // Its pause says more: that it can't sign either makes nothing of it trustworthy.
            Err(AdapterError::Unsigned(_) | AdapterError::ClockOff { .. })
                if row.is_paused_as(PauseKind::AnotherCa) =>
            {
                Ok(())
            }
            Err(error) => {
                let pause = self.pause_of(row, &error);
                if !row.is_paused_for(&pause) {
                    self.pause(&row.id, &pause).await?;
                }
                Ok(())
            }
        }
    }

    /// Pauses an adapter, saying why.
    async fn pause(&self, adapter_id: &str, pause: &Pause) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        issuance::pause_adapter(&mut tx, adapter_id, pause).await?;
        tx.commit().await?;
        let (kind, reason) = (pause.kind.word(), &pause.reason);
        tracing::warn!(adapter = adapter_id, kind, reason, "the adapter is paused");
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
        let each = adapters.iter().map(|row| self.renew_credential_of(row));
        join_all(each).await.into_iter().min().unwrap_or(RENEW)
    }

    async fn renew_credential_of(&self, row: &AdapterRow) -> Duration {
        if !row.does_more_than_sign() {
            return RENEW_AGAIN;
        }
        let Some(adapter) = self.roster.adapter(row) else {
            return RENEW;
        };
        match adapter.renew_credential().await {
            Ok(None) => RENEW,
            // Well before its end, so that there is time to try again.
            Ok(Some(lasts)) => (lasts / 2).clamp(RENEW_SOON, RENEW),
            // The credential works until its end, so whoever reads the log has time.
            Err(error) => {
                tracing::warn!(adapter = %row.name, %error, "the issuer's credential can't be renewed");
                RENEW_AGAIN
            }
        }
    }
}

/// After one look: waits until something changed or a while has passed, unless there may be more to do at
/// once. Whether it goes on then; between two looks nothing is claimed, so that another issuer can go on at once. The
/// first change is looked at at once, those that follow it together: hundreds of revocations are as many changes, and each
/// lane would look for work after each.
async fn goes_on(
    done: Result<bool, StoreError>,
    changes: &mut broadcast::Receiver<Change>,
    stop: &mut watch::Receiver<bool>,
) -> bool {
    let again = done.unwrap_or_else(|error| {
        tracing::error!(%error, "the issuer can't use the database");
        false
    });
    if *stop.borrow() || again {
        return !*stop.borrow();
    }
    let rested = tokio::time::Instant::now() + REST;
    let woken = async {
        until_work(changes).await;
        tokio::time::sleep_until(rested).await;
        while changes.try_recv().is_ok() {}
    };
    tokio::select! {
        () = woken => true,
        () = tokio::time::sleep(PERIOD) => true,
        () = told(stop) => false,
    }
}

/// Until it is time to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Until something changed that the issuer cares for.
async fn until_work(changes: &mut broadcast::Receiver<Change>) {
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
