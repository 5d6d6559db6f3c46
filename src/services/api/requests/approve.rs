//! `POST /api/v1/requests/{id}/approve`

use axum::extract::State;
use axum::response::Response;

use crate::services::api::ApiState;
use crate::services::api::caller::Call;
use crate::services::api::input::Ids;
use crate::store::requests;

use super::decide;
use crate::domain::request::Request;
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::wire::requests::WhyBody;

/// A person says yes: the agent makes its key.
#[utoipa::path(
    post,
    path = "/requests/{id}/approve",
    tag = "requests",
    operation_id = "approve_request",
    params(("id" = String, Path, description = "The request, `req_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = Request, description = "The request now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn approve(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    decide(&api, &call, "approve", &id, async |tx, id, _, _| {
        requests::approve(tx, id).await
    })
    .await
}
