//! `/api/v1/adapters`

mod ca;
mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(ca::accept))
        .routes(routes!(ca::dismiss))
}
