//! Orders at a CA that signs in steps: what finds one again, the challenges that an agent answers for
//! it, and waiting that is nobody's failure. Beginning and end are in `issuance`.

use chrono::{DateTime, Duration, Utc};

use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::wire::agents::{AgentWork, ChallengeAnswer};

use super::issuing::{by_issuer, guard, wait_again};
use super::jobs::{self, Job};
use super::queue;
use super::statement::{Json, sql};
use super::{StoreError, Tx, audit};

/// Tokens of a request's order that its agent answers now.
pub(super) async fn tokens_answered(tx: &mut Tx, id: &str) -> Result<Vec<String>, StoreError> {
    let work: Option<Json<AgentWork>> = sql(
        "SELECT work FROM jobs WHERE request_id = $1 AND kind = 'challenge' AND status = 'done' \
         AND work IS NOT NULL ORDER BY id DESC LIMIT 1",
    )
    .bind(id)
    .fetch_optional(tx.raw())
    .await
    .map_err(StoreError::because("reading how far an order is"))?;
    Ok(match work {
        Some(Json(AgentWork::Challenge { answers, until, .. })) if until > tx.now() => {
            answers.into_iter().map(|answer| answer.token).collect()
        }
        _ => Vec::new(),
    })
}

/// Writes down what finds the order again, before the CA may sign. `false` if the request is in another
/// worker's hands meanwhile, or its order isn't `before` any more: then this order must go no further.
///
/// # Errors
/// The database doesn't answer.
pub async fn note(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    before: Option<&str>,
    ca_order: &str,
    lease: Duration,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE issuance_requests SET ca_order = $4, lease_until = $5, version = version + 1, \
         updated_at = $6 WHERE id = $1 AND status = 'issuing' AND claimed_by = $2 \
         AND COALESCE(ca_order, '') = $3",
    )
    .bind(id)
    .bind(owner)
    .bind(before.unwrap_or_default())
    .bind(ca_order)
    .bind(now + lease)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("writing down an order"))?;
    if done == 0 {
        return Ok(false);
    }
    tx.changed(EntityKind::Request, id);
    let detail = Some(format!("ordered: {ca_order}"));
    let entry = by_issuer("issue", EntityKind::Request, id, AuditOutcome::Asked, detail);
    audit::note(tx, entry);
    Ok(true)
}

/// The order came to nothing; another attempt makes a new one.
pub(super) async fn forget(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    sql("UPDATE issuance_requests SET ca_order = NULL WHERE id = $1")
        .bind(id)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("forgetting an order"))?;
    Ok(())
}

/// The request's agent has to answer the CA's challenges; the request waits for that.
///
/// # Errors
/// The request isn't being issued or has no agent, or the database doesn't answer.
pub async fn wait_for_answers(
    tx: &mut Tx,
    id: &str,
    answers: Vec<ChallengeAnswer>,
    until: DateTime<Utc>,
) -> Result<(), StoreError> {
    let request = guard(tx, id).await?;
    let Some(agent_id) = request.agent_id else {
        return Err(Problem::internal(format!("request `{id}` has no agent to answer for it")).into());
    };
    let now = tx.now();
    sql(
        "UPDATE issuance_requests SET status = 'pending', waiting_on = 'challenge', error_message = NULL, \
         next_attempt_at = NULL, claimed_by = NULL, lease_until = NULL, version = version + 1, \
         updated_at = $2 WHERE id = $1",
    )
    .bind(id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("waiting for an agent's answers"))?;
    tx.changed(EntityKind::Request, id);
    let n = answers.len();
    let work = AgentWork::Challenge {
        request_id: id.to_owned(),
        answers,
        until,
    };
    let job = queue::challenge(tx, id, &agent_id, &work).await?;
    let detail = Some(format!(
        "agent {agent_id} is to answer {n} challenges: job `{job}`"
    ));
    let entry = by_issuer("challenge", EntityKind::Request, id, AuditOutcome::Asked, detail);
    audit::note(tx, entry);
    Ok(())
}

/// The agent answers the challenges: the request goes on. The audit row is the caller's.
pub(super) async fn answered(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE issuance_requests SET waiting_on = 'ca', next_attempt_at = NULL, version = version + 1, \
         updated_at = $2 WHERE id = $1 AND status = 'pending' AND waiting_on = 'challenge'",
    )
    .bind(id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording that challenges are answered"))?;
    if done > 0 {
        tx.changed(EntityKind::Request, id);
    }
    Ok(())
}

/// The CA is at it, or asks to be left alone: again at `at`, no attempt burnt.
///
/// # Errors
/// The request isn't being issued, or the database doesn't answer.
pub async fn wait_for_ca(tx: &mut Tx, id: &str, why: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    guard(tx, id).await?;
    wait_again(tx, id, why, Some(at), false).await?;
    let detail = Some(format!("again at {}, no attempt burnt", at.to_rfc3339()));
    let mut entry = by_issuer("issue", EntityKind::Request, id, AuditOutcome::Unknown, detail);
    entry.reason = Some(why.to_owned());
    audit::note(tx, entry);
    Ok(())
}

/// Whether the CA has signed is not known yet: the request stays `issuing`, and its claim ends at `at`, unless
/// another worker has it.
///
/// # Errors
/// The database doesn't answer.
pub async fn look_again(tx: &mut Tx, id: &str, owner: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    hold(tx, id, owner, at).await.map(drop)
}

/// The claim of `owner` ends at `until`. `false` if it isn't theirs any more.
///
/// # Errors
/// The database doesn't answer.
pub async fn hold(tx: &mut Tx, id: &str, owner: &str, until: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sql("UPDATE issuance_requests SET lease_until = $3 \
         WHERE id = $1 AND status = 'issuing' AND claimed_by = $2")
    .bind(id)
    .bind(owner)
    .bind(until)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("holding on to a request"))?;
    Ok(done > 0)
}

/// The CA asks to be left alone with a revocation: again at `at`, no attempt burnt.
///
/// # Errors
/// The database doesn't answer.
pub async fn wait_to_revoke(tx: &mut Tx, job: &Job, why: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    jobs::put_back(tx, &job.id, why, Some(at), false).await
}
