//! `GET /api/v1/adapters`

use axum::extract::State;
use axum::response::Response;

use crate::store::adapters;

use super::ApiState;
use super::caller::Reader;
use super::reply::{self, Refusal};
use crate::domain::adapter::Adapter;
use crate::services::api::openapi::Refused;

/// All adapters; there are few.
#[utoipa::path(
    get,
    path = "/adapters",
    tag = "adapters",
    operation_id = "list_adapters",
    responses((status = 200, body = Vec<Adapter>, description = "All of them"), Refused),
    security(("token" = []))
)]
pub(super) async fn list(State(api): State<ApiState>, _: Reader) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&adapters::all(&mut conn).await?))
}
