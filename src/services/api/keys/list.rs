//! `GET /api/v1/keys`

use axum::extract::State;
use axum::response::Response;

use crate::domain::key::Key;
use crate::services::api::ApiState;
use crate::services::api::caller::Reader;
use crate::services::api::input::Asked;
use crate::services::api::openapi::{BadInput, Refused};
use crate::services::api::reply::{self, Refusal};
use crate::store::{Work, keys};
use crate::wire::page::{Page, PageQuery};

/// A page.
#[utoipa::path(
    get,
    path = "/keys",
    tag = "keys",
    operation_id = "list_keys",
    params(PageQuery),
    responses((status = 200, body = Page<Key>, description = "A page"), Refused, BadInput),
    security(("token" = []))
)]
pub(in crate::services::api) async fn list(
    State(api): State<ApiState>,
    _: Reader,
    Asked(query): Asked,
) -> Result<Response, Refusal> {
    let mut conn = api.store.ask(Work::of_page(&query)).await?;
    Ok(reply::json(&keys::page(&mut conn, &query).await?))
}
