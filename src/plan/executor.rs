//! The one loop that carries plans out: guard, versions, record, run, prove, record. Used by whoever
//! has a confirmed plan; it draws nothing and decides nothing about confirmation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::confirm::Confirmed;
use super::guard::Guard;
use super::journal::{Journal, Recorded};
use super::one_database::OneDatabase;
use super::outcome::{Ends, Outcome};
use super::plan::{Loss, Plan, PlannedStep, Target};
use super::ports::{AsNow, Changes, Reads, SecretEntry, Writes};
use super::step::{Proof, Step, StepContext};
use super::tier::Harm;
use crate::problem::{Problem, ProblemKind};
use crate::wire::runs::RunStepRecord;

/// How many things are looked at beside each other.
const AT_ONCE: usize = 8;
/// How often a change is sent, with the same key, before looking begins.
const ASK_AGAIN: u32 = 3;
/// Before it is sent for the second time; twice that before the third.
const BEFORE_ASKING: Duration = Duration::from_millis(200);
/// Between two more, while what came of it is looked at: what was in between may be gone by then.
const ASK_LATER: Duration = Duration::from_secs(5);
/// Between two looks at whether a step has come about.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Hint of an end that nobody knows.
const LOOK_YOURSELF: &str = "it may still finish; check the thing itself before you retry";

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

/// Makes a plan again, as it would be now.
pub type PlanAgain =
    dyn for<'p> Fn(&'p Plan, &'p Reads) -> BoxFuture<'p, Result<Plan, Problem>> + Send + Sync;

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
    pub find_step: &'a (dyn Fn(&str) -> Option<&'static dyn Step> + Send + Sync),
    /// Becomes true when whoever carries the plan out has to stop.
    pub leaving: watch::Receiver<bool>,
}

/// Carries a confirmed plan out and tells `watch` how it goes.
pub async fn execute(
    confirmed: Confirmed,
    means: &Means<'_>,
    watch: &(dyn Fn(RunEvent) + Send + Sync),
) -> Outcome {
    let outcome = carry_out(&confirmed, means, watch).await;
    watch(RunEvent::Ended(outcome.clone()));
    outcome
}

async fn carry_out(
    confirmed: &Confirmed,
    means: &Means<'_>,
    watch: &(dyn Fn(RunEvent) + Send + Sync),
) -> Outcome {
    let plan = confirmed.plan();
    if let Err(problem) = (means.guard)().allow(&plan.title, means.reads.clock.now()) {
        return Outcome::Refused(problem);
    }
    if let Err(problem) = as_registered(plan, means) {
        return Outcome::Refused(problem);
    }
    if let Err(problem) = unchanged(plan, means.reads).await {
        return Outcome::Refused(problem);
    }
    if let Err(problem) = still_true(plan, means).await {
        return Outcome::Refused(problem);
    }
    // What works without the API needs no database either; its record is for when there is one again.
    let one = OneDatabase::default();
    let is_one = one.must_be(means.reads).await;
    if let Err(problem) = &is_one
        && !plan.works_without_api
    {
        return Outcome::Refused(problem.clone());
    }
    let api = is_one.is_ok().then_some(&means.changes.api);
    let recorded = match means.journal.begin(api, confirmed).await {
        Ok(recorded) => recorded,
        Err(problem) => return Outcome::Refused(problem),
    };
    watch(RunEvent::Began(recorded));
    let mut leaving = means.leaving.clone();
    let outcome = tokio::select! {
        outcome = all_steps(confirmed, recorded, &one, means, watch) => outcome,
        // A sender that is gone never says so: then there is nothing to wait for.
        Ok(_) = leaving.wait_for(|leaving| *leaving) => Outcome::Unknown(
            Problem::no_answer(format!("{} was broken off: the console was left", plan.title))
                .hint("check the thing itself before you retry"),
        ),
    };
    means
        .journal
        .end(
            &means.changes.api,
            recorded,
            &plan.run_id,
            &outcome,
            means.reads.clock.now(),
        )
        .await;
    outcome
}

/// One run while it is carried out.
struct Run<'a> {
    confirmed: &'a Confirmed,
    recorded: Recorded,
    one: &'a OneDatabase,
    means: &'a Means<'a>,
    watch: &'a (dyn Fn(RunEvent) + Send + Sync),
}

/// How far a thing has come.
#[derive(Default)]
struct Thing {
    /// What its steps gave back.
    results: Vec<Value>,
    /// How the last one ended.
    end: Option<Outcome>,
    /// Nothing more is done to it.
    stopped: bool,
}

async fn all_steps(
    confirmed: &Confirmed,
    recorded: Recorded,
    one: &OneDatabase,
    means: &Means<'_>,
    watch: &(dyn Fn(RunEvent) + Send + Sync),
) -> Outcome {
    let plan = confirmed.plan();
    let run = Run {
        confirmed,
        recorded,
        one,
        means,
        watch,
    };
    let mut things: BTreeMap<usize, Thing> = BTreeMap::new();
    for rows in beside_each_other(&plan.steps) {
        let mut going = Vec::new();
        for row in rows {
            let target = row.target;
            let thing = things.remove(&target).unwrap_or_default();
            going.push(run.go(row, thing).map(move |thing| (target, thing)).boxed());
        }
        let mut going = stream::iter(going).buffer_unordered(AT_ONCE);
        while let Some((target, thing)) = going.next().await {
            things.insert(target, thing);
        }
    }
    let ends = things.into_iter();
    whole(
        plan,
        ends.filter_map(|(target, thing)| Some((target, thing.end?)))
            .collect(),
    )
}

/// Steps of one thing, by their places in the plan, of which each needs the one before it.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    target: usize,
    steps: Vec<usize>,
}

/// The steps in the plan's order, those together that may go beside each other. What changes something goes alone: the
/// next thing is touched when this one is proven. What does no harm and stands together waits for its own thing only,
/// so that one host that doesn't answer holds up no other.
fn beside_each_other(steps: &[PlannedStep]) -> Vec<Vec<Row>> {
    let mut all: Vec<(Harm, Vec<Row>)> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let row = Row {
            target: step.target,
            steps: vec![index],
        };
        match all.last_mut() {
            Some((Harm::None, rows)) if step.harm == Harm::None => {
                match rows.iter_mut().find(|row| row.target == step.target) {
                    Some(row) => row.steps.push(index),
                    None => rows.push(row),
                }
            }
            _ => all.push((step.harm, vec![row])),
        }
    }
    all.into_iter().map(|(_, rows)| rows).collect()
}

impl Run<'_> {
    /// Carries out these steps of one thing, one after the other.
    async fn go(&self, row: Row, mut thing: Thing) -> Thing {
        let (plan, watch) = (self.confirmed.plan(), self.watch);
        for index in row.steps {
            let Some(planned) = plan.steps.get(index) else {
                continue;
            };
            if thing.stopped {
                watch(RunEvent::StepSkipped(index));
                continue;
            }
            // What was begun on one thing is brought to its end: half of it helps nobody.
            if thing.results.is_empty()
                && let Err(problem) = may_begin(plan, self.one, self.means).await
            {
                watch(RunEvent::StepSkipped(index));
                let end = Outcome::Refused(problem);
                watch(RunEvent::ThingEnded(row.target, end.clone()));
                thing.end = Some(end);
                thing.stopped = true;
                continue;
            }
            let (outcome, result) = self.step(index, planned, thing.results.clone()).await;
            thing.results.push(result);
            thing.stopped = !outcome.is_proven();
            let is_last = !plan
                .steps
                .iter()
                .skip(index + 1)
                .any(|later| later.target == row.target);
            if thing.stopped || is_last {
                watch(RunEvent::ThingEnded(row.target, outcome.clone()));
            }
            thing.end = Some(outcome);
        }
        thing
    }

    /// Carries out one step, on record before and after.
    async fn step(&self, index: usize, planned: &PlannedStep, earlier: Vec<Value>) -> (Outcome, Value) {
        let (plan, means) = (self.confirmed.plan(), self.means);
        let cx = StepContext {
            args: planned.args.clone(),
            key: plan.step_key(index),
            began_at: means.reads.clock.now(),
            result: Value::Null,
            earlier,
            comment: self.confirmed.comment().map(str::to_owned),
            ticket: self.confirmed.ticket().map(str::to_owned),
        };
        (self.watch)(RunEvent::StepStarted(index));
        self.record(index, planned, "running", None).await;
        let (outcome, result) = one_step(index, planned, cx, means, self.watch).await;
        let note = Some(outcome.words());
        self.record(index, planned, outcome.recorded(), note).await;
        (self.watch)(RunEvent::StepEnded(index, outcome.clone()));
        (outcome, result)
    }

    async fn record(&self, index: usize, planned: &PlannedStep, status: &str, note: Option<String>) {
        let record = RunStepRecord {
            index: i64::try_from(index).unwrap_or(i64::MAX),
            name: planned.step.clone(),
            status: status.to_owned(),
            note,
        };
        let (journal, api) = (self.means.journal, &self.means.changes.api);
        let run = &self.confirmed.plan().run_id;
        journal.step(api, self.recorded, run, &record).await;
    }
}

/// The end of all, from the ends of the things.
fn whole(plan: &Plan, ends: BTreeMap<usize, Outcome>) -> Outcome {
    let mut named = Ends::default();
    for (target, end) in ends {
        named.note(plan.targets.get(target).map_or("", |target| &target.name), end);
    }
    named.whole()
}

/// Refuses a plan whose steps are not what they say: its tier follows from the harm that is written in it.
fn as_registered(plan: &Plan, means: &Means<'_>) -> Result<(), Problem> {
    for planned in &plan.steps {
        let Some(step) = (means.find_step)(&planned.step) else {
            return Err(Problem::internal(format!("no step is called `{}`", planned.step)));
        };
        if step.harm() != planned.harm || planned.target >= plan.targets.len() {
            let what = format!("the step `{}` is not what the plan says of it", planned.step);
            return Err(Problem::internal(what).hint("nothing was done; report this defect"));
        }
    }
    Ok(())
}

/// Whether the next thing may be begun: it is asked before each.
async fn may_begin(plan: &Plan, one: &OneDatabase, means: &Means<'_>) -> Result<(), Problem> {
    (means.guard)().allow(&plan.title, means.reads.clock.now())?;
    match plan.works_without_api {
        true => Ok(()),
        false => one.must_be(means.reads).await,
    }
}

/// Refuses when a thing is no longer as it was when the plan was made.
async fn unchanged(plan: &Plan, reads: &Reads) -> Result<(), Problem> {
    for target in &plan.targets {
        match reads.as_now(target.kind, &target.id).await {
            Ok(Some(now)) if now.version != target.version => {
                return Err(changed(target, &now, &reads.done_last(&target.id, 2).await));
            }
            Ok(_) => {}
            // Where the API is away there is nothing newer to compare with, and only plans that mend
            // what is broken get further than this (see the journal).
            Err(problem) if plan.works_without_api && problem.kind.may_be_retried() => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(())
}

/// Refuses when what the plan said that it changes and breaks is no longer what it would: a certificate
/// may have gone live on another host meanwhile without having changed itself.
async fn still_true(plan: &Plan, means: &Means<'_>) -> Result<(), Problem> {
    // What harms nothing breaks nothing; what mends the rest must not depend on it.
    if plan.reach().harm == Harm::None || plan.works_without_api {
        return Ok(());
    }
    let now = (means.plan_again)(plan, means.reads).await?;
    match difference(plan, &now) {
        None => Ok(()),
        Some(difference) => Err(Problem::conflict(format!(
            "{} would do something else now than its plan said, so nothing was done: {difference}",
            plan.title
        ))
        .hint("look at it again and make a new plan")),
    }
}

/// The lines that are new, and those that hold no more.
fn difference(then: &Plan, now: &Plan) -> Option<String> {
    let lines = |plan: &Plan| -> BTreeSet<String> {
        let losses = plan.losses.iter();
        let losses = losses.map(|Loss { host, name, what }| format!("{host}: {name}: {what}"));
        plan.changes.iter().cloned().chain(losses).collect()
    };
    let (before, after) = (lines(then), lines(now));
    let new = after.difference(&before).map(|line| format!("new: {line}"));
    let gone = before.difference(&after).map(|line| format!("no more: {line}"));
    let mut all: Vec<String> = new.chain(gone).collect();
    if now.reach() != then.reach() {
        all.push("it reaches further or less far".to_owned());
    }
    (!all.is_empty()).then(|| all.join("; "))
}

/// Says what is different now, and who did it.
fn changed(target: &Target, now: &AsNow, done: &[String]) -> Problem {
    let status = match target.status.as_str() {
        then if !then.is_empty() && then != now.status => {
            format!("it was {then} and is {} now", now.status)
        }
        _ => format!("version {} then, {} now", target.version, now.version),
    };
    let done = match done {
        [] => String::new(),
        done => format!("; done to it last: {}", done.join(", then ")),
    };
    Problem::conflict(format!(
        "{} {} changed since the plan was made, so nothing was done: {status}{done}",
        target.kind, target.name
    ))
    .hint("look at it again and make a new plan")
}

async fn one_step(
    index: usize,
    planned: &PlannedStep,
    mut cx: StepContext,
    means: &Means<'_>,
    watch: &(dyn Fn(RunEvent) + Send + Sync),
) -> (Outcome, Value) {
    let Some(step) = (means.find_step)(&planned.step) else {
        let problem = Problem::internal(format!("no step is called `{}`", planned.step));
        return (Outcome::Refused(problem), Value::Null);
    };
    let note = |words: String| watch(RunEvent::StepNote(index, words));
    let command = |line: String| watch(RunEvent::Command(line, "sent".to_owned()));
    let allowed = || (means.guard)().allow(&planned.title, means.reads.clock.now());
    let with = Writes::new(
        means.reads,
        means.changes,
        means.secrets,
        &allowed,
        &note,
        &command,
    );
    let mut sent = Sent::NotYet;
    for attempt in 1..=ASK_AGAIN {
        sent = sent.once_more(step, &mut cx, &with).await;
        match &sent {
            Sent::Lost(problem) => note(format!(
                "{}; asked again with the same key ({attempt} of {ASK_AGAIN})",
                problem.what
            )),
            Sent::NotYet | Sent::Answered | Sent::Ended(_) => break,
        }
        if attempt < ASK_AGAIN {
            sleep(BEFORE_ASKING * attempt).await;
        }
    }
    if !planned.command.is_empty() {
        let how = match &sent {
            Sent::Ended(end) => format!("refused: {}", end.words()),
            Sent::Lost(_) => "no answer".to_owned(),
            Sent::NotYet | Sent::Answered => "ok".to_owned(),
        };
        watch(RunEvent::Command(planned.command.clone(), how));
    }
    let outcome = look(step, &mut cx, &with, &note, sent).await;
    (outcome, cx.result)
}

/// How far a change is known to have got.
enum Sent {
    /// It wasn't sent.
    NotYet,
    /// It was answered.
    Answered,
    /// It came to this end: it was not carried out.
    Ended(Outcome),
    /// No answer of theirs came: it may have been carried out.
    Lost(Problem),
}

impl Sent {
    /// Sends it, again with the same key.
    async fn once_more(self, step: &dyn Step, cx: &mut StepContext, with: &Writes<'_>) -> Self {
        match step.run(cx, with).await {
            Ok(result) => {
                cx.result = result;
                Self::Answered
            }
            Err(problem) if with.is_stopped() => Self::Ended(Outcome::Stopped(problem)),
            Err(problem) if problem.kind == ProblemKind::NoAnswer => Self::Lost(problem),
            // What was sent before may have been carried out, unless it is said that it wasn't: to the same key
            // there is one answer.
            Err(problem) if matches!(self, Self::Lost(_)) && !is_final(problem.kind) => Self::Lost(problem),
            Err(problem) if says_no(problem.kind) && !matches!(self, Self::Lost(_)) => {
                Self::Ended(Outcome::Refused(problem))
            }
            Err(problem) => Self::Ended(Outcome::Failed(problem)),
        }
    }
}

/// Whether this answer would have been another one, had an earlier call with the same key been carried out.
fn is_final(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::BadInput | ProblemKind::NotFound | ProblemKind::Conflict | ProblemKind::Refused
    )
}

/// Whether somebody said no before anything was changed.
fn says_no(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::BadInput
            | ProblemKind::NotAuthenticated
            | ProblemKind::Forbidden
            | ProblemKind::NotFound
            | ProblemKind::Conflict
            | ProblemKind::Refused
            | ProblemKind::TooMany
    )
}

/// Looks until it is proven, refuted, or the step's limit is over; sends what is lost again meanwhile.
async fn look(
    step: &dyn Step,
    cx: &mut StepContext,
    with: &Writes<'_>,
    note: &(dyn Fn(String) + Send + Sync),
    mut sent: Sent,
) -> Outcome {
    let limit = step.limit_of(&cx.args);
    let until = Instant::now() + limit;
    let mut ask_at = Instant::now() + ASK_LATER;
    let mut said = String::new();
    loop {
        if let Sent::Ended(end) = sent {
            return end;
        }
        let seen = match step.prove(cx, with.reads).await {
            Ok(Proof::Proven(proof)) => return Outcome::Proven(proof),
            Ok(Proof::Waits(words)) => return Outcome::Waiting(words),
            Ok(Proof::Refuted(problem)) => return Outcome::Failed(problem),
            Ok(Proof::NotYet(words)) => words,
            // A refusal to let us look says nothing about the thing itself.
            Err(problem) if !problem.kind.may_be_retried() && problem.kind != ProblemKind::Internal => {
                let what = format!("what came of it can't be looked at: {}", problem.what);
                return Outcome::Unknown(Problem::no_answer(what).hint(LOOK_YOURSELF));
            }
            Err(problem) => problem.what,
        };
        if seen != said {
            note(seen.clone());
            said = seen;
        }
        if Instant::now() >= until {
            let what = match sent {
                Sent::Lost(problem) => problem.what,
                _ => said,
            };
            return Outcome::Unknown(
                Problem::no_answer(format!("not proven within {} s: {what}", limit.as_secs()))
                    .hint(LOOK_YOURSELF),
            );
        }
        sleep(LOOK_AGAIN).await;
        if matches!(sent, Sent::Lost(_)) && Instant::now() >= ask_at {
            sent = sent.once_more(step, cx, with).await;
            ask_at = Instant::now() + ASK_LATER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::EntityKind;

    #[test]
    fn what_changed_since_the_plan_is_told_with_who_did_it() {
        let target = Target {
            kind: EntityKind::Certificate,
            id: "crt_1".to_owned(),
            version: 3,
            name: "shop.example.com".to_owned(),
            status: "active".to_owned(),
        };
        let now = |version, status: &str| AsNow {
            version,
            status: status.to_owned(),
        };
        let done = ["revoke by dana at 02:14:07Z (done, INC-7)".to_owned()];
        assert_eq!(
            changed(&target, &now(4, "revoked"), &done).what,
            "certificate shop.example.com changed since the plan was made, so nothing was done: it was active and \
             is revoked now; done to it last: revoke by dana at 02:14:07Z (done, INC-7)"
        );
        assert!(
            changed(&target, &now(4, "active"), &[])
                .what
                .ends_with("version 3 then, 4 now")
        );
    }

    #[test]
    fn what_changes_something_goes_alone_and_what_only_looks_beside_each_other() {
        struct Named(Harm);
        impl Step for Named {
            fn name(&self) -> &'static str {
                "named"
            }
            fn harm(&self) -> Harm {
                self.0
            }
            fn prove<'a>(
                &'a self,
                _: &'a StepContext,
                _: &'a Reads,
            ) -> BoxFuture<'a, Result<Proof, Problem>> {
                Box::pin(async { Ok(Proof::Waits(String::new())) })
            }
        }
        let steps = |all: &[(usize, Harm)]| -> Vec<PlannedStep> {
            let step = |&(target, harm): &(usize, Harm)| {
                PlannedStep::new(&Named(harm), target, String::new(), Value::Null)
            };
            all.iter().map(step).collect()
        };
        let order = |all: &[(usize, Harm)]| -> Vec<Vec<Vec<usize>>> {
            let rows = beside_each_other(&steps(all)).into_iter();
            rows.map(|rows| rows.into_iter().map(|row| row.steps).collect())
                .collect()
        };
        use Harm::{Changes, Final, None};
        let looks = [(0, None), (1, None), (1, None), (2, None)];
        assert_eq!(order(&looks), [vec![vec![0], vec![1, 2], vec![3]]]);
        let changes = [(0, Changes), (0, None), (1, Changes), (1, None), (2, Final)];
        let alone: Vec<Vec<Vec<usize>>> = (0..5).map(|index| vec![vec![index]]).collect();
        assert_eq!(order(&changes), alone);
    }

    #[test]
    fn a_plan_that_would_break_something_else_now_is_told_with_the_difference() {
        let plan = |hosts: &[&str]| Plan {
            changes: vec!["it becomes revoked".to_owned()],
            losses: hosts
                .iter()
                .map(|&host| Loss {
                    host: host.to_owned(),
                    name: "shop".to_owned(),
                    what: "is served".to_owned(),
                })
                .collect(),
            ..Plan::new("revoke", chrono::DateTime::UNIX_EPOCH)
        };
        let then = plan(&["web-01"]);
        assert_eq!(difference(&then, &then), None);
        assert_eq!(
            difference(&then, &plan(&["web-02"])).unwrap(),
            "new: web-02: shop: is served; no more: web-01: shop: is served"
        );
    }
}
