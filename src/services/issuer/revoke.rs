//! Revocations that were asked for, carried to the CA. A CA's yes is not yet the proof; that is in
//! `crl`.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use tokio::sync::watch;

use super::adapters::{Adapter, AdapterError, Published, RevocationAnswer, TakesBack, Withdrawal};
use super::backoff::next_attempt;
use super::expected::{Expected, expected};
use super::lanes::Lane;
use super::{AT_ONCE, Issuer, LEASE};
use crate::domain::adapter::{Pause, PauseKind};
use crate::domain::audit::{AuditEntry, AuditOutcome};
use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::domain::moment;
use crate::domain::reason::Reason;
use crate::store::jobs::{self, Job};
use crate::store::{
    StoreError, adapters as rows, apart, audit, certificates, known_crl, orders, revocation, unlisted,
    without_crl,
};

/// How soon it is tried again whether the issuer may revoke by now.
const DENIED_AGAIN: chrono::Duration = chrono::Duration::seconds(5);
impl Issuer {
    /// Carries out all that is due in a lane, several at a time; the oldest first, and one alone, since a CA that
    /// can't take it can't take the others either.
    pub(super) async fn revoke_all(
        &self,
        lane: &Lane,
        stop: &watch::Receiver<bool>,
    ) -> Result<bool, StoreError> {
        if self.clock_is_off().await? {
            return Ok(false);
        }
        let Some(first) = self.claim_revocation(lane, stop).await? else {
            return Ok(false);
        };
        self.revoke(&first).await?;
        let claims = futures::stream::try_unfold((), |()| async {
            let claimed = apart(self.claim_revocation(lane, stop)).await?;
            Ok::<_, StoreError>(claimed.map(|job| (job, ())))
        });
        claims
            .try_for_each_concurrent(AT_ONCE, |job| async move {
                self.work_goes_on(lane);
                if let Err(error) = apart(self.revoke(&job)).await {
                    // Its lease ends, and it is tried again.
                    tracing::error!(%error, "a revocation could not be driven on");
                }
                Ok::<(), StoreError>(())
            })
            .await?;
        Ok(false)
    }

    /// The oldest that is due, for this issuer alone; none once it is time to stop.
    async fn claim_revocation(
        &self,
        lane: &Lane,
        stop: &watch::Receiver<bool>,
    ) -> Result<Option<Job>, StoreError> {
        if *stop.borrow() {
            return Ok(None);
        }
        let mut tx = self.store.begin_behind().await?;
        let claimed = jobs::claim_revoke(&mut tx, lane.adapter.as_deref(), &self.owner, LEASE).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn revoke(&self, job: &Job) -> Result<(), StoreError> {
        let mut conn = self.store.read().await?;
        let id = job.certificate_id.as_deref().unwrap_or_default();
        let certificate = certificates::existing(&mut conn, id).await?;
        let row = match &certificate.adapter_id {
            Some(adapter) => rows::read(&mut conn, adapter).await?,
            None => None,
        };
        drop(conn);
        let Some(adapter) = row.and_then(|row| self.roster.adapter(&row)) else {
            let words = "no adapter leads to the CA of this certificate";
            return self.fail_revocation(job, words).await;
        };
        let reason = certificate
            .revocation
            .as_ref()
            .map_or(Reason::Unspecified, |it| it.reason);
        match withdraw(adapter.as_ref(), &certificate, reason).await {
            Ok((RevocationAnswer::Accepted, published)) => {
                self.accept(job, &certificate, published).await?;
                self.accepted.notify_one();
                Ok(())
            }
            Ok((RevocationAnswer::AlreadyExpired, _)) => {
                let mut tx = self.store.begin_behind().await?;
                let has_expired = revocation::expire_revocation(&mut tx, job).await?;
                tx.commit().await?;
                if has_expired {
                    tracing::info!(certificate = id, "it had expired, so the CA puts it on no CRL");
                    return Ok(());
                }
                let error = format!(
                    "the CA says that it has expired, and it is valid until {}: that is no answer",
                    moment::whole(certificate.not_after)
                );
                let at = self.ask_again(job, &error).await?;
                tracing::error!(certificate = id, error, %at, "the CA is asked again");
                Ok(())
            }
            // A lack of signatures is no reason not to revoke, and so no answer to this.
            Err(
                error @ (AdapterError::Away(_)
                | AdapterError::Sealed(_)
                | AdapterError::Unsigned(_)
                | AdapterError::ClockOff { .. }),
            ) => {
                let pause = Pause {
                    kind: match error {
                        AdapterError::Sealed(_) => PauseKind::Sealed,
                        _ => PauseKind::Stopped,
                    },
                    reason: error.to_string(),
                };
                let mut tx = self.store.begin_behind().await?;
                revocation::pause_revocation(&mut tx, job, &pause).await?;
                tx.commit().await?;
                Ok(())
            }
            Err(AdapterError::Denied(words)) => {
                let at = self.store.clock().now() + DENIED_AGAIN;
                let mut tx = self.store.begin_behind().await?;
                let is_news = revocation::deny_revocation(&mut tx, job, &words, at).await?;
                tx.commit().await?;
                if is_news {
                    tracing::error!(certificate = id, words, "the issuer may not revoke");
                }
                Ok(())
            }
            Err(AdapterError::Busy(words, pause)) => {
                let at = self.store.clock().now() + pause;
                let mut tx = self.store.begin_behind().await?;
                orders::wait_to_revoke(&mut tx, job, &words, at).await?;
                tx.commit().await?;
                tracing::warn!(certificate = id, words, %at, "the CA asks to be left alone");
                Ok(())
            }
            // A revocation is done once however often it is asked for.
            Err(AdapterError::Retry(error)) => {
                let at = self.ask_again(job, &error).await?;
                tracing::warn!(certificate = id, error, %at, "the CA did not revoke now; it is asked again");
                Ok(())
            }
            Err(AdapterError::Unknown(error)) => {
                let at = self.ask_again(job, &error).await?;
                tracing::warn!(certificate = id, error, %at, "no answer to a revocation; the CA is asked again");
                Ok(())
            }
            Err(AdapterError::Refused(words)) => self.fail_revocation(job, &words).await,
        }
    }

    /// Puts it back for later; until when.
    async fn ask_again(&self, job: &Job, error: &str) -> Result<DateTime<Utc>, StoreError> {
        let at = next_attempt(self.store.clock().now(), job.attempt, &job.id);
        let mut tx = self.store.begin_behind().await?;
        revocation::retry_revocation_later(&mut tx, job, error, at).await?;
        tx.commit().await?;
        Ok(at)
    }

    /// The CA said yes. By when its list has to prove that is on record, and in the audit where that is not at once.
    async fn accept(
        &self,
        job: &Job,
        certificate: &Certificate,
        published: Published,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin_behind().await?;
        let now = tx.now();
        revocation::accept_revocation(&mut tx, job, now).await?;
        let adapter = certificate.adapter_id.as_deref().unwrap_or_default();
        let known = known_crl::of(&mut tx, adapter).await?;
        let by = match expected(certificate, published, known, now) {
            Expected::Nowhere => {
                let is_sure = published == Published::SwitchedOff;
                without_crl::record(&mut tx, &certificate.id, is_sure).await?;
                None
            }
            Expected::By { at, words } => {
                unlisted::expect(&mut tx, &certificate.id, at).await?;
                if let Some(words) = words {
                    audit::append(&mut tx, listed_later(&certificate.id, words)).await?;
                }
                Some(at)
            }
        };
        tx.commit().await?;
        tracing::info!(
            certificate = %certificate.id, serial = %certificate.serial, in_crl_by = ?by,
            "the CA accepted the revocation"
        );
        Ok(())
    }

    async fn fail_revocation(&self, job: &Job, words: &str) -> Result<(), StoreError> {
        let mut tx = self.store.begin_behind().await?;
        revocation::fail_revocation(&mut tx, job, words).await?;
        tx.commit().await?;
        tracing::error!(
            certificate = job.certificate_id,
            words,
            "the CA refused a revocation"
        );
        Ok(())
    }
}

/// Takes a certificate back in the way that its CA can; says when that is in its CRL.
async fn withdraw(
    adapter: &dyn Adapter,
    certificate: &Certificate,
    reason: Reason,
) -> Result<(RevocationAnswer, Published), AdapterError> {
    let can = adapter.capabilities().await?;
    if can.revoke == TakesBack::Never {
        return Err(AdapterError::Refused("this CA takes nothing back".to_owned()));
    }
    if reason == Reason::CertificateHold && !can.hold {
        let words =
            "this CA puts nothing on hold, and a revocation would be for good: ask with another reason";
        return Err(AdapterError::Refused(words.to_owned()));
    }
    let what = Withdrawal {
        serial: certificate.serial.clone(),
        pem: certificate.pem.clone().unwrap_or_default(),
        reason,
    };
    Ok((adapter.revoke(&what).await?, can.crl))
}

fn listed_later(certificate_id: &str, detail: String) -> AuditEntry {
    AuditEntry {
        actor: "issuer".to_owned(),
        action: "revoke".to_owned(),
        entity_type: EntityKind::Certificate,
        entity_id: certificate_id.to_owned(),
        outcome: AuditOutcome::Done,
        reason: None,
        ticket: None,
        run_id: None,
        source: "issuer".to_owned(),
        detail: Some(detail),
    }
}
