//! `GET /api/v1/findings`

use axum::extract::State;
use axum::response::Response;

use super::ApiState;
use super::cached::AsNow;
use super::caller::Reader;
use super::reply::{Made, Refusal, problem_of};
use crate::problem::Problem;
use crate::services::api::openapi::Refused;
use crate::store::{Store, Work, read};
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
pub(super) async fn findings(
    State(api): State<ApiState>,
    _: Reader,
    as_now: AsNow,
) -> Result<Response, Refusal> {
    let store = api.store.clone();
    let made = api.findings.ask(as_now, || async move { whole(&store).await });
    Ok(made.await?.answer())
}

/// Answer for everybody, so that it is made once for all who ask.
async fn whole(store: &Store) -> Result<Made, Problem> {
    let found = async {
        let mut conn = store.ask(Work::Background).await?;
        read::findings(&mut conn).await
    };
    Made::json(&found.await.map_err(problem_of)?)
}
