//! `GET /api/v1/trends`

use axum::extract::State;
use axum::response::Response;

use super::ApiState;
use super::caller::Reader;
use super::reply::{self, Refusal};
use crate::store::trends;

/// Counts over time, for charts.
pub(super) async fn trends(State(api): State<ApiState>, _: Reader) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&trends::read(&mut conn).await?))
}
