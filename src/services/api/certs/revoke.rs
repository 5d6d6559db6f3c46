//! `POST /api/v1/certs/{id}/revoke`: the wish is durable when the answer comes; the issuer tells the CA.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::domain::reason::Reason;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::{certificates, revocation};
use crate::wire::certs::{RevokeBody, RevokeReply};

/// Asks for a revocation.
#[utoipa::path(
    post,
    path = "/certs/{id}/revoke",
    tag = "certs",
    operation_id = "revoke_cert",
    params(("id" = String, Path, description = "The certificate, `crt_…`"), IdempotencyKey),
    request_body = RevokeBody,
    responses((status = 202, body = RevokeReply, description = "Recorded; follow the certificate"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn revoke(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("revoke", EntityKind::Certificate, &id).asked();
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    door.status = StatusCode::ACCEPTED;
    let result = ask(&mut door, &id, call.body()).await;
    door.close(result, |(certificate, job_id), audit_seq| RevokeReply {
        certificate: Certificate {
            pem: None,
            chain_pem: None,
            ..certificate
        },
        job_id,
        audit_seq,
    })
    .await
}

async fn ask(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<(Certificate, String), Problem> {
    // An unknown id is told before a bad body, since it is the more likely slip.
    certificates::existing(&mut door.tx, id)
        .await
        .map_err(problem_of)?;
    let body: RevokeBody = input::json(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let reason = Reason::parse(&body.reason)
        .filter(|reason| Reason::FOR_LEAVES.contains(reason))
        .ok_or_else(|| {
            let names = Reason::FOR_LEAVES.map(|reason| format!("{reason} ({})", reason.number()));
            Problem::bad_input(format!(
                "`{}` is not a reason to revoke a server's certificate",
                body.reason
            ))
            .hint(format!("allowed: {}", names.join(", ")))
        })?;
    door.attempt.detail = Some(format!("reason {reason}"));
    revocation::ask(&mut door.tx, id, reason)
        .await
        .map_err(problem_of)
}
