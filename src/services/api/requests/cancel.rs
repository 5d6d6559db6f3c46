//! `POST /api/v1/requests/{id}/cancel`

use axum::extract::State;
use axum::response::Response;

use crate::services::api::ApiState;
use crate::services::api::caller::Call;
use crate::services::api::input::Ids;
use crate::store::requests;

use super::decide;

/// A person takes it back.
pub(in crate::services::api) async fn cancel(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    decide(&api, &call, "cancel", &id, async |tx, id, why| {
        requests::cancel(tx, id, why).await
    })
    .await
}
