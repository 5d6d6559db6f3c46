//! Bodies of `/api/v1/runs`: what a console says before and after it carries a plan out, so that the
//! audit row is there before the first change.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::domain::told;

/// The most that the record of a run's beginning may hold, in bytes: what one request may.
pub const MAX_BEGIN_BYTES: usize = 1 << 20;

/// The most things of one run: more than a record of that size tells of.
pub const MAX_THINGS: usize = 5_000;
/// Things of a run that a list names, beside their number.
pub const NAMED_IN_LISTS: usize = 5;

/// `POST /api/v1/runs`: a run begins. Idempotent by `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunBegin {
    /// `run_…`, made by whoever carries it out.
    pub id: String,
    /// The action's id, such as `revoke`.
    pub action: String,
    /// Sort of the things that it is about.
    pub entity_type: EntityKind,
    /// Their ids, one at least.
    #[schema(min_items = 1)]
    pub entity_ids: Vec<String>,
    /// Why, in the operator's words.
    #[serde(default)]
    pub comment: Option<String>,
    /// The ticket.
    #[serde(default)]
    pub ticket: Option<String>,
    /// The plan, as data. Its `run_id`, `action` and the ids of its `targets` are those of the run.
    pub plan: serde_json::Value,
    /// SHA-256 over the plan's canonical JSON (RFC 8785), which the server computes: one that is given and isn't
    /// that is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// `POST /api/v1/runs/{id}/steps`: a step of the run began or ended. One that changes something is `proven` only where the
/// run's change of its thing is on record, and `refused` only where it isn't, or came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStepRecord {
    /// Its place in the plan, from 0.
    pub index: i64,
    /// The step's name.
    #[serde(deserialize_with = "told::text")]
    pub name: String,
    /// `running`, `proven`, `waiting`, `refused`, `failed` or `unknown`.
    pub status: String,
    /// What it said.
    #[serde(default, deserialize_with = "told::maybe")]
    pub note: Option<String>,
}

/// `POST /api/v1/runs/{id}/end`: the run ended. Idempotent. It is `done` only where what it asked for came about, and `refused`
/// only where not all of its things are changed; while that is under way it is `unknown`. A revocation that came about, or
/// may yet, has not `failed` either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunEnd {
    /// How.
    pub outcome: AuditOutcome,
    /// The proof, or what went wrong.
    #[serde(default, deserialize_with = "told::maybe")]
    pub note: Option<String>,
}

/// The reply to each of the three: the run as it is recorded now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// `run_…`
    pub id: String,
    /// The action's id.
    pub action: String,
    /// Sort of the things that it is about.
    pub entity_type: EntityKind,
    /// Ids of the things; in a list the first five.
    pub entity_ids: Vec<String>,
    /// Number of things.
    #[serde(default)]
    pub n_entities: usize,
    /// Why, in the operator's words.
    pub comment: Option<String>,
    /// The ticket.
    pub ticket: Option<String>,
    /// Who carries it out.
    pub actor: String,
    /// SHA-256 over the plan's canonical JSON.
    pub digest: String,
    /// `asked` while it is under way, then how it ended.
    pub outcome: AuditOutcome,
    /// The proof, or what went wrong.
    pub note: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The plan, as data; only in a detail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<serde_json::Value>,
    /// Its steps so far; only in a detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<RunStepView>,
}

impl RunView {
    /// The thing that the run's audit rows are about: its one target, or itself where there are several.
    #[must_use]
    pub fn is_about(&self) -> (EntityKind, String) {
        is_about(&self.id, self.entity_type, &self.entity_ids)
    }
}

/// See [`RunView::is_about`].
#[must_use]
pub fn is_about(run_id: &str, entity_type: EntityKind, entity_ids: &[String]) -> (EntityKind, String) {
    match entity_ids {
        [only] => (entity_type, only.clone()),
        _ => (EntityKind::Run, run_id.to_owned()),
    }
}

/// One step of a run, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStepView {
    /// Its place in the plan, from 0.
    pub index: i64,
    /// The step's name.
    pub name: String,
    /// `running`, `proven`, `waiting`, `refused`, `failed` or `unknown`.
    pub status: String,
    /// What it said.
    pub note: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}
