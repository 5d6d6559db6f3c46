//! `GET /api/v1/me`

use axum::extract::State;
use axum::response::Response;

use crate::wire::health::{DatabaseOf, Me};

use super::ApiState;
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
pub(super) async fn me(State(api): State<ApiState>, Reader(caller): Reader) -> Response {
    let database = api.store.host().map(|host| DatabaseOf {
        host,
        instance: api.store.instance(),
    });
    reply::json(&Me {
        database,
        name: caller.token.name,
        role: caller.token.role,
    })
}
