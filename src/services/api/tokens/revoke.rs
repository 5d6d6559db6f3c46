//! `POST /api/v1/tokens/{id}/revoke`: it lets nobody in any more, from the next request on.

use axum::extract::State;
use axum::response::Response;

use crate::domain::id::EntityKind;
use crate::domain::listed;
use crate::domain::token::Token;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::tokens;
use crate::wire::tokens::{RevokeTokenBody, RevokedToken};

/// Further tokens are counted only.
const MOST_TOLD: usize = 500;

/// Takes a token back.
#[utoipa::path(
    post,
    path = "/tokens/{id}/revoke",
    tag = "tokens",
    operation_id = "revoke_token",
    params(("id" = String, Path, description = "The token, `tok_…`"), IdempotencyKey),
    request_body = Option<RevokeTokenBody>,
    responses((status = 200, body = RevokedToken, description = "The token now, and what was made with it"), Refused, Changes),
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

async fn carry_out(door: &mut Door<'_>, id: &str, call: &Call) -> Result<RevokedToken, Problem> {
    let body: RevokeTokenBody = input::json_or_default(call.body())?;
    door.attempt.because(body.comment, body.ticket)?;
    let own = &call.caller.token.id;
    if own == id {
        return Err(Problem::refused("a token doesn't take itself back")
            .hint("use another admin's; the last admin would be locked out"));
    }
    let (token, is_new) = tokens::revoke(&mut door.tx, id).await.map_err(problem_of)?;
    let mut made = tokens::made_with(&mut door.tx, id).await.map_err(problem_of)?;
    // Taken back before, it may still be asked for what was made with it.
    let is_more = body.with_made && !made.is_empty();
    if !is_new && !is_more {
        return Err(Problem::conflict(format!(
            "the token `{}` was taken back already",
            token.name
        )));
    }
    door.attempt.detail = Some(format!("`{}`", token.name));
    if body.with_made {
        if made.iter().any(|made| made.id == *own) {
            return Err(Problem::refused(
                "the token that asks was made with this one, and doesn't take itself back",
            )
            .hint("use one of an admin that was made otherwise"));
        }
        for made in &mut made {
            (*made, _) = tokens::revoke(&mut door.tx, &made.id).await.map_err(problem_of)?;
        }
        door.attempt.detail = Some(format!("`{}`{}", token.name, and_names(&made)));
    }
    let n_made = made.len();
    made.truncate(MOST_TOLD);
    Ok(RevokedToken { token, made, n_made })
}

fn and_names(made: &[Token]) -> String {
    let names: Vec<String> = made.iter().map(|token| format!("`{}`", token.name)).collect();
    match names.is_empty() {
        true => ", which has made nothing that is still good".to_owned(),
        false => format!(" and what was made with it: {}", listed::first(&names, 10)),
    }
}
