//! `POST /api/v1/certs`: the wish for a new certificate.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::adapter::Adapter;
use crate::domain::agent::AgentStatus;
use crate::domain::id::EntityKind;
use crate::domain::key::KeyAlgorithm;
use crate::domain::name::{self, MAX_NAMES};
use crate::domain::request::Request;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::services::api::{input, paths};
use crate::store::requests::NewRequest;
use crate::store::{adapters, agents, requests};
use crate::wire::certs::RequestBody;
use crate::wire::requests::RequestReply;

/// Makes a request; the agent makes the key.
#[utoipa::path(
    post,
    path = "/certs",
    tag = "certs",
    operation_id = "request_cert",
    params(IdempotencyKey),
    request_body = RequestBody,
    responses((status = 202, body = RequestReply, description = "Recorded; follow the request"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn request(State(api): State<ApiState>, call: Call) -> Response {
    let attempt = Attempt::new("request", EntityKind::Request, "new").asked();
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    door.status = StatusCode::ACCEPTED;
    let result = make(&mut door, call.body()).await;
    door.close(result, |request, audit_seq| RequestReply {
        requests: vec![request],
        audit_seq,
    })
    .await
}

async fn make(door: &mut Door<'_>, body: &[u8]) -> Result<Request, Problem> {
    let body: RequestBody = input::json(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    door.attempt.detail = Some(format!("for {}", body.common_name));
    let key_algorithm = algorithm(body.key_algorithm.as_deref(), KeyAlgorithm::default())?;
    let sans = one_spelling(std::iter::once(&body.common_name).chain(&body.sans))?;
    let agent = agents::existing(&mut door.tx, &body.agent_id)
        .await
        .map_err(problem_of)?;
    if agent.status == AgentStatus::Banned {
        return Err(Problem::refused(format!(
            "the agent `{}` is banned",
            agent.hostname
        )));
    }
    if let Some(path) = &body.install_path {
        paths::allowed(path, &agent)?;
    }
    let adapter = adapter(door, body.adapter.as_deref()).await?;
    let new = NewRequest {
        common_name: sans.first().cloned().unwrap_or_default(),
        sans,
        key_algorithm: key_algorithm.word().to_owned(),
        adapter_id: adapter.id,
        agent_id: agent.id,
        install_path: body.install_path,
        replaces: None,
        requested_by: door.actor().to_owned(),
        needs_approval: false,
    };
    let request = requests::insert(&mut door.tx, &new).await.map_err(problem_of)?;
    door.attempt.entity_id.clone_from(&request.id);
    Ok(request)
}

/// The adapter with this name or id, or the one for everything.
async fn adapter(door: &mut Door<'_>, wanted: Option<&str>) -> Result<Adapter, Problem> {
    let Some(wanted) = wanted else {
        return adapters::default(&mut door.tx).await.map_err(problem_of);
    };
    let all = adapters::all(&mut door.tx).await.map_err(problem_of)?;
    let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
    let unknown = Problem::bad_input(format!("there is no adapter `{wanted}`"))
        .hint(format!("there are: {}", names.join(", ")));
    all.iter()
        .find(|it| it.name == wanted || it.id == wanted)
        .cloned()
        .ok_or(unknown)
}

/// The algorithm by its word, or `otherwise`.
pub(super) fn algorithm(word: Option<&str>, otherwise: KeyAlgorithm) -> Result<KeyAlgorithm, Problem> {
    let Some(word) = word else {
        return Ok(otherwise);
    };
    KeyAlgorithm::from_word(word).ok_or_else(|| {
        Problem::bad_input(format!("`{word}` is not a key algorithm")).hint(format!(
            "allowed: {}",
            KeyAlgorithm::ALL.map(KeyAlgorithm::word).join(", ")
        ))
    })
}

/// The names in their one spelling, each once, in their order.
pub(super) fn one_spelling<'a>(names: impl Iterator<Item = &'a String>) -> Result<Vec<String>, Problem> {
    let mut spelt: Vec<String> = Vec::new();
    for name in names {
        let name = name::of_certificate(name).map_err(|error| Problem::bad_input(error.to_string()))?;
        if spelt.contains(&name) {
            continue;
        }
        if spelt.len() == MAX_NAMES {
            return Err(
                Problem::bad_input(format!("a certificate has {MAX_NAMES} names at most"))
                    .hint("ask for several certificates, or for a wildcard"),
            );
        }
        spelt.push(name);
    }
    Ok(spelt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_counts_once_in_one_spelling() {
        let names = [
            "A.example.com.",
            "a.example.com",
            "2001:0db8::0010",
            "B.example.com",
        ]
        .map(str::to_owned);
        assert_eq!(
            one_spelling(names.iter()).unwrap(),
            ["a.example.com", "2001:db8::10", "b.example.com"]
        );
        let many: Vec<String> = (0..=MAX_NAMES).map(|n| format!("n{n}.example.com")).collect();
        assert!(one_spelling(many.iter()).is_err());
        assert_eq!(one_spelling(many.iter().skip(1)).unwrap().len(), MAX_NAMES);
        assert!(one_spelling(["a b".to_owned()].iter()).is_err());
    }
}
