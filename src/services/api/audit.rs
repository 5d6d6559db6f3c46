//! `GET /api/v1/audit`, `GET /api/v1/audit/{seq}` and `GET /api/v1/audit/verify`

use axum::extract::State;
use axum::response::Response;

use crate::problem::Problem;
use crate::store::{self, Store, StoreError, Work, audit};
use crate::wire::health::ChainReport;

use super::ApiState;
use super::cached::AsNow;
use super::caller::Reader;
use super::input::{Asked, Ids};
use super::reply::{self, Made, Refusal, problem_of};
use crate::domain::audit::AuditRow;
use crate::services::api::openapi::{BadInput, NoSuch, Refused};
use crate::wire::page::{Page, PageQuery};

/// A page.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "audit",
    operation_id = "list_audit",
    params(PageQuery),
    responses((status = 200, body = Page<AuditRow>, description = "A page, the newest first"), Refused, BadInput),
    security(("token" = []))
)]
pub(super) async fn list(
    State(api): State<ApiState>,
    _: Reader,
    Asked(query): Asked,
) -> Result<Response, Refusal> {
    let mut conn = api.store.ask(Work::of_page(&query)).await?;
    Ok(reply::json(&audit::page(&mut conn, &query).await?))
}

/// One row, by its number.
#[utoipa::path(
    get,
    path = "/audit/{seq}",
    tag = "audit",
    operation_id = "read_audit",
    params(("seq" = i64, Path, description = "The row's number, from 1")),
    responses((status = 200, body = AuditRow, description = "The row"), Refused, BadInput, NoSuch),
    security(("token" = []))
)]
pub(super) async fn read(
    State(api): State<ApiState>,
    _: Reader,
    Ids(seq): Ids<i64>,
) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&store::read::audit_row(&mut conn, seq).await?))
}

/// Checks the whole chain.
#[utoipa::path(
    get,
    path = "/audit/verify",
    tag = "audit",
    operation_id = "verify_audit",
    responses((status = 200, body = ChainReport, description = "Whether the chain is whole"), Refused),
    security(("token" = []))
)]
pub(super) async fn verify(State(api): State<ApiState>, _: Reader) -> Result<Response, Refusal> {
    let store = api.store.clone();
    let made = api
        .chain
        .ask(AsNow::when(false), || async move { checked(&store).await });
    Ok(made.await?.answer())
}

/// Report for everybody: it reads the whole trail, so that it is made once for all who ask meanwhile.
async fn checked(store: &Store) -> Result<Made, Problem> {
    let report = match audit::check(store).await {
        Ok(checked) => ChainReport {
            whole: true,
            n_rows: Some(checked.n_rows),
            head: Some(checked.head),
            broken: None,
            n_dated_ahead: checked.ahead.map_or(0, |ahead| ahead.n_rows),
            dated_ahead: checked.ahead.map(|ahead| {
                format!(
                    "{} rows, the first of them row {}, are dated up to {}, later than they can have been written: a \
                     server's clock was ahead. Their order stands, their times don't",
                    ahead.n_rows,
                    ahead.first,
                    ahead.until.format("%F %HZ")
                )
            }),
        },
        Err(StoreError::Chain(broken)) => ChainReport {
            whole: false,
            n_rows: None,
            head: None,
            broken: Some(broken.to_string()),
            n_dated_ahead: 0,
            dated_ahead: None,
        },
        Err(error) => return Err(problem_of(error)),
    };
    let body = serde_json::to_string(&report)
        .map_err(|error| Problem::internal(format!("the answer can't be written: {error}")))?;
    Ok(Made::of(body))
}
