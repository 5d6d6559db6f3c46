//! `POST /api/v1/agents/{id}/ban`: it may not check in any more, and its tokens are taken back. `…/unban`: it may enrol
//! again; the tokens stay taken back.

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
use crate::wire::requests::WhyBody;

/// Bans an agent.
#[utoipa::path(
    post,
    path = "/agents/{id}/ban",
    tag = "agents",
    operation_id = "ban_agent",
    params(("id" = String, Path, description = "The agent, `agt_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = Agent, description = "The agent now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn ban(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    make(Ban::On, &api, &id, call).await
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
    make(Ban::Off, &api, &id, call).await
}

/// State that an agent is put into: banned, or no longer.
#[derive(Clone, Copy)]
enum Ban {
    On,
    Off,
}

async fn make(it: Ban, api: &ApiState, id: &str, call: Call) -> Response {
    let word = match it {
        Ban::On => "ban",
        Ban::Off => "unban",
    };
    let attempt = Attempt::new(word, EntityKind::Agent, id);
    let mut door = match Door::open(api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = carry_out(it, &mut door, id, call.body()).await;
    door.close(result, |agent, _| agent).await
}

async fn carry_out(it: Ban, door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Agent, Problem> {
    let body: WhyBody = input::json_or_default(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let is_new = match it {
        Ban::On => ban::ban(&mut door.tx, id).await,
        Ban::Off => ban::unban(&mut door.tx, id).await,
    };
    match (is_new.map_err(problem_of)?, it) {
        (true, Ban::On) => {
            tokens::revoke_of_agent(&mut door.tx, id, None)
                .await
                .map_err(problem_of)?;
        }
        (true, Ban::Off) => {}
        (false, Ban::On) => {
            return Err(Problem::conflict(format!("the agent `{id}` is banned already")));
        }
        (false, Ban::Off) => return Err(Problem::conflict(format!("the agent `{id}` is not banned"))),
    }
    agents::existing(&mut door.tx, id).await.map_err(problem_of)
}
