//! Revocations: from the wish, which is durable at once, over the CA's yes to the proof in a CRL. The
//! key is blocked with the wish, whatever the CA says later.

use chrono::{DateTime, Utc};

use crate::domain::adapter::Pause;
use crate::domain::audit::{AuditEntry, AuditOutcome};
use crate::domain::certificate::{Certificate, CertificateStatus};
use crate::domain::id::EntityKind;
use crate::domain::reason::Reason;
use crate::domain::told::told;
use crate::problem::Problem;
use crate::wire::agents::JobResult;

use super::issuance::pause_adapter;
use super::issuing::by_issuer;
use super::jobs::{Job, Of};
use super::queue;
use super::statement::sql;
use super::{StoreError, Tx, audit, certificates, compromise, jobs};

/// Somebody wants it revoked: status `revocation_pending`, the key blocked on `keyCompromise`, and the
/// issuer's job. Returns the certificate after that and the job. The audit row is the caller's.
///
/// # Errors
/// It is revoked already (only its reason may still become `keyCompromise`), unknown, or the database
/// doesn't answer.
pub async fn ask(tx: &mut Tx, id: &str, reason: Reason) -> Result<(Certificate, String), StoreError> {
    let certificate = certificates::lock(tx, id).await?;
    let now = tx.now();
    if certificate.not_after <= now {
        return Err(expired(&certificate).into());
    }
    match &certificate.revocation {
        Some(before) if worsens(before.reason, reason) => {
            // The date stays: RFC 5280 knows only the change of the reason.
            change(
                tx,
                "UPDATE certificates SET revocation_reason = $2, version = version + 1, updated_at = $3 \
                 WHERE id = $1",
                id,
                reason,
                now,
            )
            .await?;
        }
        Some(before) => {
            let queued = queued_job(tx, id).await?;
            let is_over =
                certificate.status == CertificateStatus::Revoked && certificate.missed_in_crl(now).is_none();
            if is_over || queued.is_some() {
                return Err(twice(&certificate, before.reason, reason).into());
            }
            // The CA refused the earlier wish for good, or its list lacks what it said yes to: asked again, it is tried
            // again.
        }
        None if certificate
            .status
            .may_become(CertificateStatus::RevocationPending) =>
        {
            change(
                tx,
                "UPDATE certificates SET status = 'revocation_pending', revocation_reason = $2, \
                 revocation_asked_at = $3, version = version + 1, updated_at = $3 WHERE id = $1",
                id,
                reason,
                now,
            )
            .await?;
        }
        None => {
            return Err(Problem::conflict(format!(
                "certificate `{id}` can't be revoked: it is {}",
                certificate.status.word()
            ))
            .into());
        }
    }
    if reason == Reason::KeyCompromise {
        compromise::mark(tx, &certificate.spki_sha256).await?;
    }
    if reason != Reason::CertificateHold {
        jobs::withdraw(tx, Of::Certificate(id), "the certificate is being revoked").await?;
    }
    tx.changed(EntityKind::Key, &certificate.spki_sha256);
    let job = match queued_job(tx, id).await? {
        Some(job) => job,
        None => queue::revoke(tx, id).await?,
    };
    Ok((certificates::existing(tx, id).await?, job))
}

fn worsens(before: Reason, now: Reason) -> bool {
    now == Reason::KeyCompromise && before != Reason::KeyCompromise
}

/// No CRL has to list what has expired (RFC 5280 §3.3), so that the revocation would never be proven.
fn expired(certificate: &Certificate) -> Problem {
    Problem::conflict(format!(
        "certificate `{}` expired at {}: it is refused without a revocation",
        certificate.id,
        certificate.not_after.to_rfc3339()
    ))
    .hint(format!(
        "if its key leaked, block that: `POST /api/v1/keys/{}/compromise`",
        certificate.spki_sha256
    ))
}

fn twice(certificate: &Certificate, before: Reason, now: Reason) -> Problem {
    let is_listed = certificate
        .revocation
        .as_ref()
        .is_some_and(|it| it.in_crl_by.is_none() || it.in_crl_at.is_some());
    let what = match certificate.status {
        CertificateStatus::Revoked if is_listed => "is revoked already",
        CertificateStatus::Revoked => "is revoked already, and the issuer waits for its CA's CRL",
        _ => "is being revoked already",
    };
    let problem = Problem::conflict(format!("certificate `{}` {what}, for {before}", certificate.id));
    // The worst reason on record can't be worsened.
    if Reason::KeyCompromise == now || Reason::KeyCompromise == before {
        problem
    } else {
        problem.hint("only its reason may still change, to `keyCompromise`")
    }
}

async fn change(
    tx: &mut Tx,
    text: &'static str,
    id: &str,
    reason: Reason,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sql(text)
        .bind(id)
        .bind(reason.name())
        .bind(now)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("recording a revocation"))?;
    tx.changed(EntityKind::Certificate, id);
    Ok(())
}

async fn queued_job(tx: &mut Tx, id: &str) -> Result<Option<String>, StoreError> {
    sql("SELECT id FROM jobs WHERE certificate_id = $1 AND kind = 'revoke' AND status = 'queued' LIMIT 1")
        .bind(id)
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because("looking for a revocation under way"))
}

/// The CA said yes: status `revoked`, the job is done. It is not proven before it is in a CRL.
///
/// # Errors
/// The job isn't a revocation, or the database doesn't answer.
pub async fn accept_revocation(
    tx: &mut Tx,
    job: &Job,
    accepted_at: DateTime<Utc>,
) -> Result<Certificate, StoreError> {
    let id = about(job)?;
    let now = tx.now();
    sql("UPDATE certificates SET status = 'revoked', \
         revocation_accepted_at = COALESCE(revocation_accepted_at, $2), version = version + 1, \
         updated_at = $3 WHERE id = $1 AND status IN ('revocation_pending', 'revoked')")
    .bind(id)
    .bind(accepted_at)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording that the CA revoked"))?;
    tx.changed(EntityKind::Certificate, id);
    let certificate = certificates::existing(tx, id).await?;
    tx.changed(EntityKind::Key, &certificate.spki_sha256);
    jobs::finish(tx, &job.id, &JobResult::done()).await?;
    let detail = Some(format!("the CA accepted serial {}", certificate.serial));
    let entry = by_issuer("revoke", EntityKind::Certificate, id, AuditOutcome::Done, detail);
    audit::note(tx, entry);
    Ok(certificate)
}

/// The CA says that the certificate expired before it was asked: where that is so, it is revoked here, and on no CRL. Returns
/// whether it is: the end of a certificate is known here, and nothing is changed before it.
///
/// # Errors
/// The job isn't a revocation, or the database doesn't answer.
pub async fn expire_revocation(tx: &mut Tx, job: &Job) -> Result<bool, StoreError> {
    let id = about(job)?;
    let now = tx.now();
    if certificates::lock(tx, id).await?.not_after > now {
        return Ok(false);
    }
    sql(
        "UPDATE certificates SET status = 'revoked', version = version + 1, updated_at = $2 \
         WHERE id = $1 AND status IN ('revocation_pending', 'revoked')",
    )
    .bind(id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording an expired revocation"))?;
    tx.changed(EntityKind::Certificate, id);
    jobs::finish(tx, &job.id, &JobResult::done()).await?;
    let detail = Some("it expired before the CA revoked it; no CRL lists it".to_owned());
    let entry = by_issuer("revoke", EntityKind::Certificate, id, AuditOutcome::Done, detail);
    audit::note(tx, entry);
    Ok(true)
}

/// Nobody can be asked to revoke it, since no CA of ours has signed it: it is revoked here, and that is the end.
///
/// # Errors
/// The database doesn't answer.
pub(super) async fn end_without_ca(tx: &mut Tx, id: &str, why: &str) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "UPDATE certificates SET status = 'revoked', without_crl_at = $2, version = version + 1, updated_at = $2 \
         WHERE id = $1 AND status = 'revocation_pending'",
    )
    .bind(id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording a revocation that no CA carries out"))?;
    tx.changed(EntityKind::Certificate, id);
    if let Some(job) = queued_job(tx, id).await? {
        jobs::finish(tx, &job, &JobResult::done()).await?;
    }
    let detail = Some(why.to_owned());
    let entry = by_issuer("revoke", EntityKind::Certificate, id, AuditOutcome::Done, detail);
    audit::note(tx, entry);
    Ok(())
}

/// A certificate that came back from the CA must not be used: it is revoked at once, and `why` is on record.
///
/// # Errors
/// The database doesn't answer.
pub async fn take_back(tx: &mut Tx, id: &str, reason: Reason, why: &str) -> Result<(), StoreError> {
    ask(tx, id, reason).await?;
    let detail = Some(why.to_owned());
    let entry = by_issuer("revoke", EntityKind::Certificate, id, AuditOutcome::Asked, detail);
    audit::note(tx, entry);
    Ok(())
}

/// The CA can't be asked now (sealed): the job waits, no attempt is burnt, the adapter is paused.
///
/// # Errors
/// The job isn't a revocation, or the database doesn't answer.
pub async fn pause_revocation(tx: &mut Tx, job: &Job, pause: &Pause) -> Result<(), StoreError> {
    let certificate = certificates::existing(tx, about(job)?).await?;
    jobs::put_back(tx, &job.id, &pause.reason, None, false).await?;
    match &certificate.adapter_id {
        Some(adapter) => pause_adapter(tx, adapter, pause).await,
        None => Ok(()),
    }
}

/// The issuer may not revoke at this CA: all revocations there wait until `at`, no attempt is burnt, and what it
/// signs goes on. Returns whether that is news of this one; only then it is put on record.
///
/// # Errors
/// The job isn't a revocation, or the database doesn't answer.
pub async fn deny_revocation(
    tx: &mut Tx,
    job: &Job,
    error: &str,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let id = about(job)?;
    jobs::put_back(tx, &job.id, error, Some(at), false).await?;
    // Whoever tries for one tries for all: a long queue asks the CA no more often than a short one.
    sql(
        "UPDATE jobs SET error_message = $2, next_attempt_at = $3 WHERE agent_id IS NULL AND kind = 'revoke' \
         AND status = 'queued' AND claimed_by IS NULL AND EXISTS (SELECT 1 FROM certificates c WHERE c.id = jobs.certificate_id \
           AND c.adapter_id = (SELECT d.adapter_id FROM certificates d WHERE d.id = $1))",
    )
    .bind(id)
    .bind(told(error))
    .bind(at)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("letting revocations wait"))?;
    let is_news = job.error_message.as_deref() != Some(told(error).as_str());
    if is_news {
        tx.changed(EntityKind::Certificate, id);
        let detail = Some("it waits, and goes on by itself when it may".to_owned());
        let mut entry = by_issuer(
            "revoke",
            EntityKind::Certificate,
            id,
            AuditOutcome::Failed,
            detail,
        );
        entry.reason = Some(error.to_owned());
        audit::note(tx, entry);
    }
    Ok(is_news)
}

/// The CA did not do it now, or did not answer: again at `at`, one attempt burnt. That it waits is put on record once,
/// however often it is tried.
///
/// # Errors
/// The job isn't a revocation, or the database doesn't answer.
pub async fn retry_revocation_later(
    tx: &mut Tx,
    job: &Job,
    error: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let id = about(job)?;
    jobs::put_back(tx, &job.id, error, Some(at), true).await?;
    if job.error_message.is_some() {
        return Ok(());
    }
    let detail = Some("it waits, and is asked again by itself".to_owned());
    let mut entry = by_issuer(
        "revoke",
        EntityKind::Certificate,
        id,
        AuditOutcome::Unknown,
        detail,
    );
    entry.reason = Some(error.to_owned());
    audit::note(tx, entry);
    Ok(())
}

/// The CA refused for good. The wish stays; somebody has to look, and may ask again.
///
/// # Errors
/// The job isn't a revocation, or the database doesn't answer.
pub async fn fail_revocation(tx: &mut Tx, job: &Job, error: &str) -> Result<(), StoreError> {
    let id = about(job)?;
    jobs::finish(tx, &job.id, &JobResult::withdrawn(error)).await?;
    tx.changed(EntityKind::Certificate, id);
    let mut entry = by_issuer("revoke", EntityKind::Certificate, id, AuditOutcome::Failed, None);
    entry.reason = Some(error.to_owned());
    audit::note(tx, entry);
    Ok(())
}

/// The serial was seen in a CRL that was fetched at `at`. Counts the first time only; returns whether
/// it was that. The audit row is the caller's; [`record_in_crl`] writes the issuer's.
///
/// # Errors
/// It isn't revoked, or the database doesn't answer.
pub async fn seen_in_crl(tx: &mut Tx, id: &str, at: DateTime<Utc>) -> Result<bool, StoreError> {
    let certificate = certificates::existing(tx, id).await?;
    if certificate.status != CertificateStatus::Revoked {
        return Err(Problem::conflict(format!(
            "certificate `{id}` isn't revoked: it is {}",
            certificate.status.word()
        ))
        .into());
    }
    let accepted = certificate
        .revocation
        .and_then(|revocation| revocation.accepted_at);
    if accepted.is_none_or(|accepted| at < accepted) {
        return Err(Problem::conflict(format!(
            "a CRL fetched at {} proves nothing: the CA accepted the revocation {}",
            at.to_rfc3339(),
            accepted.map_or_else(|| "not yet".to_owned(), |at| format!("at {}", at.to_rfc3339()))
        ))
        .into());
    }
    let now = tx.now();
    let done = sql(
        "UPDATE certificates SET in_crl_at = $2, version = version + 1, updated_at = $3 \
         WHERE id = $1 AND in_crl_at IS NULL",
    )
    .bind(id)
    .bind(at)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording the proof of a revocation"))?;
    if done > 0 {
        tx.changed(EntityKind::Certificate, id);
    }
    Ok(done > 0)
}

/// The issuer found the serial in a CRL that it fetched at `at`.
///
/// # Errors
/// It isn't revoked, or the database doesn't answer.
pub async fn record_in_crl(tx: &mut Tx, id: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    if seen_in_crl(tx, id, at).await? {
        let entry: AuditEntry = by_issuer(
            "revoke",
            EntityKind::Certificate,
            id,
            AuditOutcome::Done,
            Some(format!("in the CRL fetched at {}", at.to_rfc3339())),
        );
        audit::note(tx, entry);
    }
    Ok(())
}

fn about(job: &Job) -> Result<&str, StoreError> {
    job.certificate_id
        .as_deref()
        .filter(|_| job.kind == "revoke")
        .ok_or_else(|| Problem::internal(format!("job `{}` is not a revocation", job.id)).into())
}
