//! `POST /api/v1/requests/{id}/cancel`

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

/// A person takes it back.
#[utoipa::path(
    post,
    path = "/requests/{id}/cancel",
    tag = "requests",
    operation_id = "cancel_request",
    params(("id" = String, Path, description = "The request, `req_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = Request, description = "The request now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn cancel(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    decide(&api, &call, "cancel", &id, async |tx, id, by, why| {
        requests::cancel(tx, id, by, why).await
    })
    .await
}
