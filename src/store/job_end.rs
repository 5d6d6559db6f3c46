//! How an agent's job ended, and what follows from it for the installation or the request. The issuer's own jobs
//! end where they are carried out.

use super::jobs::{Job, finish, lock, read};
use super::{StoreError, Tx, agents, installations, orders, request_failure, requests};
use crate::domain::id::EntityKind;
use crate::domain::told::{SAID, cited};
use crate::wire::agents::JobResult;

/// Records how an agent's job ended, and what follows from it for the installation or the request.
/// Said twice, it counts once; `None` then.
///
/// # Errors
/// The job is unknown or another agent's, or the database doesn't answer.
pub async fn end(
    tx: &mut Tx,
    agent_id: &str,
    id: &str,
    result: &JobResult,
) -> Result<Option<Job>, StoreError> {
    let mine = |job: Option<Job>| {
        job.filter(|job| job.agent_id.as_deref() == Some(agent_id))
            .ok_or_else(|| StoreError::not_found(EntityKind::Job, id))
    };
    // Whom it is about never changes. What it is about is locked before it is looked at again.
    if let Some(request) = mine(read(tx, id).await?)?.request_id {
        requests::lock(tx, &request).await?;
    }
    agents::locked(tx, agent_id).await?;
    let job = mine(lock(tx, id).await?)?;
    if job.status != "queued" {
        return Ok(None);
    }
    finish(tx, id, result).await?;
    let error = said(result);
    match (&job.installation_id, &job.request_id) {
        (Some(installation), _) if result.done => {
            installations::done(tx, installation, result.installation.as_ref()).await?;
        }
        (Some(installation), _) => {
            let back = result.rolled_back || nothing_was_touched(result);
            let found = result.installation.as_ref();
            installations::failed(tx, installation, &error, back, found).await?;
        }
        (None, Some(request)) if !result.done => {
            request_failure::record(tx, request, &format!("the agent says {}", cited(&error, SAID))).await?;
        }
        (None, Some(request)) if job.kind == "challenge" => orders::answered(tx, request).await?,
        (None, _) => {}
    }
    read(tx, id).await
}

/// Which step failed and what it said, in one line.
fn said(result: &JobResult) -> String {
    match (&result.failed_step, &result.error) {
        (Some(_), Some(error)) => format!("{}: {error}", result.step()),
        (Some(_), None) => format!("{} failed", result.step()),
        (None, Some(error)) => error.clone(),
        (None, None) => "the agent gave no reason".to_owned(),
    }
}

/// The steps before the swap leave what is there as it was.
fn nothing_was_touched(result: &JobResult) -> bool {
    matches!(
        result.failed_step.as_deref(),
        Some("path" | "key" | "check" | "stage")
    )
}
