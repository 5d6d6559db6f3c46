//! `POST /api/v1/requests/{id}/retry`

use axum::extract::State;
use axum::response::Response;

use crate::services::api::ApiState;
use crate::services::api::caller::Call;
use crate::services::api::input::Ids;
use crate::store::requests;

use super::decide;

/// Tried once more, now.
pub(in crate::services::api) async fn retry(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    decide(&api, &call, "retry", &id, async |tx, id, _| {
        requests::retry(tx, id).await
    })
    .await
}
