//! The one loop that carries plans out: guard, versions, record, run, prove, record. Used by whoever
//! has a confirmed plan; it draws nothing and decides nothing about confirmation.

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt, stream};
use serde_json::Value;
use tokio::sync::watch;

use super::confirm::Confirmed;
use super::guard::Guard;
use super::journal::{Ending, Journal, OnRecord, Patience, Recorded};
use super::one_database::OneDatabase;
use super::order::{IN_HAND, Row, Turn, Turns, rows};
use super::outcome::{Ends, Outcome};
use super::plan::{Plan, PlannedStep};
use super::ports::{Changes, Reads, SecretEntry, Writes};
use super::recheck::{FindStep, PlanAgain, as_registered, still_true, unchanged};
use super::sent::{Sent, look};
use super::step::StepContext;
use crate::domain::audit::AuditOutcome;
use crate::problem::Problem;
use crate::wire::runs::RunStepRecord;

/// What happens while a plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEvent {
    /// The run is on record.
    Began(Recorded),
    /// The step at this index began.
    StepStarted(usize),
    /// The step at this index says how it goes.
    StepNote(usize, String),
    /// The step at this index ended.
    StepEnded(usize, Outcome),
    /// The step at this index was left out, since an earlier one of its target did not come about.
    StepSkipped(usize),
    /// Nothing more is done to the target at this index; so it ended.
    ThingEnded(usize, Outcome),
    /// A command was carried out, without its secrets, and how it ended.
    Command(String, String),
    /// All is over.
    Ended(Outcome),
}

/// Everything that the executor works with.
pub struct Means<'a> {
    /// What can be asked.
    pub reads: &'a Reads,
    /// What can be changed.
    pub changes: &'a Changes,
    /// Secrets that a person types.
    pub secrets: &'a SecretEntry,
    /// Where runs are recorded.
    pub journal: &'a Journal,
    /// Whether changes are allowed now. Asked before each thing that is changed, and before each share: the
    /// time that a context is unlocked for may end meanwhile.
    pub guard: &'a (dyn Fn() -> Guard + Send + Sync),
    /// Makes a plan for the same things with the same inputs again, as it would be now.
    pub plan_again: &'a PlanAgain,
    /// Finds a step's code by its name.
    pub find_step: &'a FindStep,
    /// Becomes true when whoever carries the plan out has to stop.
    pub leaving: watch::Receiver<bool>,
}

/// A run that was carried out, as far as this could be waited for.
pub struct Ended {
    /// Its end.
    pub outcome: Outcome,
    /// Things, and its record, that may still come about by themselves.
    pub(super) rest: Option<Rest>,
}

/// Part of a run that goes on without this console: asked for and on record, or not known.
pub(super) struct Rest {
    pub(super) confirmed: Confirmed,
    pub(super) recorded: Recorded,
    pub(super) things: BTreeMap<usize, Thing>,
    /// The records deny its end for as long as something is under way.
    pub(super) is_denied_for_now: bool,
}

/// Carries a confirmed plan out and tells `watch` how it goes.
pub async fn execute(
    confirmed: Confirmed,
    means: &Means<'_>,
    watch: &(dyn Fn(RunEvent) + Send + Sync),
) -> Ended {
    let (outcome, begun) = carry_out(&confirmed, means, watch).await;
    watch(RunEvent::Ended(outcome.clone()));
    let rest = begun.map(
        |Begun {
             recorded,
             things,
             is_denied_for_now,
         }| Rest {
            confirmed,
            recorded,
            things,
            is_denied_for_now,
        },
    );
    Ended { outcome, rest }
}

/// A run that was put on record.
struct Begun {
    recorded: Recorded,
    things: BTreeMap<usize, Thing>,
    is_denied_for_now: bool,
}

async fn carry_out(
    confirmed: &Confirmed,
    means: &Means<'_>,
    watch: &(dyn Fn(RunEvent) + Send + Sync),
) -> (Outcome, Option<Begun>) {
    let recorded = match on_record(confirmed, means).await {
        Ok(begun) => begun,
        Err(end) => return (end, None),
    };
    let (recorded, one) = recorded;
    watch(RunEvent::Began(recorded));
    let mut leaving = means.leaving.clone();
    let (outcome, things) = tokio::select! {
        done = all_steps(confirmed, recorded, &one, means, watch) => done,
        // A sender that is gone never says so: then there is nothing to wait for.
        Ok(_) = leaving.wait_for(|leaving| *leaving) => (
            Outcome::Unknown(
                Problem::no_answer(format!("{} was broken off: the console was left", confirmed.plan().title))
                    .hint(confirmed.plan().kind_of(0).check_first()),
            ),
            BTreeMap::new(),
        ),
    };
    // The record's end is the one that is told: what it denies isn't so for anybody.
    let told = end(means, recorded, confirmed, &outcome, Patience::ForAReport).await;
    let begun = Begun {
        recorded,
        things,
        is_denied_for_now: told.is_under_way,
    };
    (told.end, Some(begun))
}

/// Puts an end of the run on record, and gives the one that the record has.
pub(super) async fn end(
    means: &Means<'_>,
    recorded: Recorded,
    confirmed: &Confirmed,
    outcome: &Outcome,
    patience: Patience,
) -> OnRecord {
    let ending = Ending {
        confirmed,
        outcome,
        at: means.reads.now(),
    };
    let (api, journal) = (&means.changes.api, means.journal);
    journal.end(api, recorded, ending, &means.leaving, patience).await
}

/// Puts the run on record where nothing speaks against it now; else its end, before anything was sent.
async fn on_record(confirmed: &Confirmed, means: &Means<'_>) -> Result<(Recorded, OneDatabase), Outcome> {
    let plan = confirmed.plan();
    if let Err(problem) = (means.guard)().allow(&plan.title, means.reads.local_now()) {
        return Err(Outcome::NotSent(problem));
    }
    if let Err(problem) = as_registered(plan, means.find_step) {
        return Err(Outcome::NotSent(problem));
    }
    if let Err(problem) = unchanged(plan, means.reads).await {
        return Err(Outcome::NotSent(problem));
    }
    if let Err(problem) = still_true(plan, means.reads, means.plan_again).await {
        return Err(Outcome::NotSent(problem));
    }
    // What works without the API needs no database either; its record is for when there is one again.
    let one = OneDatabase::default();
    let is_one = one.must_be(means.reads).await;
    if let Err(problem) = &is_one
        && !plan.works_without_api
    {
        return Err(Outcome::NotSent(problem.clone()));
    }
    let api = is_one.is_ok().then_some(&means.changes.api);
    let recorded = means.journal.begin(api, confirmed).await?;
    Ok((recorded, one))
}

/// One run while it is carried out.
struct Run<'a> {
    confirmed: &'a Confirmed,
    recorded: Recorded,
    one: &'a OneDatabase,
    means: &'a Means<'a>,
    watch: &'a (dyn Fn(RunEvent) + Send + Sync),
    turns: Turns,
}

/// Progress of a thing.
#[derive(Default)]
pub(super) struct Thing {
    /// Results of its steps.
    pub(super) results: Vec<Value>,
    /// End of the last one.
    pub(super) end: Option<Outcome>,
    /// True if nothing more is done to it.
    stopped: bool,
    /// The step that stopped it, with what is known there.
    pub(super) stopped_at: Option<(usize, StepContext)>,
}

async fn all_steps(
    confirmed: &Confirmed,
    recorded: Recorded,
    one: &OneDatabase,
    means: &Means<'_>,
    watch: &(dyn Fn(RunEvent) + Send + Sync),
) -> (Outcome, BTreeMap<usize, Thing>) {
    let plan = confirmed.plan();
    let run = Run {
        confirmed,
        recorded,
        one,
        means,
        watch,
        turns: Turns::new(),
    };
    let going = rows(&plan.steps).into_iter().map(|row| {
        let target = row.target;
        run.go(row).map(move |thing| (target, thing)).boxed()
    });
    // Begun in the plan's order.
    let going = stream::iter(going.collect::<Vec<_>>()).buffer_unordered(IN_HAND);
    let things: BTreeMap<usize, Thing> = going.collect().await;
    (ends(plan, &things).whole(), things)
}

impl Run<'_> {
    /// Carries out the steps of one thing, one after the other, each when it has a turn.
    async fn go(&self, row: Row) -> Thing {
        let (plan, watch) = (self.confirmed.plan(), self.watch);
        let mut thing = Thing::default();
        let last = row.steps.last().copied();
        for index in row.steps {
            let Some(planned) = plan.steps.get(index) else {
                continue;
            };
            if thing.stopped {
                watch(RunEvent::StepSkipped(index));
                continue;
            }
            let turn = self.turns.next().await;
            // A thing that was begun is brought to its end: half of it helps nobody.
            if thing.results.is_empty()
                && let Err(problem) = may_begin(plan, self.one, self.means).await
            {
                watch(RunEvent::StepSkipped(index));
                let end = Outcome::NotSent(problem);
                watch(RunEvent::ThingEnded(row.target, end.clone()));
                thing.end = Some(end);
                thing.stopped = true;
                continue;
            }
            let (outcome, cx) = self.step(index, planned, thing.results.clone(), turn).await;
            thing.results.push(cx.result.clone());
            thing.stopped = !outcome.is_proven();
            thing.stopped_at = thing.stopped.then_some((index, cx));
            if thing.stopped || last == Some(index) {
                watch(RunEvent::ThingEnded(row.target, outcome.clone()));
            }
            thing.end = Some(outcome);
        }
        thing
    }

    /// Carries out one step, on record before and after.
    async fn step(
        &self,
        index: usize,
        planned: &PlannedStep,
        earlier: Vec<Value>,
        turn: Turn<'_>,
    ) -> (Outcome, StepContext) {
        let means = self.means;
        let cx = context(self.confirmed, index, planned, earlier, means);
        (self.watch)(RunEvent::StepStarted(index));
        self.record(index, planned, "running", None).await;
        let (outcome, cx) = one_step(index, planned, cx, means, self.watch, turn).await;
        let note = Some(outcome.words());
        self.record(index, planned, outcome.recorded(), note).await;
        (self.watch)(RunEvent::StepEnded(index, outcome.clone()));
        (outcome, cx)
    }

    async fn record(&self, index: usize, planned: &PlannedStep, status: &str, note: Option<String>) {
        let run = &self.confirmed.plan().run_id;
        record(self.means, self.recorded, run, index, planned, status, note).await;
    }
}

/// Puts a step's state on record.
pub(super) async fn record(
    means: &Means<'_>,
    recorded: Recorded,
    run: &str,
    index: usize,
    planned: &PlannedStep,
    status: &str,
    note: Option<String>,
) {
    let record = RunStepRecord {
        index: i64::try_from(index).unwrap_or(i64::MAX),
        name: planned.step.clone(),
        status: status.to_owned(),
        note,
    };
    means
        .journal
        .step(&means.changes.api, recorded, run, &record)
        .await;
}

/// Knowledge of a step as it begins.
pub(super) fn context(
    confirmed: &Confirmed,
    index: usize,
    planned: &PlannedStep,
    earlier: Vec<Value>,
    means: &Means<'_>,
) -> StepContext {
    StepContext {
        args: planned.args.clone(),
        kind: confirmed.plan().kind_of(planned.target),
        key: confirmed.plan().step_key(index),
        began_at: means.reads.now(),
        result: Value::Null,
        earlier,
        comment: confirmed.comment().map(str::to_owned),
        ticket: confirmed.ticket().map(str::to_owned),
    }
}

/// The end of all, from the ends of the things.
pub(super) fn ends(plan: &Plan, things: &BTreeMap<usize, Thing>) -> Ends {
    let mut named = Ends::default();
    for (target, thing) in things {
        if let Some(end) = &thing.end {
            let name = plan.targets.get(*target).map_or("", |target| &target.name);
            named.note(name, end.clone());
        }
    }
    named
}

/// Refuses to begin the next thing where that is not allowed any more.
async fn may_begin(plan: &Plan, one: &OneDatabase, means: &Means<'_>) -> Result<(), Problem> {
    (means.guard)().allow(&plan.title, means.reads.local_now())?;
    match plan.works_without_api {
        true => Ok(()),
        false => one.must_be(means.reads).await,
    }
}

async fn one_step(
    index: usize,
    planned: &PlannedStep,
    mut cx: StepContext,
    means: &Means<'_>,
    watch: &(dyn Fn(RunEvent) + Send + Sync),
    turn: Turn<'_>,
) -> (Outcome, StepContext) {
    let Some(step) = (means.find_step)(&planned.step) else {
        let problem = Problem::internal(format!("no step is called `{}`", planned.step));
        return (Outcome::NotSent(problem), cx);
    };
    let note = |words: String| watch(RunEvent::StepNote(index, words));
    let command = |line: String| watch(RunEvent::Command(line, AuditOutcome::Asked.word().to_owned()));
    let allowed = || (means.guard)().allow(&planned.title, means.reads.local_now());
    let with = Writes::new(
        means.reads,
        means.changes,
        means.secrets,
        &allowed,
        &note,
        &command,
    );
    let sent = Sent::of(step, &mut cx, &with, &note).await;
    if !planned.command.is_empty() {
        watch(RunEvent::Command(planned.command.clone(), sent.told()));
    }
    let outcome = turn.until(look(step, &mut cx, &with, &note, sent)).await;
    (outcome, cx)
}
