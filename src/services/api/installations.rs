//! `GET /api/v1/installations?agent=`

use axum::extract::State;
use axum::response::Response;

use crate::problem::Problem;
use crate::store::{agents, installations};

use super::ApiState;
use super::caller::Reader;
use super::input::Asked;
use super::reply::{self, Refusal};
use crate::domain::installation::Installation;
use crate::services::api::openapi::{BadInput, NoSuch, Refused};
use crate::wire::page::PageQuery;

/// What is expected on one agent.
#[utoipa::path(
    get,
    path = "/installations",
    tag = "installations",
    operation_id = "list_installations",
    params(PageQuery),
    responses((status = 200, body = Vec<Installation>, description = "What is expected there"), Refused, BadInput, NoSuch),
    security(("token" = []))
)]
pub(super) async fn list(
    State(api): State<ApiState>,
    _: Reader,
    Asked(query): Asked,
) -> Result<Response, Refusal> {
    let Some(agent) = &query.agent else {
        return Err(Problem::bad_input("`agent` is missing")
            .hint("`GET /api/v1/installations?agent=agt_…`")
            .into());
    };
    let mut conn = api.store.read().await?;
    agents::existing(&mut conn, agent).await?;
    Ok(reply::json(&installations::by_agent(&mut conn, agent).await?))
}
