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

/// How far a job is.
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
