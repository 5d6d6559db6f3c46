//! `/api/v1/runs`: what a console says before and after it carries a plan out, so that the audit row is
//! there before the first change and the run survives the console.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::actions;
use crate::domain::canonical;
use crate::domain::id::EntityKind;
use crate::domain::told::told;
use crate::problem::Problem;
use crate::store::{Work, runs};
use crate::wire::runs::{MAX_THINGS, RunBegin, RunEnd, RunStepRecord, RunView, is_about};

use super::ApiState;
use super::audited::{Attempt, Door};
use super::caller::{Call, Needs, Reader};
use super::input::{self, Asked, Ids};
use super::reply::{self, Refusal, problem_of};
use super::run_end::{self, Judged};
use crate::services::api::openapi::{BadInput, Changes, IdempotencyKey, NoSuch, Refused};
use crate::wire::page::{Page, PageQuery};

/// No id is longer, and no address of a Vault node.
const MAX_NAME: usize = 200;

/// A page.
#[utoipa::path(
    get,
    path = "/runs",
    tag = "runs",
    operation_id = "list_runs",
    params(PageQuery),
    responses((status = 200, body = Page<RunView>, description = "A page"), Refused, BadInput),
    security(("token" = []))
)]
pub(super) async fn list(
    State(api): State<ApiState>,
    _: Reader,
    Asked(query): Asked,
) -> Result<Response, Refusal> {
    let mut conn = api.store.ask(Work::of_page(&query)).await?;
    Ok(reply::json(&runs::page(&mut conn, &query).await?))
}

/// One, with plan and steps.
#[utoipa::path(
    get,
    path = "/runs/{id}",
    tag = "runs",
    operation_id = "read_run",
    params(("id" = String, Path, description = "The run, `run_…`")),
    responses((status = 200, body = RunView, description = "The run with plan and steps"), Refused, NoSuch),
    security(("token" = []))
)]
pub(super) async fn read(
    State(api): State<ApiState>,
    _: Reader,
    Ids(id): Ids<String>,
) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    Ok(reply::json(&runs::existing(&mut conn, &id).await?))
}

/// A run begins. Said twice, it counts once.
#[utoipa::path(
    post,
    path = "/runs",
    tag = "runs",
    operation_id = "begin_run",
    params(IdempotencyKey),
    request_body = RunBegin,
    responses((status = 201, body = RunView, description = "The run as it is recorded"), Refused, Changes),
    security(("token" = []))
)]
pub(super) async fn begin(State(api): State<ApiState>, call: Call) -> Response {
    let attempt = Attempt::new("run", EntityKind::Run, "new").asked();
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    door.status = StatusCode::CREATED;
    let result = record_begin(&mut door, call.body()).await;
    door.close(result, |run, _| run).await
}

async fn record_begin(door: &mut Door<'_>, body: &[u8]) -> Result<RunView, Problem> {
    let run: RunBegin = input::json(body)?;
    let digest = check(&run)?;
    about(door, &run.id, run.entity_type, &run.entity_ids).await?;
    door.attempt.because(run.comment.clone(), run.ticket.clone())?;
    door.attempt.detail = Some(format!(
        "plan `{}` on {} {}",
        run.action,
        run.entity_ids.len(),
        run.entity_type
    ));
    let (actor, token) = (door.actor().to_owned(), door.token_id().to_owned());
    if !runs::begin(&mut door.tx, &run, &digest, &actor, &token)
        .await
        .map_err(problem_of)?
    {
        door.nothing_to_do();
    }
    door.in_run(&run.id).await.map_err(problem_of)?;
    now(door, &run.id).await
}

/// Whether it can be what it says; the digest of its plan.
fn check(run: &RunBegin) -> Result<String, Problem> {
    let is_id = run.id.strip_prefix("run_").is_some_and(|tail| {
        (1..=60).contains(&tail.len()) && tail.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    });
    if !is_id {
        return Err(
            Problem::bad_input(told(&format!("`{}` is not a run's id", run.id)))
                .hint("`run_` and letters or digits"),
        );
    }
    let Some(action) = actions::find(&run.action) else {
        let known: Vec<&str> = actions::ALL.iter().map(|action| action.spec().id).collect();
        return Err(
            Problem::bad_input(told(&format!("`{}` is not an action", run.action)))
                .hint(format!("allowed: {}", known.join(", "))),
        );
    };
    let kinds = action.spec().kinds;
    if !kinds.contains(&run.entity_type) {
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        return Err(Problem::bad_input(format!(
            "`{}` is not done to a thing of the sort `{}`",
            run.action,
            run.entity_type.word()
        ))
        .hint(format!("allowed as `entity_type`: {}", words.join(", "))));
    }
    if run.entity_ids.is_empty() {
        return Err(
            Problem::bad_input("a run is about one thing at least, and this one about none")
                .hint("name them in `entity_ids`, and in `plan.targets` in the same order"),
        );
    }
    if run.entity_ids.len() > MAX_THINGS {
        return Err(Problem::bad_input(format!(
            "a run is about {MAX_THINGS} things at most, and this one about {}",
            run.entity_ids.len()
        ))
        .hint("do the rest in further runs"));
    }
    if let Some(id) = run.entity_ids.iter().find(|id| !is_name(id)) {
        return Err(
            Problem::bad_input(told(&format!("`{id}` is no {}'s id", run.entity_type.word())))
                .hint(format!("1 to {MAX_NAME} letters, digits and `-._:/[]@`")),
        );
    }
    // What is shown of a run is its record, so that the two can't tell different stories.
    let targets = run.plan["targets"].as_array().into_iter().flatten();
    let told = targets.map(|target| target["id"].as_str());
    let of_plan = |field: &str, said: &str| run.plan[field].as_str() == Some(said);
    let is_whole = run.plan["targets"].is_array()
        && of_plan("run_id", &run.id)
        && of_plan("action", &run.action)
        && told.eq(run.entity_ids.iter().map(|id| Some(id.as_str())));
    if !is_whole {
        return Err(
            Problem::bad_input("the run's id, action or things are not those of its plan")
                .hint("`plan` needs `run_id`, `action` and `targets`, each with the `id` of one of `entity_ids`, in order"),
        );
    }
    let digest = canonical::digest(&run.plan);
    if run.digest.as_ref().is_some_and(|said| *said != digest) {
        return Err(Problem::bad_input("`digest` is not the plan's")
            .hint("SHA-256 over the plan's canonical JSON (RFC 8785), or leave it out"));
    }
    Ok(digest)
}

/// An id, a fingerprint, or the address of a Vault node.
fn is_name(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:/[]@".contains(c);
    (1..=MAX_NAME).contains(&id.len()) && id.chars().all(fits)
}

/// The row is about the run's one target, or about the run where there are several.
async fn about(
    door: &mut Door<'_>,
    run_id: &str,
    entity_type: EntityKind,
    entity_ids: &[String],
) -> Result<(), Problem> {
    (door.attempt.entity_type, door.attempt.entity_id) = is_about(run_id, entity_type, entity_ids);
    door.in_run(run_id).await.map_err(problem_of)
}

/// A step began or ended. It leaves no audit row of its own: what it changes does.
#[utoipa::path(
    post,
    path = "/runs/{id}/steps",
    tag = "runs",
    operation_id = "step_run",
    params(("id" = String, Path, description = "The run, `run_…`"), IdempotencyKey),
    request_body = RunStepRecord,
    responses((status = 200, body = RunView, description = "The run now"), Refused, Changes),
    security(("token" = []))
)]
pub(super) async fn step(State(api): State<ApiState>, Ids(id): Ids<String>, call: Call) -> Response {
    let attempt = Attempt::new("run-step", EntityKind::Run, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = record_step(&mut door, &id, call.body()).await;
    door.nothing_to_do();
    door.close(result, |run, _| run).await
}

async fn record_step(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<RunView, Problem> {
    door.in_run(id).await.map_err(problem_of)?;
    let step: RunStepRecord = input::json(body)?;
    let token = door.token_id().to_owned();
    let run = runs::step(&mut door.tx, id, &step, &token)
        .await
        .map_err(problem_of)?;
    let is_so = run_end::step(&mut door.tx, &run, &step).await.map_err(problem_of);
    if let Err(problem) = is_so {
        // Its change may be on record by then.
        door.judged_anew();
        return Err(problem);
    }
    now(door, id).await
}

/// The run ended. Said twice, it counts once.
#[utoipa::path(
    post,
    path = "/runs/{id}/end",
    tag = "runs",
    operation_id = "end_run",
    params(("id" = String, Path, description = "The run, `run_…`"), IdempotencyKey),
    request_body = RunEnd,
    responses((status = 200, body = RunView, description = "The run now"), Refused, Changes),
    security(("token" = []))
)]
pub(super) async fn end(State(api): State<ApiState>, Ids(id): Ids<String>, call: Call) -> Response {
    let attempt = Attempt::new("run", EntityKind::Run, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = record_end(&mut door, &id, call.body()).await;
    door.close(result, |run, _| run).await
}

async fn record_end(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<RunView, Problem> {
    let end: RunEnd = input::json(body)?;
    // Held, so that no change of it comes between this look and the end.
    let run = runs::lock(&mut door.tx, id).await.map_err(problem_of)?;
    about(door, id, run.entity_type, &run.entity_ids).await?;
    let token = door.token_id().to_owned();
    runs::owned(&mut door.tx, id, &token).await.map_err(problem_of)?;
    let judged = run_end::judged(&mut door.tx, &run, end)
        .await
        .map_err(problem_of)?;
    let end = match judged {
        Judged::Taken(end) => end,
        Judged::NotYet(problem) => {
            door.not_yet();
            return Err(problem);
        }
        Judged::NotSo(problem) => {
            door.judged_anew();
            return Err(problem);
        }
    };
    door.attempt.because(run.comment, run.ticket)?;
    door.attempt.outcome = end.outcome;
    door.attempt.detail = Some(match &end.note {
        Some(note) => format!("plan `{}`: {note}", run.action),
        None => format!("plan `{}`", run.action),
    });
    let ended = runs::end(&mut door.tx, id, &end, Some(&token));
    if !ended.await.map_err(problem_of)? {
        door.nothing_to_do();
    }
    now(door, id).await
}

/// How the run is now. Without plan and steps, which whoever records them has: the answer is kept, and a run of many
/// steps would be kept whole as often.
async fn now(door: &mut Door<'_>, id: &str) -> Result<RunView, Problem> {
    let run = runs::existing(&mut door.tx, id).await.map_err(problem_of)?;
    Ok(RunView {
        plan: None,
        steps: Vec::new(),
        ..run
    })
}
