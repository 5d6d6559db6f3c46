//! `GET /api/v1/agents`

use axum::extract::State;
use axum::response::Response;

use crate::services::api::ApiState;
use crate::services::api::caller::Reader;
use crate::services::api::input::Asked;
use crate::services::api::reply::{self, Refusal};
use crate::store::agents;

/// A page.
pub(in crate::services::api) async fn list(
    State(api): State<ApiState>,
    _: Reader,
    Asked(query): Asked,
) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&agents::page(&mut conn, &query).await?))
}
