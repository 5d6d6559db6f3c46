//! `POST /api/v1/tokens`: a token for a person, a program, or an agent that is to enrol.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::Duration;

use crate::domain::id::EntityKind;
use crate::domain::role::Role;
use crate::domain::token::{Purpose, Token, passes_for};
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input;
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::tokens::{self, NewToken};
use crate::wire::tokens::{MadeToken, TokenBody};

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
/// Shorter, and it has ended before it is where it is needed.
const SHORTEST_S: i64 = 60;
/// No name is longer.
const MAX_NAME: usize = 100;

/// Makes a token; it is told once.
#[utoipa::path(
    post,
    path = "/tokens",
    tag = "tokens",
    operation_id = "make_token",
    params(IdempotencyKey),
    request_body = TokenBody,
    responses((status = 201, body = MadeToken, description = "The token, told once"), (status = 200, body = MadeToken, description = "Sent again: what was made, without the token"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn make(State(api): State<ApiState>, call: Call) -> Response {
    let attempt = Attempt::new("token", EntityKind::Token, "new");
    let mut door = match Door::open(&api, &call, &Needs::Admin, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    door.status = StatusCode::CREATED;
    let result = carry_out(&mut door, call.body()).await;
    // The token itself is put in by the door, so that it isn't kept with the answer.
    door.close(result, |token, _| token).await
}

async fn carry_out(door: &mut Door<'_>, body: &[u8]) -> Result<Token, Problem> {
    let body: TokenBody = input::json(body)?;
    door.attempt.because(body.comment.clone(), body.ticket.clone())?;
    let (name, role) = named(&body)?;
    let lives_s = lives_s(&body)?;
    let new = NewToken {
        name,
        purpose: body.purpose,
        role,
        agent_id: None,
        parent: Some(door.token_id().to_owned()),
        expires_at: Some(door.tx.now() + Duration::seconds(lives_s)),
    };
    let secret = door.mint().map_err(problem_of)?;
    let token = tokens::create_named(&mut door.tx, &new, &secret)
        .await
        .map_err(problem_of)?;
    door.attempt.entity_id.clone_from(&token.id);
    door.attempt.detail = Some(format!(
        "`{}`, {} as {}, for {lives_s} s",
        token.name,
        token.purpose.word(),
        token.role.word()
    ));
    Ok(token)
}

fn named(body: &TokenBody) -> Result<(String, Role), Problem> {
    // No colon: `agent:` and `enrol:` begin the names that the platform gives.
    let fits = (1..=MAX_NAME).contains(&body.name.len())
        && body
            .name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '@' | '+'))
        && [body.name.chars().next(), body.name.chars().last()]
            .iter()
            .all(|c| c.is_some_and(|c| c.is_ascii_alphanumeric()));
    if !fits {
        return Err(
            Problem::bad_input(format!("`{}` can't name a token", body.name)).hint(format!(
                "allowed: 1 to {MAX_NAME} letters, digits and `-._@+`, a letter or digit first and last"
            )),
        );
    }
    match (body.purpose, body.role) {
        (Purpose::Enrol, None) => Ok((format!("enrol:{}", body.name), Role::Agent)),
        (Purpose::Enrol, Some(_)) => Err(Problem::bad_input(
            "an enrolment token has no role: the agent gets a token of its own for it",
        )
        .hint("leave `role` out")),
        (Purpose::Bearer, None | Some(Role::Agent)) => {
            Err(Problem::bad_input("a bearer token needs a `role`")
                .hint("allowed: viewer, operator, admin; an agent enrols with `\"purpose\":\"enrol\"`"))
        }
        (Purpose::Bearer, Some(role)) => match passes_for(&body.name) {
            None => Ok((body.name.clone(), role)),
            Some(own) => Err(Problem::bad_input(format!(
                "`{}` passes for `{own}`, a word of the platform's own: its name would mislead in the audit",
                body.name
            ))
            .hint("choose another name")),
        },
    }
}

fn lives_s(body: &TokenBody) -> Result<i64, Problem> {
    let (usual, longest) = match body.purpose {
        Purpose::Bearer => (90 * DAY_S, 366 * DAY_S),
        Purpose::Enrol => (HOUR_S, 7 * DAY_S),
    };
    let lives_s = body.expires_in_s.unwrap_or(usual);
    if (SHORTEST_S..=longest).contains(&lives_s) {
        return Ok(lives_s);
    }
    Err(
        Problem::bad_input(format!("`expires_in_s` can't be {lives_s}")).hint(format!(
            "allowed for a token of the purpose {}: {SHORTEST_S} to {longest} seconds",
            body.purpose.word()
        )),
    )
}
