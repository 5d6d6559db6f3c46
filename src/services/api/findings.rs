//! `GET /api/v1/findings`

use axum::extract::State;
use axum::response::Response;

use super::ApiState;
use super::caller::Reader;
use super::reply::{self, Refusal};
use crate::services::api::openapi::Refused;
use crate::store::read;
use crate::wire::health::Findings;

/// The findings, the worst first: all that is critical, and the most urgent of the others.
#[utoipa::path(
    get,
    path = "/findings",
    tag = "health",
    operation_id = "findings",
    responses((status = 200, body = Findings, description = "The worst first; what is left out is counted by kind"), Refused),
    security(("token" = []))
)]
pub(super) async fn findings(State(api): State<ApiState>, _: Reader) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&read::findings(&mut conn).await?))
}
