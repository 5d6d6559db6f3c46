//! `POST /api/v1/agents/enrol`: a one-time token becomes an agent with a token of its own and,
//! where there is a CA for it, with an identity, in one transaction.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::agent::Agent;
use crate::domain::id::EntityKind;
use crate::domain::role::Role;
use crate::domain::{name, token};
use crate::problem::{Problem, ProblemKind};
use crate::services::api::ApiState;
use crate::services::api::agents::told::Told;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::identity_renewal;
use crate::services::api::input;
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::services::api::retold;
use crate::store::agents;
use crate::store::identities;
use crate::store::tokens::{self, NewToken, Purpose};
use crate::wire::agents::EnrolBody;
use crate::wire::agents::EnrolReply;

/// Enrols an agent, or enrols it again.
#[utoipa::path(
    post,
    path = "/agents/enrol",
    tag = "agents",
    operation_id = "enrol_agent",
    params(IdempotencyKey),
    request_body = EnrolBody,
    responses((status = 201, body = EnrolReply, description = "The agent and its own token, told once"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn enrol(State(api): State<ApiState>, call: Call) -> Response {
    let entity = call.caller.token.agent_id.as_deref().unwrap_or("new");
    let attempt = Attempt::new("enrol", EntityKind::Agent, entity);
    match retold::enrolment(&api, &call, &attempt).await {
        Ok(None) => {}
        Ok(Some(answer)) => return answer,
        Err(refusal) => return refusal.into(),
    }
    let mut door = match Door::open(&api, &call, &Needs::Enrolment, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    door.status = StatusCode::CREATED;
    let result = carry_out(&api, &mut door, &call).await;
    // The token itself is put in by the door, so that it isn't kept with the answer.
    door.close(result, |(agent, identity_pem), _| {
        serde_json::json!({
            "agent_id": agent.id,
            "checkin_interval_s": agent.checkin_interval_s,
            "identity_pem": identity_pem,
        })
    })
    .await
}

async fn carry_out(
    api: &ApiState,
    door: &mut Door<'_>,
    call: &Call,
) -> Result<(Agent, Option<String>), Problem> {
    let mut body: EnrolBody = input::json(call.body())?;
    body.hostname = name::of_host(&body.hostname).map_err(|_| {
        Problem::bad_input(format!("`{}` is not a host name", body.hostname))
            .hint("set `hostname` in the agent's configuration to the host's DNS name")
    })?;
    if let Some(own) = token::host_passes_for(&body.hostname) {
        return Err(Problem::bad_input(format!(
            "`{}` passes for `{own}`, a part of the platform: the agent's name would mislead in the audit",
            body.hostname
        ))
        .hint("set `hostname` in the agent's configuration to the host's full DNS name"));
    }
    Told {
        address: &body.address,
        tls_address: body.tls_address.as_deref(),
        install_dirs: &body.install_dirs,
        agent_version: &body.agent_version,
        owner: body.owner.as_deref(),
    }
    .check()?;
    if api.identity_ca.is_some() && body.identity_csr_pem.is_none() {
        // Before the one-time token is spent, which is then good for the next try.
        return Err(Problem::refused(
            "the enrolment holds no request for the agent's own certificate, without which no agent is let in here",
        )
        .hint(
            "let the agent reach the API over TLS: `api = \"https://…\"` in its configuration; others send \
             `identity_csr_pem`",
        ));
    }
    let token = &call.caller.token;
    if !tokens::spend(&mut door.tx, &token.id).await.map_err(problem_of)? {
        return Err(Problem::new(
            ProblemKind::NotAuthenticated,
            "the enrolment token was spent already",
        )
        .hint("ask for a new one"));
    }
    let agent = match &token.agent_id {
        Some(id) => {
            let agent = agents::enrol_again(&mut door.tx, id, &body)
                .await
                .map_err(problem_of)?;
            tokens::revoke_of_agent(&mut door.tx, id, Some(&token.id))
                .await
                .map_err(problem_of)?;
            agent
        }
        None => agents::insert(&mut door.tx, &body, api.checkin_interval_s)
            .await
            .map_err(problem_of)?,
    };
    agents::enrolled_from(&mut door.tx, &agent.id, &call.caller.source)
        .await
        .map_err(problem_of)?;
    let new = NewToken {
        name: format!("agent:{}", agent.hostname),
        purpose: Purpose::Bearer,
        role: Role::Agent,
        agent_id: Some(agent.id.clone()),
        parent: Some(token.id.clone()),
        expires_at: None,
    };
    let secret = door.mint().map_err(problem_of)?;
    tokens::create(&mut door.tx, &new, &secret)
        .await
        .map_err(problem_of)?;
    door.attempt.entity_id.clone_from(&agent.id);
    let mut detail = format!("host {} at {}", agent.hostname, agent.address);
    let signed = match (&api.identity_ca, &body.identity_csr_pem) {
        (Some(ca), Some(csr)) => Some(
            identity_renewal::certify(ca, &mut door.tx, &agent.id, csr)
                .await
                .map_err(problem_of)?,
        ),
        _ => None,
    };
    if let Some(signed) = &signed {
        detail = format!("{detail}, {}", identity_renewal::told(&signed.identity));
    }
    // Without one too: what counted before is no longer what the agent has.
    if signed.is_some() || agent.identity.is_some() || agent.next_identity.is_some() {
        let identity = signed.as_ref().map(|signed| &signed.identity);
        identities::begin(&mut door.tx, &agent.id, identity)
            .await
            .map_err(problem_of)?;
    }
    door.attempt.detail = Some(detail);
    Ok((agent, signed.map(|signed| signed.pem)))
}
