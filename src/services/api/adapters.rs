//! `GET /api/v1/adapters`

use axum::extract::State;
use axum::response::Response;

use crate::store::adapters;

use super::ApiState;
use super::caller::Reader;
use super::reply::{self, Refusal};

/// All adapters; there are few.
pub(super) async fn list(State(api): State<ApiState>, _: Reader) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&adapters::all(&mut conn).await?))
}
