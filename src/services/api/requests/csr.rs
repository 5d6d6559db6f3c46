//! `POST /api/v1/requests/{id}/csr`: the agent made its key; from now on the request waits for the CA.

use axum::extract::State;
use axum::response::Response;

use crate::domain::id::EntityKind;
use crate::domain::request::Request;
use crate::domain::wanted::Wanted;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::csr;
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::{self, problem_of};
use crate::store::requests;
use crate::wire::requests::CsrBody;

/// Takes the CSR of the request's own agent.
#[utoipa::path(
    post,
    path = "/requests/{id}/csr",
    tag = "requests",
    operation_id = "csr_request",
    params(("id" = String, Path, description = "The request, `req_…`"), IdempotencyKey),
    request_body = CsrBody,
    responses((status = 200, body = Request, description = "The request now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn csr(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let agent = match agent_of(&api, &id).await {
        Ok(agent) => agent,
        Err(problem) => return reply::problem(problem),
    };
    let attempt = Attempt::new("csr", EntityKind::Request, &id);
    let mut door = match Door::open(&api, &call, &Needs::Agent(agent), attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = take(&mut door, &id, call.body()).await;
    door.close(result, |request, _| request).await
}

/// Whose CSR is awaited. An unknown request is nobody's.
async fn agent_of(api: &ApiState, id: &str) -> Result<String, Problem> {
    let found = async {
        let mut conn = api.store.read().await?;
        requests::read(&mut conn, id).await
    };
    let request = found.await.map_err(problem_of)?;
    Ok(request.and_then(|request| request.agent_id).unwrap_or_default())
}

async fn take(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Request, Problem> {
    let body: CsrBody = input::json(body)?;
    let csr = csr::read(&body.csr_pem)?;
    let request = requests::existing(&mut door.tx, id).await.map_err(problem_of)?;
    Wanted::of(&request)
        .asked_by(&csr)
        .map_err(|other| Problem::refused(other.to_string()))?;
    let spki = csr.key.spki_sha256();
    if request.spki_sha256.as_ref() == Some(&spki) {
        door.nothing_to_do();
        return Ok(request);
    }
    let algorithm = csr.key.algorithm.word();
    door.attempt.detail = Some(format!("key {spki} ({algorithm})"));
    requests::set_csr(&mut door.tx, id, &csr.pem(), &spki, algorithm)
        .await
        .map_err(problem_of)
}
