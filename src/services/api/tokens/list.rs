//! `GET /api/v1/tokens`: which tokens there are and were. Neither a token nor its hash is told.

use axum::extract::State;
use axum::response::Response;

use crate::domain::token::Token;
use crate::services::api::ApiState;
use crate::services::api::caller::{Needs, Reader};
use crate::services::api::input::Asked;
use crate::services::api::openapi::{BadInput, Refused};
use crate::services::api::reply::{self, Refusal};
use crate::store::{Work, tokens};
use crate::wire::page::{Page, PageQuery};

/// A page, the latest first.
#[utoipa::path(
    get,
    path = "/tokens",
    tag = "tokens",
    operation_id = "list_tokens",
    params(PageQuery),
    responses((status = 200, body = Page<Token>, description = "A page"), Refused, BadInput),
    security(("token" = []))
)]
pub(in crate::services::api) async fn list(
    State(api): State<ApiState>,
    Reader(caller): Reader,
    Asked(query): Asked,
) -> Result<Response, Refusal> {
    Needs::Admin.allow(&caller)?;
    let mut conn = api.store.ask(Work::of_page(&query)).await?;
    Ok(reply::json(&tokens::page(&mut conn, &query).await?))
}
