//! A step: the code that a plan's steps name. It runs, and then it is proven by looking.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::ports::{Reads, Writes};
use super::tier::Harm;
use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::wire::requests::WhyBody;

/// What a step may know while it runs and is proven.
#[derive(Clone, Debug)]
pub struct StepContext {
    /// Its own arguments, from the plan.
    pub args: Value,
    /// The kind of thing that it is done to.
    pub kind: EntityKind,
    /// Its idempotency key.
    pub key: String,
    /// When the run began to carry it out: a proof must be newer.
    pub began_at: DateTime<Utc>,
    /// What its `run` gave back; null while it runs, or when the answer was lost.
    pub result: Value,
    /// What the earlier steps of the same target gave back, in order.
    pub earlier: Vec<Value>,
    /// Why, in the operator's words, for the audit.
    pub comment: Option<String>,
    /// The ticket, for the audit.
    pub ticket: Option<String>,
}

impl StepContext {
    /// The body of a call that only says why.
    #[must_use]
    pub fn why(&self) -> WhyBody {
        WhyBody {
            comment: self.comment.clone(),
            ticket: self.ticket.clone(),
        }
    }
}

/// What looking showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is so.
    Proven(String),
    /// Not yet; look again.
    NotYet(String),
    /// It is asked for and on record, and goes on by itself once somebody is back who is away: nobody has to wait.
    Waits(String),
    /// It is asked for and on record, and goes on by itself: its answer is worth some waiting, and is not unknown when it
    /// doesn't come meanwhile.
    Open(String),
    /// It will not become so.
    Refuted(Problem),
    /// Somebody took back what was asked for, so that it will not become so.
    Stopped(Problem),
}

/// One step of a plan.
pub trait Step: Sync {
    /// The name that plans refer to it by; never changes.
    fn name(&self) -> &'static str;

    /// The worst that it can do. The tier of every plan that has it follows from this.
    fn harm(&self) -> Harm;

    /// Carries it out. Called again with the same key after a lost answer, it must have the effect of
    /// one call. A step that only looks does nothing here.
    fn run<'a>(
        &'a self,
        _cx: &'a StepContext,
        _with: &'a Writes<'a>,
    ) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async { Ok(json!({})) })
    }

    /// Looks whether it has come about.
    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>>;

    /// How long looking may go on before the outcome is unknown.
    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Limit for one step of a plan, where the plan knows that the other side takes its time.
    fn limit_of(&self, _args: &Value) -> Duration {
        self.limit()
    }
}

/// Reads a text argument.
///
/// # Errors
/// That the plan doesn't hold it: a defect of the action that made the plan.
pub fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Problem> {
    value[name]
        .as_str()
        .ok_or_else(|| Problem::internal(format!("the plan's step holds no `{name}`")))
}
