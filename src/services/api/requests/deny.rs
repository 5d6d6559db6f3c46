//! `POST /api/v1/requests/{id}/deny`

use axum::extract::State;
use axum::response::Response;

use crate::services::api::ApiState;
use crate::services::api::caller::Call;
use crate::services::api::input::Ids;
use crate::store::requests;

use super::decide;

/// A person says no.
pub(in crate::services::api) async fn deny(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    decide(&api, &call, "deny", &id, async |tx, id, why| {
        requests::deny(tx, id, why).await
    })
    .await
}
