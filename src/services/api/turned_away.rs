//! Refusals that are counted, so that nobody fills the audit trail with what is refused. Of dead tokens and of roles,
//! before anything of the request is read, the first leaves an audit row; of a caller's slips, such as a body that
//! means nothing, as many as a person makes do. What the same token tries of the same kind within a minute beyond that
//! is told in one row afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::audit::{AuditEntry, AuditOutcome};
use crate::domain::told::cut;
use crate::problem::{Problem, ProblemKind};
use crate::store::{StoreError, audit};

use super::audited::Attempt;
use super::caller::Call;
use super::reply::{self, problem_of};
use super::{ApiState, denial, own_run};

/// One row for all within so long.
const COUNTED_FOR: TimeDelta = TimeDelta::minutes(1);
/// Between two looks for counts that nobody added to any more.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Reason of a refusal that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counted {
    /// The caller has no rights to it.
    MayNot,
    /// A request that means nothing: a malformed body, a thing that there is not.
    Slip,
    /// It was understood, and can't be done as things are.
    Contradicts,
}

impl Counted {
    /// Kind of a problem that a caller who may has met; nothing where it is not the caller's doing.
    pub(super) fn of(problem: &Problem) -> Option<Self> {
        match problem.kind {
            ProblemKind::BadInput | ProblemKind::NotFound => Some(Self::Slip),
            ProblemKind::Internal
            | ProblemKind::Unavailable
            | ProblemKind::BackendFailed
            | ProblemKind::NoAnswer => None,
            _ => Some(Self::Contradicts),
        }
    }

    /// As many within a minute have rows of their own. A run over thousands of things may be refused a thousand.
    fn rows(self) -> u64 {
        match self {
            Self::MayNot => 1,
            Self::Slip => 20,
            Self::Contradicts => 1_000,
        }
    }
}

/// The refusals of the last minute, by token, action and reason.
#[derive(Clone, Default)]
pub(super) struct Refusals(Arc<Mutex<BTreeMap<Of, Tally>>>);

type Of = (String, &'static str, Counted);

struct Tally {
    since: DateTime<Utc>,
    /// With rows of their own.
    told: u64,
    more: u64,
    last: AuditEntry,
}

impl Tally {
    /// The row that tells of those without one.
    fn row(self) -> Option<AuditEntry> {
        let about = match self.more {
            0 => return None,
            1 => "and one more".to_owned(),
            more => format!("and {more} more"),
        };
        let why = self.last.detail.as_deref().unwrap_or_default();
        Some(AuditEntry {
            detail: Some(format!(
                "{about} within a minute from {}, this one the last: {why}",
                self.since.format("%TZ")
            )),
            reason: None,
            ticket: None,
            run_id: None,
            ..self.last
        })
    }
}

impl Refusals {
    /// Counts one. Whether it has a row of its own.
    pub(super) fn count(
        &self,
        (token, action, why): (&str, &'static str, Counted),
        entry: &AuditEntry,
        now: DateTime<Utc>,
    ) -> bool {
        let mut all = self.all();
        let tally = all
            .entry((token.to_owned(), action, why))
            .or_insert_with(|| Tally {
                since: now,
                told: 0,
                more: 0,
                last: entry.clone(),
            });
        if tally.told < why.rows() {
            tally.told += 1;
            return true;
        }
        tally.more += 1;
        tally.last.clone_from(entry);
        // The caller's word, of which the row needs no more.
        tally.last.entity_id = cut(&entry.entity_id, 200);
        false
    }

    /// The rows for those that were counted until a minute ago; for all, once nobody asks any more.
    fn due(&self, now: Option<DateTime<Utc>>) -> Vec<AuditEntry> {
        let mut all = self.all();
        let is_over = |tally: &Tally| now.is_none_or(|now| (now - tally.since).abs() >= COUNTED_FOR);
        let over: Vec<_> = all.extract_if(.., |_, tally| is_over(tally)).collect();
        over.into_iter().filter_map(|(_, tally)| tally.row()).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Of, Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to who may not.
pub(super) async fn answer(api: &ApiState, call: &Call, attempt: &Attempt, problem: Problem) -> Response {
    let problem = denial::of(api, &call.caller.token, problem).await;
    let mut entry = attempt.entry(call, AuditOutcome::Refused);
    // The caller's word, which nobody is to believe yet.
    entry.entity_id = cut(&entry.entity_id, 200);
    entry.detail = Some(problem.what.clone());
    let now = api.clock.now();
    let mut rows = api.refusals.due(Some(now));
    let of = (call.caller.token.id.as_str(), attempt.action, Counted::MayNot);
    let is_first = api.refusals.count(of, &entry, now);
    if is_first {
        rows.push(entry);
    }
    match write(api, rows, is_first.then_some(call)).await {
        Ok(()) => reply::problem(problem),
        Err(error) => reply::problem(problem_of(error)),
    }
}

/// Writes rows in one transaction; the last of them is about the call, where there is one.
async fn write(api: &ApiState, mut rows: Vec<AuditEntry>, last: Option<&Call>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tx = api.store.begin().await?;
    if let (Some(call), Some(row)) = (last, rows.last_mut())
        && let Some(run) = &row.run_id
        && !own_run::is_own(&mut tx, call, run).await?
    {
        // A run that isn't the caller's gets no row.
        row.run_id = None;
    }
    for row in rows {
        audit::append(&mut tx, row).await?;
    }
    tx.commit().await
}

/// Tells what was counted, a minute after it began, until the server goes down.
pub(super) async fn tell(api: ApiState) {
    loop {
        let is_over = tokio::time::timeout(LOOK_EVERY, api.drained()).await.is_ok();
        let now = (!is_over).then(|| api.clock.now());
        tell_due(&api, now).await;
        if is_over {
            return;
        }
    }
}

async fn tell_due(api: &ApiState, now: Option<DateTime<Utc>>) {
    let rows = api.refusals.due(now);
    let n = rows.len();
    if let Err(error) = write(api, rows, None).await {
        tracing::error!(%error, "{n} audit rows about counted refusals can't be written");
    }
}
