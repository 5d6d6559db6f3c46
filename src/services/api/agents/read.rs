//! `GET /api/v1/agents/{id}`

use axum::extract::State;
use axum::response::Response;

use crate::services::api::ApiState;
use crate::services::api::caller::Reader;
use crate::services::api::input::Ids;
use crate::services::api::openapi::{NoSuch, Refused};
use crate::services::api::reply::{self, Refusal};
use crate::store;
use crate::wire::agents::AgentDetail;

/// One, with what is expected on it.
#[utoipa::path(
    get,
    path = "/agents/{id}",
    tag = "agents",
    operation_id = "read_agent",
    params(("id" = String, Path, description = "The agent, `agt_…`")),
    responses((status = 200, body = AgentDetail, description = "The agent"), Refused, NoSuch),
    security(("token" = []))
)]
pub(in crate::services::api) async fn read(
    State(api): State<ApiState>,
    _: Reader,
    Ids(id): Ids<String>,
) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&store::read::agent(&mut conn, &id).await?))
}
