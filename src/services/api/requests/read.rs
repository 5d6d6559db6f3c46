//! `GET /api/v1/requests/{id}`

use axum::extract::State;
use axum::response::Response;

use crate::domain::request::Request;
use crate::services::api::ApiState;
use crate::services::api::caller::Reader;
use crate::services::api::input::Ids;
use crate::services::api::openapi::{NoSuch, Refused};
use crate::services::api::reply::{self, Refusal};
use crate::store::requests;

/// One.
#[utoipa::path(
    get,
    path = "/requests/{id}",
    tag = "requests",
    operation_id = "read_request",
    params(("id" = String, Path, description = "The request, `req_…`")),
    responses((status = 200, body = Request, description = "The request"), Refused, NoSuch),
    security(("token" = []))
)]
pub(in crate::services::api) async fn read(
    State(api): State<ApiState>,
    _: Reader,
    Ids(id): Ids<String>,
) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&requests::existing(&mut conn, &id).await?))
}
