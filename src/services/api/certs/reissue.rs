//! `POST /api/v1/certs/{id}/reissue`: the same names with a fresh key, where the old one is installed.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::agent::AgentStatus;
use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::domain::key::KeyAlgorithm;
use crate::domain::request::Request;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::reply::problem_of;
use crate::store::requests::NewRequest;
use crate::store::{adapters, agents, certificates, holders, installations, requests};
use crate::wire::certs::ReissueBody;
use crate::wire::requests::RequestReply;

use super::request::{algorithm, one_spelling};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};

/// Makes one request an installation.
#[utoipa::path(
    post,
    path = "/certs/{id}/reissue",
    tag = "certs",
    operation_id = "reissue_cert",
    params(("id" = String, Path, description = "The certificate, `crt_…`"), IdempotencyKey),
    request_body = Option<ReissueBody>,
    responses((status = 202, body = RequestReply, description = "Recorded; follow the requests"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn reissue(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("reissue", EntityKind::Certificate, &id).asked();
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    door.status = StatusCode::ACCEPTED;
    let result = make(&mut door, &id, call.body()).await;
    door.close(result, |requests, audit_seq| RequestReply { requests, audit_seq })
        .await
}

async fn make(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Vec<Request>, Problem> {
    // Held, so that two that ask at once don't make two requests for one place.
    let certificate = certificates::lock(&mut door.tx, id).await.map_err(problem_of)?;
    let body: ReissueBody = input::json_or_default(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let old = KeyAlgorithm::from_word(&certificate.key_algorithm).unwrap_or_default();
    let key_algorithm = algorithm(body.key_algorithm.as_deref(), old)?;
    let adapter_id = match &certificate.adapter_id {
        Some(id) => id.clone(),
        None => adapters::default(&mut door.tx).await.map_err(problem_of)?.id,
    };
    let places = places(door, &certificate).await?;
    let under_way = requests::replacing(&mut door.tx, id).await.map_err(problem_of)?;
    let names = names(&certificate)?;
    let mut made = Vec::new();
    for place in places {
        let is_under_way = under_way
            .iter()
            .any(|it| it.agent_id.as_ref() == Some(&place.agent_id) && it.install_path == place.path);
        if is_under_way {
            continue;
        }
        let new = NewRequest {
            common_name: names.first().cloned().unwrap_or_default(),
            sans: names.clone(),
            key_algorithm: key_algorithm.word().to_owned(),
            adapter_id: adapter_id.clone(),
            agent_id: place.agent_id,
            install_path: place.path,
            replaces: Some(certificate.id.clone()),
            requested_by: door.actor().to_owned(),
            needs_approval: false,
        };
        made.push(requests::insert(&mut door.tx, &new).await.map_err(problem_of)?);
    }
    if let (true, Some(first)) = (made.is_empty(), under_way.first()) {
        return Err(Problem::conflict(format!(
            "certificate `{id}` is being reissued already, by request `{}`: {}",
            first.id,
            first.why()
        ))
        .hint("wait for it, or cancel that request"));
    }
    let ids: Vec<&str> = made.iter().map(|request| request.id.as_str()).collect();
    door.attempt.detail = Some(format!("requests {}", ids.join(", ")));
    Ok(made)
}

/// The names in the certificate, the common name first.
fn names(certificate: &Certificate) -> Result<Vec<String>, Problem> {
    let name = certificate.name().to_owned();
    one_spelling(std::iter::once(&name).chain(&certificate.sans)).map_err(|problem| {
        problem.hint("request a new certificate with the names that it is to have: `POST /api/v1/certs`")
    })
}

/// Where the fresh certificate goes.
struct Place {
    agent_id: String,
    path: Option<String>,
}

/// Each place where the old one is expected, or belongs since its installation failed; where there is none, an agent
/// that holds the old key. Banned agents get nothing.
async fn places(door: &mut Door<'_>, certificate: &Certificate) -> Result<Vec<Place>, Problem> {
    let expected = installations::by_certificate(&mut door.tx, &certificate.id)
        .await
        .map_err(problem_of)?;
    let failed = installations::failed_by_certificate(&mut door.tx, &certificate.id)
        .await
        .map_err(problem_of)?;
    let mut places: Vec<Place> = expected
        .into_iter()
        .chain(failed)
        .map(|it| Place {
            agent_id: it.agent_id,
            path: Some(it.path),
        })
        .collect();
    let installed = !places.is_empty();
    if !installed {
        if let Some(by) = &certificate.replaced_by {
            return Err(Problem::conflict(format!(
                "certificate `{}` was replaced by `{by}` and is installed nowhere",
                certificate.id
            ))
            .hint(format!("reissue `{by}`")));
        }
        let holders = holders::of_key(&mut door.tx, &certificate.spki_sha256)
            .await
            .map_err(problem_of)?;
        places.extend(holders.into_iter().map(|agent_id| Place { agent_id, path: None }));
    }
    let mut open = Vec::new();
    let mut banned = Vec::new();
    for place in places {
        let agent = agents::existing(&mut door.tx, &place.agent_id)
            .await
            .map_err(problem_of)?;
        match agent.status {
            AgentStatus::Active => open.push(place),
            AgentStatus::Banned => banned.push(agent.hostname),
        }
    }
    if !installed {
        // It is installed nowhere, so one fresh certificate is enough.
        open.truncate(1);
    }
    match (open.is_empty(), banned.is_empty()) {
        (false, _) => Ok(open),
        (true, false) => Err(Problem::refused(format!(
            "only banned agents hold this certificate: {}",
            banned.join(", ")
        ))
        .hint("request a new certificate for another agent: `POST /api/v1/certs`")),
        (true, true) => Err(
            Problem::refused("no agent is known to hold this certificate's key")
                .hint("request a new certificate for an agent: `POST /api/v1/certs`"),
        ),
    }
}
