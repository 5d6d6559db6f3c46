//! `POST /api/v1/adapters/{id}/accept-ca`: the CA that answered in the place of the known one was rotated, and its
//! signature counts from now on. `…/dismiss-ca`: it is somebody else's, and what it signed counts for nothing.

use axum::extract::State;
use axum::response::Response;

use crate::domain::adapter::Adapter;
use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::cas;
use crate::wire::adapters::CaBody;

/// Accepts a CA.
#[utoipa::path(
    post,
    path = "/adapters/{id}/accept-ca",
    tag = "adapters",
    operation_id = "accept_ca",
    params(("id" = String, Path, description = "The adapter, `adp_…`"), IdempotencyKey),
    request_body = CaBody,
    responses((status = 200, body = Adapter, description = "The adapter now; it goes on by itself"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn accept(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("accept-ca", EntityKind::Adapter, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = take_in(&mut door, &id, call.body()).await;
    door.close(result, |adapter, _| adapter).await
}

/// Dismisses a CA.
#[utoipa::path(
    post,
    path = "/adapters/{id}/dismiss-ca",
    tag = "adapters",
    operation_id = "dismiss_ca",
    params(("id" = String, Path, description = "The adapter, `adp_…`"), IdempotencyKey),
    request_body = CaBody,
    responses((status = 200, body = Adapter, description = "The adapter now; it goes on once the known CA answers"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn dismiss(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("dismiss-ca", EntityKind::Adapter, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = turn_down(&mut door, &id, call.body()).await;
    door.close(result, |adapter, _| adapter).await
}

async fn take_in(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Adapter, Problem> {
    let body: CaBody = input::json(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let adapter = cas::accept(&mut door.tx, id, &body.spki_sha256)
        .await
        .map_err(problem_of)?;
    let all: Vec<String> = adapter
        .cas
        .iter()
        .map(|ca| format!("`{}` {}", ca.subject, ca.spki_sha256))
        .collect();
    door.attempt.detail = Some(format!("known now: {}", all.join(", ")));
    Ok(adapter)
}

async fn turn_down(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Adapter, Problem> {
    let body: CaBody = input::json(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let (adapter, n) = cas::dismiss(&mut door.tx, id, &body.spki_sha256)
        .await
        .map_err(problem_of)?;
    door.attempt.detail = Some(format!(
        "the key {}; certificates of it that were refused: {n}",
        body.spki_sha256
    ));
    Ok(adapter)
}
