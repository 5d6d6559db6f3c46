//! Revocations that were asked for, carried to the CA. A CA's yes is not yet the proof; that is in
//! `crl`.

use super::adapters::{AdapterError, RevocationAnswer, ToRevoke};
use super::backoff::next_attempt;
use super::{Issuer, LEASE, facts};
use crate::domain::reason::Reason;
use crate::store::jobs::{self, Job};
use crate::store::{StoreError, adapters as rows, certificates, orders, revocation, without_crl};

impl Issuer {
    /// Carries out all that is due; whether the CA accepted any.
    pub(super) async fn revoke_all(&self) -> Result<bool, StoreError> {
        let mut accepted = false;
        loop {
            let mut tx = self.store.begin().await?;
            let claimed = jobs::claim_revoke(&mut tx, &self.owner, LEASE).await?;
            tx.commit().await?;
            let Some(job) = claimed else {
                return Ok(accepted);
            };
            accepted |= self.revoke(&job).await?;
        }
    }

    async fn revoke(&self, job: &Job) -> Result<bool, StoreError> {
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
            self.fail_revocation(job, words).await?;
            return Ok(false);
        };
        if !adapter.capabilities().revoke {
            self.fail_revocation(job, "this CA takes nothing back").await?;
            return Ok(false);
        }
        let pem = certificate.pem.as_deref().unwrap_or_default();
        let what = ToRevoke {
            serial: &certificate.serial,
            pem,
            reason: certificate
                .revocation
                .as_ref()
                .map_or(Reason::Unspecified, |it| it.reason),
        };
        match adapter.revoke_for(what).await {
            Ok(RevocationAnswer::AlreadyExpired) => {
                let mut tx = self.store.begin().await?;
                revocation::expire_revocation(&mut tx, job).await?;
                tx.commit().await?;
                tracing::info!(certificate = id, "it had expired, so the CA puts it on no CRL");
                Ok(false)
            }
            Ok(RevocationAnswer::Accepted) => {
                let mut tx = self.store.begin().await?;
                let now = tx.now();
                revocation::accept_revocation(&mut tx, job, now).await?;
                if !adapter.capabilities().crl && facts::crl_url(pem).is_none() {
                    without_crl::record(&mut tx, id).await?;
                }
                tx.commit().await?;
                tracing::info!(certificate = id, serial = %certificate.serial, "the CA accepted the revocation");
                Ok(true)
            }
            Err(AdapterError::Away(reason)) => {
                let mut tx = self.store.begin().await?;
                revocation::pause_revocation(&mut tx, job, &reason).await?;
                tx.commit().await?;
                Ok(false)
            }
            Err(AdapterError::Busy(words, pause)) => {
                let at = self.store.clock().now() + pause;
                let mut tx = self.store.begin().await?;
                orders::wait_to_revoke(&mut tx, job, &words, at).await?;
                tx.commit().await?;
                tracing::warn!(certificate = id, words, %at, "the CA asks to be left alone");
                Ok(false)
            }
            // A revocation is done once however often it is asked for.
            Err(AdapterError::Retry(error) | AdapterError::Unknown(error)) => {
                let at = next_attempt(self.store.clock().now(), job.attempt, &job.id);
                let mut tx = self.store.begin().await?;
                revocation::retry_revocation_later(&mut tx, job, &error, at).await?;
                tx.commit().await?;
                tracing::warn!(certificate = id, error, %at, "the CA refused a revocation for now");
                Ok(false)
            }
            Err(AdapterError::Refused(words)) => {
                self.fail_revocation(job, &words).await?;
                Ok(false)
            }
        }
    }

    async fn fail_revocation(&self, job: &Job, words: &str) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
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
