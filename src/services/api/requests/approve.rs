//! `POST /api/v1/requests/{id}/approve`

use axum::extract::State;
use axum::response::Response;

use crate::services::api::ApiState;
use crate::services::api::caller::Call;
use crate::services::api::input::Ids;
use crate::store::requests;

use super::decide;

/// A person says yes: the agent makes its key.
pub(in crate::services::api) async fn approve(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    decide(&api, &call, "approve", &id, async |tx, id, _| {
        requests::approve(tx, id).await
    })
    .await
}
