//! `GET /api/v1/jobs/{id}`

use axum::extract::State;
use axum::response::Response;

use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::store::jobs;

use super::ApiState;
use super::caller::Reader;
use super::input::Ids;
use super::reply::{self, Refusal};
use crate::services::api::openapi::{NoSuch, Refused};
use crate::wire::agents::JobView;

/// How far a job is.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "jobs",
    operation_id = "read_job",
    params(("id" = String, Path, description = "The job, `job_…`")),
    responses((status = 200, body = JobView, description = "How far it is"), Refused, NoSuch),
    security(("token" = []))
)]
pub(super) async fn read(
    State(api): State<ApiState>,
    _: Reader,
    Ids(id): Ids<String>,
) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    match jobs::read(&mut conn, &id).await? {
        Some(job) => Ok(reply::json(&job.view())),
        None => Err(Problem::not_found(format!("there is no {} `{id}`", EntityKind::Job)).into()),
    }
}
