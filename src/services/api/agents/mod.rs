//! `/api/v1/agents`

mod ban;
mod checkin;
mod enrol;
mod install;
mod jobs;
mod list;
mod read;
mod report;
mod token;

use axum::Router;
use axum::routing::{get, post};

use super::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/agents", get(list::list))
        .route("/agents/enrol", post(enrol::enrol))
        .route("/agents/{id}", get(read::read))
        .route("/agents/{id}/install", post(install::install))
        .route("/agents/{id}/checkin", post(checkin::checkin))
        .route("/agents/{id}/report", post(report::report))
        .route("/agents/{id}/jobs/{job_id}", post(jobs::end))
        .route("/agents/{id}/token", post(token::token))
        .route("/agents/{id}/ban", post(ban::ban))
}
