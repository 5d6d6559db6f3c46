//! `POST /api/v1/agents/{id}/install`: what is expected is durable when the answer comes; the agent,
//! woken, installs it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::certificate::{Certificate, CertificateStatus};
use crate::domain::id::EntityKind;
use crate::domain::installation::Installation;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::paths;
use crate::services::api::reply::problem_of;
use crate::store::{agents, certificates, holders, queue};
use crate::wire::agents::{InstallBody, InstallReply};

/// Asks for an installation.
#[utoipa::path(
    post,
    path = "/agents/{id}/install",
    tag = "agents",
    operation_id = "install_agent",
    params(("id" = String, Path, description = "The agent, `agt_…`"), IdempotencyKey),
    request_body = InstallBody,
    responses((status = 202, body = InstallReply, description = "Recorded; follow the job"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn install(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("install", EntityKind::Agent, &id).asked();
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    door.status = StatusCode::ACCEPTED;
    let result = ask(&mut door, &id, call.body()).await;
    door.close(result, |(job_id, installation), audit_seq| InstallReply {
        job_id,
        installation,
        audit_seq,
    })
    .await
}

async fn ask(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<(String, Installation), Problem> {
    let agent = agents::existing(&mut door.tx, id).await.map_err(problem_of)?;
    let body: InstallBody = input::json(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    door.attempt.detail = Some(format!(
        "certificate {} at {} on {}",
        body.cert_id, body.path, agent.hostname
    ));
    // Held, so that it isn't revoked between this look and the installation.
    let certificate = certificates::lock(&mut door.tx, &body.cert_id)
        .await
        .map_err(problem_of)?;
    usable(&certificate, door.tx.now())?;
    paths::allowed(&body.path, &agent)?;
    let holds = holders::holds(&mut door.tx, id, &certificate.spki_sha256)
        .await
        .map_err(problem_of)?;
    if !holds {
        return Err(Problem::refused(format!(
            "the agent `{}` doesn't have the private key of certificate `{}`",
            agent.hostname, certificate.id
        ))
        .hint("keys never travel: request a certificate for this agent with `POST /api/v1/certs`"));
    }
    queue::ask_install(&mut door.tx, id, &body.path, &certificate)
        .await
        .map_err(problem_of)
}

fn usable(certificate: &Certificate, now: chrono::DateTime<chrono::Utc>) -> Result<(), Problem> {
    if certificate.status != CertificateStatus::Active {
        return Err(Problem::refused(format!(
            "certificate `{}` isn't active: it is {}",
            certificate.id,
            certificate.status.word()
        ))
        .hint("reissue it"));
    }
    if certificate.not_after <= now {
        return Err(Problem::refused(format!(
            "certificate `{}` expired at {}",
            certificate.id,
            certificate.not_after.format("%F %TZ")
        ))
        .hint("reissue it"));
    }
    Ok(())
}
