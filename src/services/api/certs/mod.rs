//! `/api/v1/certs`

mod crl_seen;
mod list;
mod read;
mod reissue;
mod request;
mod revoke;

use axum::Router;
use axum::routing::{get, post};

use super::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/certs", get(list::list).post(request::request))
        .route("/certs/{id}", get(read::read))
        .route("/certs/{id}/revoke", post(revoke::revoke))
        .route("/certs/{id}/crl-seen", post(crl_seen::crl_seen))
        .route("/certs/{id}/reissue", post(reissue::reissue))
}
