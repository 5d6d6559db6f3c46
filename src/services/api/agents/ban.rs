//! `POST /api/v1/agents/{id}/ban`: it may not check in any more, its tokens are taken back, and what was asked for it is
//! cancelled. `…/unban`: it may enrol again; the tokens stay taken back.

use axum::extract::State;
use axum::response::Response;

use crate::domain::agent::Agent;
use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::{agents, ban, tokens};
use crate::wire::agents::BanReply;
use crate::wire::requests::WhyBody;

/// Bans an agent.
#[utoipa::path(
    post,
    path = "/agents/{id}/ban",
    tag = "agents",
    operation_id = "ban_agent",
    params(("id" = String, Path, description = "The agent, `agt_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = BanReply, description = "The agent now, and the requests that this stopped"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn ban(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("ban", EntityKind::Agent, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = put_on(&mut door, &id, call.body()).await;
    door.close(result, |reply, _| reply).await
}

/// Takes a ban back.
#[utoipa::path(
    post,
    path = "/agents/{id}/unban",
    tag = "agents",
    operation_id = "unban_agent",
    params(("id" = String, Path, description = "The agent, `agt_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = Agent, description = "The agent now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn unban(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("unban", EntityKind::Agent, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = take_off(&mut door, &id, call.body()).await;
    door.close(result, |agent, _| agent).await
}

async fn put_on(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<BanReply, Problem> {
    let body: WhyBody = input::json_or_default(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let by = door.actor().to_owned();
    let stopped = ban::ban(&mut door.tx, id, &by).await.map_err(problem_of)?;
    let Some(stopped) = stopped else {
        return Err(Problem::conflict(format!("the agent `{id}` is banned already")));
    };
    tokens::revoke_of_agent(&mut door.tx, id, None)
        .await
        .map_err(problem_of)?;
    let why = format!("cancelled by {by} (ban of {})", stopped.hostname);
    for request in &stopped.cancelled {
        door.also("cancel", EntityKind::Request, &request.id, &why)
            .await?;
    }
    let reply = BanReply {
        agent: agents::existing(&mut door.tx, id).await.map_err(problem_of)?,
        cancelled: stopped.cancelled.into_iter().map(|request| request.id).collect(),
        looked_for: stopped.looked_for.into_iter().map(|request| request.id).collect(),
    };
    door.attempt.detail = reply.stopped();
    Ok(reply)
}

async fn take_off(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Agent, Problem> {
    let body: WhyBody = input::json_or_default(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    if !ban::unban(&mut door.tx, id).await.map_err(problem_of)? {
        return Err(Problem::conflict(format!("the agent `{id}` is not banned")));
    }
    agents::existing(&mut door.tx, id).await.map_err(problem_of)
}
