//! `POST /api/v1/tokens/{id}/revoke`: it lets nobody in any more, from the next request on.

use axum::extract::State;
use axum::response::Response;

use crate::domain::id::EntityKind;
use crate::domain::token::Token;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::tokens;
use crate::wire::requests::WhyBody;

/// Takes a token back.
#[utoipa::path(
    post,
    path = "/tokens/{id}/revoke",
    tag = "tokens",
    operation_id = "revoke_token",
    params(("id" = String, Path, description = "The token, `tok_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = Token, description = "The token now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn revoke(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("revoke", EntityKind::Token, &id);
    let mut door = match Door::open(&api, &call, &Needs::Admin, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = carry_out(&mut door, &id, &call).await;
    door.close(result, |token, _| token).await
}

async fn carry_out(door: &mut Door<'_>, id: &str, call: &Call) -> Result<Token, Problem> {
    let body: WhyBody = input::json_or_default(&call.body)?;
    door.attempt.because(body.comment, body.ticket)?;
    if call.caller.token.id == id {
        return Err(Problem::refused("a token doesn't take itself back")
            .hint("use another admin's; the last admin would be locked out"));
    }
    let (token, is_new) = tokens::revoke(&mut door.tx, id).await.map_err(problem_of)?;
    if !is_new {
        return Err(Problem::conflict(format!(
            "the token `{}` was taken back already",
            token.name
        )));
    }
    door.attempt.detail = Some(format!("`{}`", token.name));
    Ok(token)
}
