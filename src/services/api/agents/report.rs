//! `POST /api/v1/agents/{id}/report`: a check-in. It comes from every agent all the time, so it costs a
//! handful of statements, and leaves no audit row and no kept answer: sent twice, it says the same.

use axum::extract::State;
use axum::response::Response;

use crate::domain::agent;
use crate::domain::key::is_spki;
use crate::domain::told::cut;
use crate::problem::{Problem, ProblemKind};
use crate::services::api::ApiState;
use crate::services::api::agents::told::Told;
use crate::services::api::caller::{Call, Needs};
use crate::services::api::csr;
use crate::services::api::denial;
use crate::services::api::identity_renewal;
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::{self, Refusal, problem_of};
use crate::store::holders::PROOFS_AT_ONCE;
use crate::store::{checkin, jobs};
use crate::wire::agents::{Report, ReportReply};

/// More paths or keys than any host has.
const AT_MOST: usize = 2000;

/// Takes a report, answers with the agent's jobs.
#[utoipa::path(
    post,
    path = "/agents/{id}/report",
    tag = "agents",
    operation_id = "report_agent",
    params(("id" = String, Path, description = "The agent, `agt_…`"), IdempotencyKey),
    request_body = Report,
    responses((status = 200, body = ReportReply, description = "The jobs that wait for the agent"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn report(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Result<Response, Refusal> {
    let denied = async |problem| Refusal::from(denial::of(&api, &call.caller.token, problem).await);
    if let Err(problem) = may(&api, &id, &call) {
        return Err(denied(problem).await);
    }
    call.read(&api).await?;
    match take(&api, &id, &call).await {
        Ok(reply) => Ok(reply::json(&reply)),
        Err(problem) => Err(denied(problem).await),
    }
}

fn may(api: &ApiState, id: &str, call: &Call) -> Result<(), Problem> {
    call.caller.token.good(api.store.now())?;
    Needs::Agent(id.to_owned()).allow(&call.caller)
}

async fn take(api: &ApiState, id: &str, call: &Call) -> Result<ReportReply, Problem> {
    let report: Report = input::json(call.body())?;
    if report.installations.len() > AT_MOST || report.keys.len() > AT_MOST {
        return Err(Problem::bad_input(format!(
            "a report holds {AT_MOST} paths and {AT_MOST} keys at most"
        )));
    }
    if let Some(key) = report.keys.iter().find(|key| !is_spki(key)) {
        return Err(
            Problem::bad_input(cut(&format!("`keys` holds `{key}`, which names no key"), 120))
                .hint("64 lower-case hex letters: SHA-256 over the key's SubjectPublicKeyInfo"),
        );
    }
    Told {
        address: &report.address,
        tls_address: report.tls_address.as_deref(),
        install_dirs: &report.install_dirs,
        agent_version: &report.agent_version,
        owner: report.owner.as_deref(),
    }
    .check()?;
    let proven = proven(id, &report.proofs)?;
    // Before a connection is asked for: however often an agent reports, it waits for one of them at a time.
    let Some(_turn) = api.reporting.take(id).await else {
        return Err(Problem::new(
            ProblemKind::TooMany,
            "reports of this agent are being recorded one after the other, and others wait already",
        )
        .hint("send one report at a time; this one changed nothing"));
    };
    let recorded = async {
        let mut tx = api.store.begin().await?;
        let recorded =
            checkin::check_in_from(&mut tx, id, &report, &proven, Some(&call.caller.source)).await?;
        let jobs = jobs::for_agent(&mut tx, id).await?;
        // Last, since it writes an audit row.
        let identity_pem = match &report.identity_csr_pem {
            Some(csr) => identity_renewal::renew(api, &mut tx, &recorded.agent, csr, &call.caller).await?,
            None => None,
        };
        tx.commit().await?;
        Ok(ReportReply {
            checkin_interval_s: recorded.agent.checkin_interval_s,
            jobs,
            identity_pem,
            prove: recorded.prove,
            look: recorded.look,
        })
    };
    recorded.await.map_err(problem_of)
}

/// The keys that this agent has signed its own id with. Another agent's proof says another id.
fn proven(id: &str, proofs: &[String]) -> Result<Vec<String>, Problem> {
    if proofs.len() > PROOFS_AT_ONCE {
        return Err(Problem::bad_input(format!(
            "a report holds {PROOFS_AT_ONCE} proofs at most"
        )));
    }
    let of = |proof: &String| {
        let csr = csr::read(proof)?;
        // A proof holds the agent's own name and nothing else: a request for a certificate is no proof.
        let is_its = csr.common_name.as_deref() == Some(&agent::proof_name(id));
        if !is_its || !csr.dns.is_empty() || !csr.ips.is_empty() {
            return Err(Problem::refused("the proof of a key is not this agent's"));
        }
        Ok(csr.key.spki_sha256())
    };
    proofs.iter().map(of).collect()
}
