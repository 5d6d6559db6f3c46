//! `GET /api/v1/adapters`

use axum::extract::State;
use axum::response::Response;

use crate::store::adapters;

use crate::domain::adapter::Adapter;
use crate::services::api::ApiState;
use crate::services::api::caller::Reader;
use crate::services::api::openapi::Refused;
use crate::services::api::reply::{self, Refusal};

/// All adapters; there are few.
#[utoipa::path(
    get,
    path = "/adapters",
    tag = "adapters",
    operation_id = "list_adapters",
    responses((status = 200, body = Vec<Adapter>, description = "All of them"), Refused),
    security(("token" = []))
)]
pub(in crate::services::api) async fn list(
    State(api): State<ApiState>,
    _: Reader,
) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&adapters::all(&mut conn).await?))
}
