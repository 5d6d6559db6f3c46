//! `POST /api/v1/tokens`: a token for a person, a program, or an agent that is to enrol. Rights end with the token:
//! what one makes is good for no longer than itself. One without an end, as a server's start makes it, makes tokens
//! of any life that there is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Duration, Utc};

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
    let now = door.tx.now();
    let (lives_s, expires_at) = life(&body, now, door.ends_at())?;
    let new = NewToken {
        name,
        purpose: body.purpose,
        role,
        agent_id: None,
        parent: Some(door.token_id().to_owned()),
        expires_at: Some(expires_at),
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

/// Life and end of a token that is made now by one that is good until `ends_at`.
fn life(
    body: &TokenBody,
    now: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
) -> Result<(i64, DateTime<Utc>), Problem> {
    let (usual, longest) = match body.purpose {
        Purpose::Bearer => (90 * DAY_S, 366 * DAY_S),
        Purpose::Enrol => (HOUR_S, 7 * DAY_S),
    };
    let left_s = ends_at.map_or(i64::MAX, |ends_at| (ends_at - now).num_seconds());
    let most = longest.min(left_s);
    let until = |at: DateTime<Utc>| {
        format!(
            "the token that asks ends at {}, and what it makes ends no later",
            at.format("%F %TZ")
        )
    };
    if let (Some(at), true) = (ends_at, most < SHORTEST_S) {
        return Err(Problem::refused(until(at)).hint(format!(
            "no token lives for less than {SHORTEST_S} s, and {left_s} s are left: use one that lasts longer"
        )));
    }
    let lives_s = body.expires_in_s.unwrap_or(usual.min(most));
    if (SHORTEST_S..=most).contains(&lives_s) {
        return Ok((lives_s, now + Duration::seconds(lives_s)));
    }
    match ends_at.filter(|_| (most..=longest).contains(&lives_s)) {
        Some(at) => Err(
            Problem::bad_input(format!("`expires_in_s` can't be {lives_s}: {}", until(at))).hint(format!(
                "allowed now: {SHORTEST_S} to {most} seconds; use a token that lasts longer for more"
            )),
        ),
        None => Err(
            Problem::bad_input(format!("`expires_in_s` can't be {lives_s}")).hint(format!(
                "allowed for a token of the purpose {}: {SHORTEST_S} to {most} seconds",
                body.purpose.word()
            )),
        ),
    }
}
