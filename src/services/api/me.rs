//! `GET /api/v1/me`

use axum::response::Response;

use crate::wire::health::Me;

use super::caller::Reader;
use super::reply;

/// Who the token is.
pub(super) async fn me(Reader(caller): Reader) -> Response {
    reply::json(&Me {
        name: caller.token.name,
        role: caller.token.role,
    })
}
