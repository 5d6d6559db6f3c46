//! Runs: plans being carried out, step by step, so that one survives a lost connection.

use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::domain::told::told;
use crate::problem::{Problem, ProblemKind};
use crate::wire::page::{Page, PageQuery};
use crate::wire::runs::{NAMED_IN_LISTS, RunBegin, RunEnd, RunStepRecord, RunStepView, RunView};

use super::row::{FromRow, Row, list, word};
use super::search::{By, Place};
use super::select::{Is, List, SortColumn, Sorts, Where, contains};
use super::statement::{Json, Value, sql};
use super::{Conn, StoreError, Tx};

const LIST: List = List {
    columns: "r.id, r.action, r.entity_type, r.entity_ids, r.comment, r.ticket, r.actor, r.digest, \
              r.outcome, r.note, r.started_at, r.ended_at",
    from: "runs r",
    beside: None,
    id: "r.id",
    number_as_id: false,
    sorts: &[SortColumn {
        name: "started_at",
        sql: "r.started_at",
        sorts: Sorts::Time,
    }],
    unsorted: &[],
    default_sort: "-started_at",
    words: Is::Text(&[Place::own(
        By::Id("r.id", "run_"),
        &["SELECT r.id FROM runs r WHERE ?if"],
    )]),
    fields: &[],
    parameters: &["q", "status", "entity", "open"],
    doing: "reading the runs",
};

/// Records that a run begins. `false` if that was recorded before.
///
/// # Errors
/// Another plan has this id, or the database doesn't answer.
pub async fn begin(
    tx: &mut Tx,
    run: &RunBegin,
    digest: &str,
    actor: &str,
    token: &str,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sql(
        "INSERT INTO runs (id, action, entity_type, entity_ids, comment, ticket, plan, digest, actor, \
         begun_with, outcome, started_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'asked', $11) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&run.id)
    .bind(&run.action)
    .bind(run.entity_type.word())
    .bind(Json(&run.entity_ids))
    .bind(&run.comment)
    .bind(&run.ticket)
    .bind(Json(&run.plan))
    .bind(digest)
    .bind(actor)
    .bind(token)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording that a run begins"))?;
    if done == 0 {
        owned(tx, &run.id, token).await?;
        let before = existing(tx, &run.id).await?;
        if before.digest != digest {
            return Err(Problem::conflict(format!("run `{}` was begun with another plan", run.id)).into());
        }
        return Ok(false);
    }
    tx.changed(EntityKind::Run, &run.id);
    Ok(true)
}

/// Records a step, or what became of it. Gives the run as it was before, with its plan.
///
/// # Errors
/// The run is unknown or over, the status means nothing, or the database doesn't answer.
pub async fn step(
    tx: &mut Tx,
    run_id: &str,
    step: &RunStepRecord,
    token: &str,
) -> Result<RunView, StoreError> {
    if !["running", "proven", "waiting", "refused", "failed", "unknown"].contains(&step.status.as_str()) {
        return Err(
            Problem::bad_input(format!("`{}` is not a status of steps", step.status))
                .hint("allowed: running, proven, waiting, refused, failed, unknown")
                .into(),
        );
    }
    let run = lock(tx, run_id).await?;
    owned(tx, run_id, token).await?;
    is_planned(&run, step)?;
    // Of one that ended unknown, what came of it may be told later, as its end may.
    if run.ended_at.is_some() && run.outcome != AuditOutcome::Unknown {
        return Err(Problem::conflict(format!("run `{run_id}` has ended: {}", run.outcome.word())).into());
    }
    let now = tx.now();
    let ended_at = (step.status != "running").then_some(now);
    sql(
        "INSERT INTO run_steps (run_id, idx, name, status, note, started_at, ended_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (run_id, idx) DO UPDATE SET \
         name = excluded.name, status = excluded.status, note = excluded.note, ended_at = excluded.ended_at",
    )
    .bind(run_id)
    .bind(step.index)
    .bind(&step.name)
    .bind(&step.status)
    .bind(&step.note)
    .bind(now)
    .bind(ended_at)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording a step of a run"))?;
    tx.changed(EntityKind::Run, run_id);
    Ok(run)
}

/// A run's steps are those of its plan: what is on record of it tells one story, and is no longer than the plan.
fn is_planned(run: &RunView, step: &RunStepRecord) -> Result<(), Problem> {
    let steps = run.plan.as_ref().and_then(|plan| plan["steps"].as_array());
    let steps = steps.map_or(&[][..], Vec::as_slice);
    let index = usize::try_from(step.index).ok();
    let Some(planned) = index.and_then(|index| steps.get(index)) else {
        let what = format!("the plan of run `{}` has no step {}", run.id, step.index);
        return Err(Problem::bad_input(what).hint(match steps.len() {
            0 => "a run whose steps are recorded has them in `plan.steps`, each with its name as `step`"
                .to_owned(),
            n => format!("a step's index counts from 0; this plan's last one is {}", n - 1),
        }));
    };
    match planned["step"].as_str() {
        Some(name) if name != step.name => Err(Problem::bad_input(format!(
            "step {} of run `{}` is not `{}`",
            step.index, run.id, step.name
        ))
        .hint(told(&format!("its plan calls it `{name}`")))),
        _ => Ok(()),
    }
}

/// The token that began a run, if there is such a run.
///
/// # Errors
/// The database doesn't answer.
pub async fn begun_with(conn: &mut Conn, id: &str) -> Result<Option<String>, StoreError> {
    sql("SELECT begun_with FROM runs WHERE id = $1")
        .bind(id)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("reading who began a run"))
}

/// A run while something is changed under its key.
#[derive(Clone, Debug)]
pub struct Held {
    /// The token that began it.
    pub begun_with: String,
    /// The action's id.
    pub action: String,
    /// Sort of the things that it is about.
    pub entity_type: EntityKind,
    /// Their ids.
    pub entity_ids: Vec<String>,
    /// `asked` while it is under way.
    pub outcome: AuditOutcome,
}

/// The run, if there is one, which doesn't end before the transaction does.
///
/// # Errors
/// The database doesn't answer.
pub async fn hold(tx: &mut Tx, id: &str) -> Result<Option<Held>, StoreError> {
    sql("SELECT r.begun_with, r.action, r.entity_type, r.entity_ids, r.outcome FROM runs r WHERE r.id = $1")
        .bind(id)
        .sharing("r")
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because("reading the run of a change"))
}

impl FromRow for Held {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            begun_with: row.try_get("begun_with")?,
            action: row.try_get("action")?,
            entity_type: word(row, "entity_type", EntityKind::from_word)?,
            entity_ids: list(row, "entity_ids")?,
            outcome: word(row, "outcome", AuditOutcome::from_word)?,
        })
    }
}

/// A run is its beginner's: what became of it is nobody else's to say, whatever the name.
///
/// # Errors
/// It is another's, there is no such run, or the database doesn't answer.
pub async fn owned(conn: &mut Conn, id: &str, token: &str) -> Result<(), StoreError> {
    match begun_with(conn, id).await? {
        Some(begun_with) if begun_with == token => Ok(()),
        Some(_) => Err(Problem::new(
            ProblemKind::Forbidden,
            format!("the run `{id}` was begun with another token, which alone records its steps and its end"),
        )
        .hint("one that falls silent is closed as unknown after half an hour")
        .into()),
        None => Err(StoreError::not_found(EntityKind::Run, id)),
    }
}

/// Records how a run ended, said with the token that began it, or by the scheduler. `false` if that was recorded
/// before. An `unknown` end may still become a known one, or be told in other words.
///
/// # Errors
/// It ended otherwise, is unknown, or the database doesn't answer.
pub async fn end(tx: &mut Tx, run_id: &str, end: &RunEnd, token: Option<&str>) -> Result<bool, StoreError> {
    if end.outcome == AuditOutcome::Asked {
        return Err(Problem::bad_input("`asked` is not the end of a run")
            .hint("allowed: done, refused, failed, unknown")
            .into());
    }
    let before = lock(tx, run_id).await?;
    if let Some(token) = token {
        owned(tx, run_id, token).await?;
    }
    // While something of it is open, more may be known of the rest.
    let is_news = token.is_some() && end.outcome == AuditOutcome::Unknown && before.note != end.note;
    if before.outcome == end.outcome && !is_news {
        return Ok(false);
    }
    if !matches!(before.outcome, AuditOutcome::Asked | AuditOutcome::Unknown) {
        return Err(Problem::conflict(format!("run `{run_id}` has ended: {}", before.outcome.word())).into());
    }
    let now = tx.now();
    sql("UPDATE runs SET outcome = $2, note = $3, ended_at = $4 WHERE id = $1")
        .bind(run_id)
        .bind(end.outcome.word())
        .bind(&end.note)
        .bind(now)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("recording the end of a run"))?;
    tx.changed(EntityKind::Run, run_id);
    Ok(true)
}

/// One, with its plan and steps.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, id: &str) -> Result<Option<RunView>, StoreError> {
    let doing = "reading a run";
    let rows = sql("SELECT * FROM runs WHERE id = $1")
        .bind(id)
        .rows(conn.raw())
        .await
        .map_err(StoreError::because(doing))?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut run = Wrapped::from_row(row).map_err(StoreError::because(doing))?.0;
    let Json(plan) = row.try_get("plan").map_err(StoreError::because(doing))?;
    run.plan = Some(plan);
    let steps: Vec<Step> = sql("SELECT * FROM run_steps WHERE run_id = $1 ORDER BY idx")
        .bind(id)
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because(doing))?;
    run.steps = steps.into_iter().map(|step| step.0).collect();
    Ok(Some(run))
}

/// One that has to be there.
///
/// # Errors
/// There is no such run, or the database doesn't answer.
pub async fn existing(conn: &mut Conn, id: &str) -> Result<RunView, StoreError> {
    read(conn, id)
        .await?
        .ok_or_else(|| StoreError::not_found(EntityKind::Run, id))
}

/// One, kept from others until the transaction ends.
///
/// # Errors
/// There is no such run, or the database doesn't answer.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<RunView, StoreError> {
    sql("SELECT r.id FROM runs r WHERE r.id = $1")
        .bind(id)
        .locking("r")
        .rows(tx.raw())
        .await
        .map_err(StoreError::because("waiting for a run"))?;
    existing(tx, id).await
}

/// One page, the newest first if nothing else is said.
///
/// # Errors
/// A bad query, or the database doesn't answer.
pub async fn page(conn: &mut Conn, query: &PageQuery) -> Result<Page<RunView>, StoreError> {
    let mut filter = Where::default();
    if let Some(status) = &query.status {
        let outcome = AuditOutcome::from_word(status).ok_or_else(|| {
            Problem::bad_input(format!("`{status}` is not an outcome of runs"))
                .hint("allowed: asked, done, refused, failed, unknown")
        })?;
        filter.and("r.outcome = ?", Value::from(outcome.word().to_owned()));
    }
    match query.open {
        Some(true) => filter.and_plain("r.ended_at IS NULL"),
        Some(false) => filter.and_plain("r.ended_at IS NOT NULL"),
        None => {}
    }
    if let Some(entity) = &query.entity {
        filter.and("r.entity_ids LIKE ? ESCAPE '\\'", contains(entity));
    }
    let page: Page<Wrapped> = LIST.page(conn, query, filter).await?;
    Ok(page.map(|Wrapped(mut run)| {
        run.entity_ids.truncate(NAMED_IN_LISTS);
        run
    }))
}

struct Wrapped(RunView);

impl FromRow for Wrapped {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let entity_ids: Vec<String> = list(row, "entity_ids")?;
        Ok(Self(RunView {
            id: row.try_get("id")?,
            action: row.try_get("action")?,
            entity_type: word(row, "entity_type", EntityKind::from_word)?,
            n_entities: entity_ids.len(),
            entity_ids,
            comment: row.try_get("comment")?,
            ticket: row.try_get("ticket")?,
            actor: row.try_get("actor")?,
            digest: row.try_get("digest")?,
            outcome: word(row, "outcome", AuditOutcome::from_word)?,
            note: row.try_get("note")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            plan: None,
            steps: Vec::new(),
        }))
    }
}

struct Step(RunStepView);

impl FromRow for Step {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self(RunStepView {
            index: row.try_get("idx")?,
            name: row.try_get("name")?,
            status: row.try_get("status")?,
            note: row.try_get("note")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
        }))
    }
}
