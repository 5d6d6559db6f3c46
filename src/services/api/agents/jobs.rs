//! `POST /api/v1/agents/{id}/jobs/{job_id}`: how a job ended. Said twice, it counts once.

use axum::extract::State;
use axum::response::Response;

use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::domain::installation::Installation;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::{installations, job_end, jobs};
use crate::wire::agents::{JobResult, JobView};

/// Records the end of a job and what follows from it.
#[utoipa::path(
    post,
    path = "/agents/{id}/jobs/{job_id}",
    tag = "agents",
    operation_id = "end_job",
    params(("id" = String, Path, description = "The agent, `agt_…`"), ("job_id" = String, Path, description = "The job, `job_…`"), IdempotencyKey),
    request_body = JobResult,
    responses((status = 200, body = JobView, description = "The job now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn end(
    State(api): State<ApiState>,
    Ids((id, job_id)): Ids<(String, String)>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("job", EntityKind::Job, &job_id);
    let mut door = match Door::open(&api, &call, &Needs::Agent(id.clone()), attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = record(&mut door, &id, &job_id, call.body()).await;
    door.close(result, |job, _| job).await
}

async fn record(door: &mut Door<'_>, id: &str, job_id: &str, body: &[u8]) -> Result<JobView, Problem> {
    let result: JobResult = input::json(body)?;
    let ended = job_end::end(&mut door.tx, id, job_id, &result)
        .await
        .map_err(problem_of)?;
    let Some(job) = ended else {
        door.nothing_to_do();
        return view(door, job_id).await;
    };
    // The row is about what the job was about, so that it is found where one looks for it.
    let about = match job.kind.as_str() {
        "install" => job
            .certificate_id
            .clone()
            .map(|id| ("install", EntityKind::Certificate, id)),
        "challenge" => job
            .request_id
            .clone()
            .map(|id| ("challenge", EntityKind::Request, id)),
        "make_key" => job
            .request_id
            .clone()
            .map(|id| ("make-key", EntityKind::Request, id)),
        _ => None,
    };
    if let Some((action, entity_type, entity_id)) = about {
        door.attempt.action = action;
        door.attempt.entity_type = entity_type;
        door.attempt.entity_id = entity_id;
    }
    door.attempt.outcome = if result.done {
        AuditOutcome::Done
    } else {
        AuditOutcome::Failed
    };
    // The job's own place: the result names what it likes.
    let place = match &job.installation_id {
        Some(installation) => installations::read(&mut door.tx, installation)
            .await
            .map_err(problem_of)?,
        None => None,
    };
    door.attempt.detail = Some(told(id, place.as_ref(), &result));
    view(door, job_id).await
}

async fn view(door: &mut Door<'_>, job_id: &str) -> Result<JobView, Problem> {
    jobs::read(&mut door.tx, job_id)
        .await
        .map_err(problem_of)?
        .map(jobs::Job::view)
        .ok_or_else(|| Problem::not_found(format!("there is no job `{job_id}`")))
}

fn told(agent_id: &str, place: Option<&Installation>, result: &JobResult) -> String {
    let place = match place {
        Some(there) => format!("on agent {agent_id} at {}", there.path),
        None => format!("on agent {agent_id}"),
    };
    match result.done {
        true => place,
        false => format!("{place}: {}", result.failure()),
    }
}
