//! `POST /api/v1/certs/{id}/crl-seen`: somebody fetched a CRL and found the serial in it.

use axum::extract::State;
use axum::response::Response;
use chrono::Duration;

use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::{certificates, revocation};
use crate::wire::certs::CrlSeenBody;

/// Two machines' clocks may differ by so much.
const SKEW_S: i64 = 60;

/// Records the proof; only the first one counts.
#[utoipa::path(
    post,
    path = "/certs/{id}/crl-seen",
    tag = "certs",
    operation_id = "crl_seen_cert",
    params(("id" = String, Path, description = "The certificate, `crt_…`"), IdempotencyKey),
    request_body = CrlSeenBody,
    responses((status = 200, body = Certificate, description = "The certificate now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn crl_seen(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("crl-seen", EntityKind::Certificate, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = seen(&mut door, &id, call.body()).await;
    door.close(result, |certificate, _| certificate).await
}

async fn seen(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Certificate, Problem> {
    let body: CrlSeenBody = input::json(body)?;
    if body.in_crl_at > door.tx.now() + Duration::seconds(SKEW_S) {
        return Err(Problem::bad_input("`in_crl_at` is in the future"));
    }
    door.attempt.detail = Some(format!("in the CRL fetched at {}", body.in_crl_at.to_rfc3339()));
    let first = revocation::seen_in_crl(&mut door.tx, id, body.in_crl_at)
        .await
        .map_err(problem_of)?;
    if !first {
        door.nothing_to_do();
    }
    certificates::existing(&mut door.tx, id).await.map_err(problem_of)
}
