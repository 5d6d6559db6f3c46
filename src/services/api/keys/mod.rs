//! `/api/v1/keys`

mod compromise;
mod list;
mod read;

use axum::Router;
use axum::routing::{get, post};

use super::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/keys", get(list::list))
        .route("/keys/{spki}", get(read::read))
        .route("/keys/{spki}/compromise", post(compromise::compromise))
}
