//! The CA behind an adapter against those that the adapter knows. Somebody who stands before a CA can answer in its
//! place with a CA and a chain of their own, which fit each other: whose they are is known from before, or not at all.

use super::Issuer;
use chrono::TimeDelta;

use super::adapters::vault_pki::CLOCK_OFF;
use super::adapters::{Adapter, AdapterError};
use crate::domain::adapter::{Adapter as AdapterRow, Ca, StrangeCa};
use crate::domain::told::quoted;
use crate::store::certificates::NewCertificate;
use crate::store::issuance::{self, Issuing, SignedBy};
use crate::store::{StoreError, cas};

impl Issuer {
    /// The CA that an adapter shows, once it is ready. That this issuer's own clock is off is told of the issuer, and is no
    /// trouble of the CA: the database knows a third clock.
    pub(super) async fn shown_by(&self, adapter: &dyn Adapter) -> Result<Option<Ca>, AdapterError> {
        match adapter.ready().await {
            Err(AdapterError::ClockOff { ahead, .. }) if self.is_ahead_by(ahead).await => {}
            ready => ready?,
        }
        Ok(adapter.ca().await)
    }

    /// True if this issuer's clock is off the database's by as much.
    async fn is_ahead_by(&self, ahead: TimeDelta) -> bool {
        let own = self.store.clock_off().await.ok().flatten();
        own.is_some_and(|own| (own.ahead() - ahead).abs() <= CLOCK_OFF)
    }

    /// Holds the CA that is shown against those that the adapter knows: the first one is kept, another one stops the
    /// adapter. True if nothing is against its work.
    pub(super) async fn holds_ca(&self, row: &AdapterRow, shown: Option<Ca>) -> Result<bool, StoreError> {
        if let Some(strange) = &row.strange_ca {
            // A CA that was only shown is over once the known one is seen again.
            let stays = |ca: &Ca| strange.signed || strange.is(ca);
            if shown.as_ref().is_none_or(stays) {
                let pause = row.another_ca(strange);
                if !row.is_paused_for(&pause) {
                    self.pause(&row.id, &pause).await?;
                }
                return Ok(false);
            }
        }
        let Some(ca) = shown else { return Ok(true) };
        if row.knows(&ca) && row.strange_ca.is_none() && !row.lacks_certificate_of(&ca) {
            return Ok(true);
        }
        let mut tx = self.store.begin().await?;
        let now_kept = cas::keep_first(&mut tx, &row.id, &ca).await?;
        let holds = if now_kept.knows(&ca) {
            cas::is_back(&mut tx, &row.id).await?
        } else {
            let strange = StrangeCa::shown(ca, tx.now());
            tracing::error!(adapter = %row.name, ca = ?strange.ca, "another CA answers: the adapter is paused");
            cas::stop_for(&mut tx, &row.id, &strange).await?;
            false
        };
        tx.commit().await?;
        Ok(holds)
    }

    /// The CA that signed for a request, if it is none that the adapter, as it is now, knows. Where no CA is known yet, the first is
    /// that of a certificate as it was asked for.
    pub(super) async fn strange(
        &self,
        issuing: &Issuing,
        ca: &Ca,
        row: Option<AdapterRow>,
        is_as_asked: bool,
    ) -> Result<Option<StrangeCa>, StoreError> {
        let id = &issuing.request.adapter_id;
        let knows = match row {
            Some(row) if !row.cas.is_empty() => row.knows(ca),
            _ if is_as_asked => {
                let mut tx = self.store.begin_behind().await?;
                let row = cas::keep_first(&mut tx, id, ca).await?;
                tx.commit().await?;
                row.knows(ca)
            }
            _ => true,
        };
        Ok((!knows).then(|| StrangeCa::signed(ca.clone(), self.store.clock().now())))
    }

    /// Somebody else signed: the certificate is on record as one that is refused, and the adapter pauses. `why` no key
    /// that is known has signed it, where its own is not known.
    pub(super) async fn refuse_strange(
        &self,
        issuing: &Issuing,
        new: &NewCertificate,
        strange: &StrangeCa,
        why: &str,
    ) -> Result<(), StoreError> {
        let id = &issuing.request.id;
        let words = match &strange.ca {
            Some(ca) => format!(
                "the certificate is signed by another CA than its adapter is known for: by the key {} (SHA-256), which \
                 calls itself {}",
                ca.spki_sha256,
                quoted(&ca.subject)
            ),
            None => format!(
                "the certificate is signed by a key that is none of those that its adapter's CAs are known for: {why}"
            ),
        };
        let mut tx = self.store.begin_behind().await?;
        let certificate = issuance::refuse_issue(&mut tx, id, new, &words, SignedBy::Stranger).await?;
        cas::stop_for(&mut tx, &issuing.request.adapter_id, strange).await?;
        tx.commit().await?;
        tracing::error!(
            request = %id, certificate, serial = %new.serial, sha256 = %new.fingerprint_sha256, words,
            "what another CA signed is refused"
        );
        Ok(())
    }
}
