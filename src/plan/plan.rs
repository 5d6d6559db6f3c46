//! A plan: what an action would do, worked out with real reads and no writes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tier::{Ask, Tier};
use crate::domain::canonical;
use crate::domain::id::EntityKind;

/// One thing that an action is about, as it was when the plan was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// What sort of thing.
    pub kind: EntityKind,
    /// Which one.
    pub id: String,
    /// Its version then; the plan is refused when it has another one.
    pub version: i64,
    /// Its name as people know it.
    pub name: String,
    /// Its stored status, in the word of the database; empty where there is none.
    pub status: String,
}

/// What a person can set before the plan is made: a reason, a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name among the inputs.
    pub name: String,
    /// What is shown beside it.
    pub label: String,
    /// What it is set to.
    pub value: String,
    /// What it can be set to; anything, if empty.
    pub options: Vec<String>,
}

/// What the fields were set to, by name.
pub type Inputs = BTreeMap<String, String>;

/// One step: data that names its code, so that it can be carried out by another process later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The step's registered name.
    pub step: String,
    /// What it does, for people.
    pub title: String,
    /// Which target it is for; a failure skips the rest of that target's steps.
    pub target: usize,
    /// The step's own arguments.
    pub args: Value,
    /// The equivalent command, without secrets; empty for a step that only looks.
    pub command: String,
}

/// What would be done, to what, and what it would break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// `run_…` of the run that will carry it out.
    pub run_id: String,
    /// The action's id.
    pub action: String,
    /// What is done to what, e.g. `Revoke web.example.com`.
    pub title: String,
    /// The things, with the versions that the plan was made from.
    pub targets: Vec<Target>,
    /// How much harm it can do.
    pub tier: Tier,
    /// What a tier-2 plan wants typed.
    pub phrase: String,
    /// Where `phrase` comes from, e.g. `the last four of the serial`.
    pub phrase_is: String,
    /// What can be set.
    pub fields: Vec<Field>,
    /// What changes, a line each.
    pub changes: Vec<String>,
    /// What it breaks, by name, a line each.
    pub breaks: Vec<String>,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// Whether it may run when the run can only be recorded locally, since it is what mends the rest.
    pub works_without_api: bool,
    /// When it was made.
    pub made_at: DateTime<Utc>,
}

impl Plan {
    /// SHA-256 over the plan's canonical JSON, lower-case hex: what was confirmed. Whoever has the record computes
    /// the same.
    #[must_use]
    pub fn digest(&self) -> String {
        canonical::digest(&serde_json::to_value(self).unwrap_or_default())
    }

    /// What a person must do before it runs in `context`.
    #[must_use]
    pub fn asks(&self, context: &str) -> Ask {
        self.tier.asks(self.targets.len(), context, &self.phrase)
    }

    /// The idempotency key of the step at `index`: the same whenever it is tried again.
    #[must_use]
    pub fn step_key(&self, index: usize) -> String {
        format!("{}/{index}", self.run_id)
    }
}
