//! `/api/v1/tokens`: who may ask the API, for admins only.

mod list;
mod make;
mod revoke;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, make::make))
        .routes(routes!(revoke::revoke))
}
