//! `POST /api/v1/agents/{id}/checkin`: the server wakes the agent now and tells what came of it. No
//! transaction is open meanwhile: one row says that it was asked, another how it ended.

use axum::extract::State;
use axum::response::Response;

use crate::domain::agent::{Agent, AgentStatus};
use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::agents;
use crate::store::jobs::Listening;
use crate::wire::agents::CheckinReply;
use crate::wire::requests::WhyBody;

/// Wakes an agent.
#[utoipa::path(
    post,
    path = "/agents/{id}/checkin",
    tag = "agents",
    operation_id = "checkin_agent",
    params(("id" = String, Path, description = "The agent, `agt_…`"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = CheckinReply, description = "What came of it; `reached` says whether the agent answered"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn checkin(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("checkin", EntityKind::Agent, &id).asked();
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt.clone()).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let asked = ask(&mut door, &id, call.body()).await;
    let said = door.attempt.clone();
    let agent = match asked {
        Ok(agent) => match door.pass().await {
            Ok(()) => agent,
            Err(answer) => return answer,
        },
        Err(problem) => return door.close(Err::<(), _>(problem), |(), _| ()).await,
    };
    let mut reply = wake(&api, agent).await;

    let attempt = Attempt {
        outcome: if reply.failed_step.is_none() {
            AuditOutcome::Done
        } else {
            AuditOutcome::Failed
        },
        detail: reply.problem.as_ref().map(|problem| problem.what.clone()),
        ..said
    };
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = agents::existing(&mut door.tx, &id).await.map_err(problem_of);
    door.close(result, |agent, _| {
        reply.last_checkin = agent.last_checkin;
        reply
    })
    .await
}

async fn ask(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Agent, Problem> {
    let body: WhyBody = input::json_or_default(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let agent = agents::existing(&mut door.tx, id).await.map_err(problem_of)?;
    if agent.status == AgentStatus::Banned {
        return Err(Problem::refused(format!(
            "the agent `{}` is banned and may not check in",
            agent.hostname
        )));
    }
    Ok(agent)
}

async fn wake(api: &ApiState, agent: Agent) -> CheckinReply {
    let listening = Listening {
        address: agent.address,
        reported_from: agent.reported_from,
    };
    // Never closed, so that there is always one to be had.
    let _bell = api.bells.acquire().await;
    let (reached, failed_step, problem) = match api.wake.wake(listening).await {
        Ok(woken) if woken.reported => (true, None, None),
        Ok(woken) => (true, Some("report".to_owned()), woken.not_reported()),
        Err(unreached) => (false, Some(unreached.failed_step), Some(unreached.problem)),
    };
    CheckinReply {
        reached,
        failed_step,
        problem,
        last_checkin: None,
    }
}
