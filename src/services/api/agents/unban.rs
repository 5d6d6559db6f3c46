//! `POST /api/v1/agents/{id}/unban`: it may enrol again. The tokens that were taken back with the ban stay so.

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
use crate::store::{agents, ban};
use crate::wire::requests::WhyBody;

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
    let result = carry_out(&mut door, &id, &call.body).await;
    door.close(result, |agent, _| agent).await
}

async fn carry_out(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Agent, Problem> {
    let body: WhyBody = input::json_or_default(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    if !ban::unban(&mut door.tx, id).await.map_err(problem_of)? {
        return Err(Problem::conflict(format!("the agent `{id}` is not banned")));
    }
    agents::existing(&mut door.tx, id).await.map_err(problem_of)
}
