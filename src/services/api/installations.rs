//! `GET /api/v1/installations?agent=`

use axum::extract::State;
use axum::response::Response;

use crate::problem::Problem;
use crate::store::{agents, installations};

use super::ApiState;
use super::caller::Reader;
use super::input::Asked;
use super::reply::{self, Refusal};

/// What is expected on one agent.
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
