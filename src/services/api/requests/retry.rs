//! `POST /api/v1/requests/{id}/retry`

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

/// Tried once more, now.
#[utoipa::path(
    post,
    path = "/requests/{id}/retry",
    tag = "requests",
    operation_id = "retry_request",
    params(("id" = String, Path, description = "The request, `req_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = Request, description = "The request now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn retry(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    decide(&api, &call, "retry", &id, async |tx, id, _, _| {
        requests::retry(tx, id).await
    })
    .await
}
