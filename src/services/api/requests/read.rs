//! `GET /api/v1/requests/{id}`

use axum::extract::State;
use axum::response::Response;

use crate::services::api::ApiState;
use crate::services::api::caller::Reader;
use crate::services::api::input::Ids;
use crate::services::api::reply::{self, Refusal};
use crate::store::requests;

/// One.
pub(in crate::services::api) async fn read(
    State(api): State<ApiState>,
    _: Reader,
    Ids(id): Ids<String>,
) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&requests::existing(&mut conn, &id).await?))
}
