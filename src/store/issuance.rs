//! What the issuer does with requests: each function is one transition with its audit row, guarded by
//! the status, so that a crash between two of them can be driven on and nothing is signed twice.

use chrono::{DateTime, Utc};

use crate::domain::adapter::Pause;
use crate::domain::audit::AuditOutcome;
use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::domain::reason::Reason;
use crate::domain::request::Request;
use crate::domain::signature::CLOCK_AHEAD;
use crate::domain::told::told;
use crate::domain::wanted::DATED_BACK;
use crate::problem::Problem;

use super::certificates::NewCertificate;
use super::issuing::{by_issuer, guard, wait_again};
use super::statement::sql;
use super::{StoreError, Tx, adapters, audit, certificates, issued, orders, request_failure, revocation};

/// A request that was claimed to be issued.
#[derive(Clone, Debug)]
pub struct Issuing {
    /// The request, now `issuing`.
    pub request: Request,
    /// The CSR to have signed.
    pub csr_pem: String,
    /// The SPKI hash of its key.
    pub spki_sha256: String,
    /// The CA was asked before, and whatever came of it, it may have signed: it has to be looked for.
    pub may_be_signed: bool,
    /// What finds its order again at a CA that signs in steps.
    pub ca_order: Option<String>,
    /// The tokens of challenges that its agent answers.
    pub answered: Vec<String>,
    /// Reason that nothing may be signed for it any more; what is signed already is taken, to be revoked.
    pub no_signature: Option<NoSignature>,
}

/// Reason that nothing is signed for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSignature {
    /// Its key is in other hands.
    Compromised,
    /// Its agent is banned.
    Banned,
}

impl NoSignature {
    /// The reason in words.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Compromised => "its key is compromised",
            Self::Banned => "its agent is banned",
        }
    }

    /// Sentence about the work that is left.
    #[must_use]
    pub fn next(self) -> &'static str {
        match self {
            Self::Compromised => "tried again, the request gets a fresh one",
            Self::Banned => "it can be tried again once the ban is taken back",
        }
    }
}

/// The requests that `owner` claimed, at one CA or at all, are free again at `at`. None of them may be with the CA
/// then.
///
/// # Errors
/// The database doesn't answer.
pub async fn release(
    tx: &mut Tx,
    owner: &str,
    adapter_id: Option<&str>,
    at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    sql(
        "UPDATE issuance_requests SET claimed_by = NULL, lease_until = $2 \
         WHERE claimed_by = $1 AND adapter_id = COALESCE($3, adapter_id)",
    )
    .bind(owner)
    .bind(at)
    .bind(adapter_id)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("freeing what an earlier worker had claimed"))
}

/// The CA signed: inserts the certificate, links it with what it replaces, expects it where it is to be
/// installed and queues that, and writes the audit row, all or nothing. A certificate whose key was
/// compromised meanwhile is recorded, and installed nowhere.
///
/// # Errors
/// The request isn't being issued, the certificate has another key, or the database doesn't answer.
pub async fn complete_issue(tx: &mut Tx, id: &str, new: &NewCertificate) -> Result<Certificate, StoreError> {
    let request = guard(tx, id).await?;
    if request.spki_sha256.as_deref() != Some(new.spki_sha256.as_str()) {
        return Err(Problem::refused(format!(
            "the CA's certificate for request `{id}` carries another key than the CSR"
        ))
        .into());
    }
    let mut recorded = issued::record(tx, &[(request, new)]).await?;
    match recorded.pop() {
        Some(it) => certificates::existing(tx, &it.id).await,
        None => Err(Problem::internal("an issued certificate was not recorded").into()),
    }
}

/// Signer of a certificate that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// A CA that the adapter is known for, or one that is known by its address: it can be asked to revoke it.
    Known,
    /// Somebody else: whom to ask is for an operator to say.
    Stranger,
}

/// Records a certificate that isn't the one asked for, or isn't of the CA that was asked: the request failed, and the
/// certificate is in the inventory, its revocation asked for unless it was signed for somebody else. Returns its id, unless it has the serial of another one that
/// is there: that one is nobody's matter here, and what came is in the audit alone.
///
/// # Errors
/// The request isn't being issued, or the database doesn't answer.
pub async fn refuse_issue(
    tx: &mut Tx,
    id: &str,
    new: &NewCertificate,
    error: &str,
    by: SignedBy,
) -> Result<Option<String>, StoreError> {
    let request = guard(tx, id).await?;
    let is_anothers = request.spki_sha256.as_deref() != Some(new.spki_sha256.as_str())
        && began_before_asked(tx, id, new.not_before).await?;
    let (certificate, what) = keep_refused(tx, &request, new, error, (!is_anothers).then_some(by)).await?;
    request_failure::record(tx, id, &format!("{error}; {what}")).await?;
    if let Some(certificate) = &certificate {
        sql("UPDATE issuance_requests SET certificate_id = $2 WHERE id = $1")
            .bind(id)
            .bind(certificate)
            .execute(tx.raw())
            .await
            .map_err(StoreError::because("linking a request with what is refused"))?;
    }
    orders::forget(tx, id).await?;
    let detail = Some(format!(
        "{what}; serial {}, SHA-256 {}",
        new.serial, new.fingerprint_sha256
    ));
    let mut entry = by_issuer("issue", EntityKind::Request, id, AuditOutcome::Failed, detail);
    entry.reason = Some(error.to_owned());
    audit::note(tx, entry);
    Ok(certificate)
}

/// True if a certificate that begins then was signed before the CA was asked for the request.
async fn began_before_asked(tx: &mut Tx, id: &str, begins: DateTime<Utc>) -> Result<bool, StoreError> {
    let asked_at: Option<DateTime<Utc>> = sql("SELECT asked_ca_at FROM issuance_requests WHERE id = $1")
        .bind(id)
        .fetch_one(tx.raw())
        .await
        .map_err(StoreError::because("reading when the CA was asked"))?;
    Ok(begins + DATED_BACK + CLOCK_AHEAD < asked_at.unwrap_or_else(|| tx.now()))
}

/// Puts what is refused into the inventory, if it has a place there; says what became of it. What was signed `by` nobody
/// for this request is somebody else's, who may need it: its revocation is for a person to ask for.
async fn keep_refused(
    tx: &mut Tx,
    request: &Request,
    new: &NewCertificate,
    error: &str,
    by: Option<SignedBy>,
) -> Result<(Option<String>, String), StoreError> {
    let known: Option<(String, String)> = sql("SELECT c.id, c.fingerprint_sha256 FROM certificates c \
         WHERE c.fingerprint_sha256 = $1 OR (c.serial = $2 AND c.issuer = $3) \
         ORDER BY CASE WHEN c.fingerprint_sha256 = $1 THEN 0 ELSE 1 END LIMIT 1")
    .bind(&new.fingerprint_sha256)
    .bind(&new.serial)
    .bind(&new.issuer)
    .fetch_optional(tx.raw())
    .await
    .map_err(StoreError::because("looking for a certificate"))?;
    match known {
        // Whose that is, is another request's matter.
        Some((certificate, fingerprint)) if fingerprint == new.fingerprint_sha256 => Ok((
            None,
            format!(
                "it is the inventory's own `{certificate}`, given once more: nothing changes for that one"
            ),
        )),
        Some(_) => Ok((
            None,
            format!(
                "it has the serial of another certificate, {}, for which nothing changes, and is kept nowhere: its SHA-256 \
                 is {}",
                new.serial, new.fingerprint_sha256
            ),
        )),
        None => {
            let mut new = new.clone();
            new.adapter_id.get_or_insert(request.adapter_id.clone());
            let certificate = certificates::insert_from(tx, &new, None, None).await?.id;
            let is_over = new.not_after <= tx.now();
            if !is_over && by.is_some() {
                revocation::take_back(tx, &certificate, Reason::Unspecified, error).await?;
            }
            let what = match (is_over, by) {
                (true, _) => "is on record, with nothing to revoke",
                (false, Some(SignedBy::Known)) => "is on record, and the CA is asked to revoke it",
                (false, Some(SignedBy::Stranger)) => {
                    "is on record; whom to ask to revoke it waits for what is decided about its CA"
                }
                (false, None) => {
                    "is on record and stays as it is: it began before the CA was asked, so that it is somebody else's; find \
                     out whose, and who answers in the CA's place; revoke it only if nobody needs it"
                }
            };
            let what = format!("certificate `{certificate}` {what}");
            Ok((Some(certificate), what))
        }
    }
}

/// The CA can't be asked now (sealed): the request waits again, no attempt is burnt, and the adapter is
/// paused for all others.
///
/// # Errors
/// The request isn't being issued, or the database doesn't answer.
pub async fn pause_issue(tx: &mut Tx, id: &str, pause: &Pause) -> Result<(), StoreError> {
    let request = guard(tx, id).await?;
    wait_again(tx, id, &pause.reason, None, false).await?;
    // A sealed CA has signed nothing.
    sql("UPDATE issuance_requests SET asked_ca_at = NULL WHERE id = $1 AND attempt = 0")
        .bind(id)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("putting a request back"))?;
    let detail = Some("no attempt burnt".to_owned());
    let mut entry = by_issuer("issue", EntityKind::Request, id, AuditOutcome::Failed, detail);
    entry.reason = Some(pause.reason.clone());
    audit::note(tx, entry);
    pause_adapter(tx, &request.adapter_id, pause).await
}

/// The CA refused for now (429, 5xx, no answer before it began): again at `at`, one attempt burnt.
///
/// # Errors
/// The request isn't being issued, or the database doesn't answer.
pub async fn retry_issue_later(
    tx: &mut Tx,
    id: &str,
    error: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    guard(tx, id).await?;
    wait_again(tx, id, error, Some(at), true).await?;
    let detail = Some(format!("again at {}", at.to_rfc3339()));
    let mut entry = by_issuer("issue", EntityKind::Request, id, AuditOutcome::Failed, detail);
    entry.reason = Some(error.to_owned());
    audit::note(tx, entry);
    Ok(())
}

/// The CA refused for good (400, 403): the request failed, in the CA's own words.
///
/// # Errors
/// The request isn't being issued, or the database doesn't answer.
pub async fn fail_issue(tx: &mut Tx, id: &str, error: &str) -> Result<(), StoreError> {
    guard(tx, id).await?;
    request_failure::record(tx, id, error).await?;
    orders::forget(tx, id).await?;
    let mut entry = by_issuer("issue", EntityKind::Request, id, AuditOutcome::Failed, None);
    entry.reason = Some(error.to_owned());
    audit::note(tx, entry);
    Ok(())
}

/// Ends what still waits with this key, which is certified no more. What the CA may have signed already
/// is left to the issuer, which looks for it.
pub(super) async fn key_compromised(tx: &mut Tx, spki_sha256: &str) -> Result<(), StoreError> {
    let waiting = lock_waiting(tx, spki_sha256).await?;
    for id in waiting {
        let error = "its key was marked as compromised; tried again, it gets a fresh one";
        request_failure::record(tx, &id, error).await?;
        let mut entry = by_issuer("issue", EntityKind::Request, &id, AuditOutcome::Failed, None);
        entry.reason = Some(error.to_owned());
        audit::note(tx, entry);
    }
    Ok(())
}

/// What waits with this key and the CA was not asked about yet, kept from others until the end.
pub(super) async fn lock_waiting(tx: &mut Tx, spki_sha256: &str) -> Result<Vec<String>, StoreError> {
    sql("SELECT r.id FROM issuance_requests r \
         WHERE r.spki_sha256 = $1 AND r.status = 'pending' AND r.asked_ca_at IS NULL ORDER BY r.id")
    .bind(spki_sha256)
    .locking("r")
    .fetch_all(tx.raw())
    .await
    .map_err(StoreError::because("ending the requests of a compromised key"))
}

/// Pauses an adapter and says so on everything that waits for it.
///
/// # Errors
/// The database doesn't answer.
pub async fn pause_adapter(tx: &mut Tx, adapter_id: &str, pause: &Pause) -> Result<(), StoreError> {
    if !adapters::pause(tx, adapter_id, pause).await? {
        return Ok(());
    }
    let waiting: Vec<String> = sql(
        "UPDATE issuance_requests SET error_message = $2, version = version + 1 \
         WHERE adapter_id = $1 AND status = 'pending' AND waiting_on = 'ca' \
         AND COALESCE(error_message, '') <> $2 RETURNING id",
    )
    .bind(adapter_id)
    .bind(told(&pause.reason))
    .fetch_all(tx.raw())
    .await
    .map_err(StoreError::because("pausing an adapter"))?;
    for id in waiting {
        tx.changed(EntityKind::Request, &id);
    }
    let mut entry = by_issuer("pause", EntityKind::Adapter, adapter_id, AuditOutcome::Done, None);
    entry.reason = Some(pause.reason.clone());
    audit::note(tx, entry);
    Ok(())
}

/// Lets an adapter work again; what waited for it is due at once.
///
/// # Errors
/// The database doesn't answer.
pub async fn resume_adapter(tx: &mut Tx, adapter_id: &str) -> Result<(), StoreError> {
    if !adapters::resume(tx, adapter_id).await? {
        return Ok(());
    }
    let waiting: Vec<String> = sql(
        "UPDATE issuance_requests SET error_message = NULL, next_attempt_at = NULL, version = version + 1 \
         WHERE adapter_id = $1 AND status = 'pending' AND waiting_on = 'ca' RETURNING id",
    )
    .bind(adapter_id)
    .fetch_all(tx.raw())
    .await
    .map_err(StoreError::because("resuming an adapter"))?;
    for id in waiting {
        tx.changed(EntityKind::Request, &id);
    }
    sql(
        "UPDATE jobs SET next_attempt_at = NULL WHERE agent_id IS NULL AND kind = 'revoke' AND status = 'queued' \
         AND EXISTS (SELECT 1 FROM certificates c WHERE c.id = jobs.certificate_id AND c.adapter_id = $1)",
    )
    .bind(adapter_id)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("resuming an adapter"))?;
    let entry = by_issuer(
        "resume",
        EntityKind::Adapter,
        adapter_id,
        AuditOutcome::Done,
        None,
    );
    audit::note(tx, entry);
    Ok(())
}
