//! `/api/v1/certs`

mod list;
mod read;
mod reissue;
mod request;
mod revoke;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, request::request))
        .routes(routes!(read::read))
        .routes(routes!(revoke::revoke))
        .routes(routes!(reissue::reissue))
}
