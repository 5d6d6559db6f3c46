//! `GET /api/v1/me`

use axum::response::Response;

use crate::wire::health::Me;

use super::caller::Reader;
use super::reply;
use crate::services::api::openapi::Refused;

/// Who the token is.
#[utoipa::path(
    get,
    path = "/me",
    tag = "health",
    operation_id = "me",
    responses((status = 200, body = Me, description = "Who the token is"), Refused),
    security(("token" = []))
)]
pub(super) async fn me(Reader(caller): Reader) -> Response {
    reply::json(&Me {
        name: caller.token.name,
        role: caller.token.role,
    })
}
