//! `GET /api/v1/trends`

use axum::extract::State;
use axum::response::Response;

use super::ApiState;
use super::cached::AsNow;
use super::caller::Reader;
use super::reply::{Made, Refusal, problem_of};
use crate::problem::Problem;
use crate::services::api::openapi::Refused;
use crate::store::{Store, Work, trends};
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
pub(super) async fn trends(
    State(api): State<ApiState>,
    _: Reader,
    as_now: AsNow,
) -> Result<Response, Refusal> {
    let store = api.store.clone();
    let made = api.trends.ask(as_now, || async move { whole(&store).await });
    Ok(made.await?.answer())
}

async fn whole(store: &Store) -> Result<Made, Problem> {
    let counted = async {
        let mut conn = store.ask(Work::Screen).await?;
        trends::read(&mut conn).await
    };
    Made::json(&counted.await.map_err(problem_of)?)
}
