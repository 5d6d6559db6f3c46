//! `GET /api/v1/trends`

use axum::extract::State;
use axum::response::Response;

use super::ApiState;
use super::caller::Reader;
use super::reply::{self, Refusal};
use crate::services::api::openapi::Refused;
use crate::store::{Work, trends};
use crate::wire::trends::Trends;

/// Counts over time, for charts.
#[utoipa::path(
    get,
    path = "/trends",
    tag = "health",
    operation_id = "trends",
    responses((status = 200, body = Trends, description = "Counts over time"), Refused),
    security(("token" = []))
)]
pub(super) async fn trends(State(api): State<ApiState>, _: Reader) -> Result<Response, Refusal> {
    let mut conn = api.store.ask(Work::Screen).await?;
    Ok(reply::json(&trends::read(&mut conn).await?))
}
