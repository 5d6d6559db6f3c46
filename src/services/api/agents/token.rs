//! `POST /api/v1/agents/{id}/token`: a one-time token with which the agent enrols again.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::Duration;

use crate::domain::agent::AgentStatus;
use crate::domain::id::EntityKind;
use crate::domain::role::Role;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::agents;
use crate::store::tokens::{self, NewToken, Purpose, Token};
use crate::wire::agents::TokenReply;
use crate::wire::requests::WhyBody;

/// Long enough to carry it to the host, too short to be found there later.
const GOOD_FOR_H: i64 = 1;

/// Makes the token; it is told once.
#[utoipa::path(
    post,
    path = "/agents/{id}/token",
    tag = "agents",
    operation_id = "token_agent",
    params(("id" = String, Path, description = "The agent, `agt_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 201, body = TokenReply, description = "The one-time token, told once; an earlier one that nobody spent is taken back"), (status = 200, body = TokenReply, description = "Sent again: what was made, without the token"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn token(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("token", EntityKind::Agent, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    door.status = StatusCode::CREATED;
    let result = make(&mut door, &id, call.body()).await;
    // The token itself is put in by the door, so that it isn't kept with the answer.
    door.close(
        result,
        |token, _| serde_json::json!({ "id": token.id, "expires_at": token.expires_at }),
    )
    .await
}

async fn make(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Token, Problem> {
    let body: WhyBody = input::json_or_default(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let agent = agents::existing(&mut door.tx, id).await.map_err(problem_of)?;
    if agent.status == AgentStatus::Banned {
        return Err(Problem::refused(format!(
            "the agent `{}` is banned and may not enrol again",
            agent.hostname
        ))
        .hint(format!(
            "take the ban back first: `POST /api/v1/agents/{id}/unban`"
        )));
    }
    // A token that another one makes ends no later than that one.
    let usual = door.tx.now() + Duration::hours(GOOD_FOR_H);
    let expires_at = door.ends_at().map_or(usual, |ends_at| usual.min(ends_at));
    let new = NewToken {
        name: format!("enrol:{}", agent.hostname),
        purpose: Purpose::Enrol,
        role: Role::Agent,
        agent_id: Some(agent.id.clone()),
        parent: Some(door.token_id().to_owned()),
        expires_at: Some(expires_at),
    };
    // One whose answer was lost lets nobody in any more.
    tokens::revoke_unspent(&mut door.tx, &agent.id)
        .await
        .map_err(problem_of)?;
    let secret = door.mint().map_err(problem_of)?;
    tokens::create(&mut door.tx, &new, &secret)
        .await
        .map_err(problem_of)
}
