//! `POST /api/v1/requests/{id}/deny`

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

/// A person says no.
#[utoipa::path(
    post,
    path = "/requests/{id}/deny",
    tag = "requests",
    operation_id = "deny_request",
    params(("id" = String, Path, description = "The request, `req_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = Request, description = "The request now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn deny(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    decide(&api, &call, "deny", &id, async |tx, id, by, why| {
        requests::deny(tx, id, by, why).await
    })
    .await
}
