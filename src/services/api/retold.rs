//! An enrolment whose answer was lost. The agent's own token is kept nowhere, so that it can't be told again: as long
//! as it was never used, another one takes its place, of the same one-time token's. Once it was used, or the agent
//! enrolled with a later one-time token, the spent one gives nothing more.

use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::audit::AuditOutcome;
use crate::problem::Problem;
use crate::store::{audit, tokens};

use super::ApiState;
use super::audited::Attempt;
use super::caller::{Call, Needs};
use super::idempotency::{done_before, with_token};
use super::reply::{self, Refusal, problem_of};

/// The answer to an enrolment that was carried out before, with another token; nothing where there was none, or where
/// the caller is to be refused.
pub(super) async fn enrolment(
    api: &ApiState,
    call: &Call,
    attempt: &Attempt,
) -> Result<Option<Response>, Refusal> {
    let token = &call.caller.token;
    let is_again = token.spent_at.is_some() && call.key.is_some();
    if !is_again || token.living(api.store.now()).is_err() || Needs::Enrolment.allow(&call.caller).is_err() {
        return Ok(None);
    }
    call.read(api).await?;
    let mut tx = api.store.begin().await.map_err(problem_of)?;
    let Some(body) = done_before(&mut tx, call).await.map_err(problem_of)? else {
        return Ok(None);
    };
    let told: serde_json::Value = serde_json::from_str(&body)
        .map_err(|error| Problem::internal(format!("the kept answer can't be read: {error}")))?;
    let agent = told["agent_id"].as_str().unwrap_or_default();
    let secret = tokens::mint().map_err(problem_of)?;
    let Some(made) = tokens::replace_unused(&mut tx, agent, &token.id, &secret)
        .await
        .map_err(problem_of)?
    else {
        return Ok(None);
    };
    let mut entry = attempt.entry(call, AuditOutcome::Done);
    agent.clone_into(&mut entry.entity_id);
    entry.detail = Some(format!(
        "asked again under the same key: `{}` got another token, the one before was never used and is taken back",
        made.name
    ));
    audit::append(&mut tx, entry).await.map_err(problem_of)?;
    tx.commit().await.map_err(problem_of)?;
    Ok(Some(reply::raw(StatusCode::CREATED, with_token(&body, &secret))))
}
