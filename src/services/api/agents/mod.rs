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
mod told;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(enrol::enrol))
        .routes(routes!(read::read))
        .routes(routes!(install::install))
        .routes(routes!(checkin::checkin))
        .routes(routes!(report::report))
        .routes(routes!(jobs::end))
        .routes(routes!(token::token))
        .routes(routes!(ban::ban))
        .routes(routes!(ban::unban))
}
