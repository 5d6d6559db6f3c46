//! Claims about a run, held against what the platform has of it: that a change was made, and came about, is for its
//! records to say, not for whoever says that it was.

use std::collections::BTreeMap;

use crate::actions::{self, Leaves};
use crate::domain::audit::{AuditOutcome, REPORTED};
use crate::domain::follows::Came;
use crate::domain::told::{LONGEST, cut, told};
use crate::problem::{Problem, ProblemKind};
use crate::store::{StoreError, Tx, came};
use crate::wire::runs::{RunEnd, RunStepRecord, RunView};

/// Judgement of an end.
pub(super) enum Judged {
    /// It is taken so.
    Taken(RunEnd),
    /// It is not so yet.
    NotYet(Problem),
    /// It is not so.
    NotSo(Problem),
}

/// Takes the end as it is said, or with the word that it is only said: where the action changes nothing here.
///
/// # Errors
/// The database doesn't answer.
pub(super) async fn judged(tx: &mut Tx, run: &RunView, end: RunEnd) -> Result<Judged, StoreError> {
    // Said twice, it was judged when it was said first.
    if end.outcome == run.outcome {
        return Ok(Judged::Taken(end));
    }
    match (end.outcome, leaves(run)) {
        (AuditOutcome::Done, Some(leaves)) => done(tx, run, end, leaves).await,
        (AuditOutcome::Done, None) => {
            let note = end.note.as_deref().unwrap_or("done");
            Ok(Judged::Taken(RunEnd {
                note: Some(told(&format!("{REPORTED}: {note}"))),
                ..end
            }))
        }
        (AuditOutcome::Refused | AuditOutcome::Failed, Some(leaves)) => not_done(tx, run, end, leaves).await,
        _ => Ok(Judged::Taken(end)),
    }
}

/// Outcome of a run's changes, by its things.
async fn by_thing(
    tx: &mut Tx,
    run: &RunView,
    leaves: Leaves,
) -> Result<BTreeMap<String, Vec<Came>>, StoreError> {
    let mut things: BTreeMap<String, Vec<Came>> = BTreeMap::new();
    for change in came::of_run(tx, run, leaves.verb(), leaves.follows()).await? {
        if let Some(thing) = leaves.thing(run.entity_type, &change.about, change.detail.as_deref()) {
            things.entry(thing.to_owned()).or_default().push(change.came);
        }
    }
    Ok(things)
}

async fn done(tx: &mut Tx, run: &RunView, end: RunEnd, leaves: Leaves) -> Result<Judged, StoreError> {
    let things = by_thing(tx, run, leaves).await?;
    let (mut missing, mut open, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
    for id in &run.entity_ids {
        let Some(all) = things.get(id.as_str()) else {
            missing.push(format!("no {} under its key succeeded for `{id}`", leaves.verb()));
            continue;
        };
        for came in all {
            match came {
                Came::About => {}
                Came::NotYet(why) => open.push(why.clone()),
                Came::ToNothing(why) => nothing.push(why.clone()),
            }
        }
    }
    let id = &run.id;
    Ok(match (missing.as_slice(), nothing.as_slice(), open.as_slice()) {
        ([], [], []) => Judged::Taken(end),
        ([first, others @ ..], ..) => Judged::NotSo(refusal(
            &format!("run `{id}` is not done: {first}{}", and_more(others)),
            &format!(
                "send its changes with `Idempotency-Key: {id}/<step>`, or say how it ended: refused, failed, unknown"
            ),
        )),
        ([], [first, others @ ..], _) => Judged::NotSo(refusal(
            &format!("run `{id}` is not done: {first}{}", and_more(others)),
            "say how it ended: failed, or unknown while more may come of it",
        )),
        ([], [], [first, others @ ..]) => Judged::NotYet(under_way(run, first, others)),
    })
}

/// An end that says that it did not come about: of a run whose every thing is changed that is not so. Where some are,
/// how many that is stands beside what is said.
async fn not_done(tx: &mut Tx, run: &RunView, end: RunEnd, leaves: Leaves) -> Result<Judged, StoreError> {
    let things = by_thing(tx, run, leaves).await?;
    let all: Vec<(&String, &[Came])> = run
        .entity_ids
        .iter()
        .map(|id| (id, things.get(id).map_or(&[][..], Vec::as_slice)))
        .collect();
    let n_changed = all
        .iter()
        .filter(|(_, came)| came.iter().any(came_to_something))
        .count();
    if n_changed == 0 {
        return Ok(Judged::Taken(end));
    }
    if !all.iter().all(|(_, came)| is_changed(came)) {
        return Ok(Judged::Taken(with_record(end, n_changed, all.len())));
    }
    let of_all = all
        .iter()
        .flat_map(|(id, came)| came.iter().map(move |came| (id.as_str(), came)));
    let open: Vec<String> = of_all
        .filter_map(|(_, came)| match came {
            Came::NotYet(why) => Some(why.clone()),
            _ => None,
        })
        .collect();
    let is_seen_later = end.outcome == AuditOutcome::Failed && !leaves.follows().is_the_whole();
    Ok(match (is_seen_later, open.as_slice()) {
        // A look after the change may show that it was of no use.
        (true, []) => Judged::Taken(with_record(end, n_changed, all.len())),
        (true, [first, others @ ..]) => Judged::NotYet(under_way(run, first, others)),
        (false, _) => {
            let first = all.first().and_then(|(id, came)| Some((id, came.first()?)));
            let first = first.map_or(String::new(), |(id, came)| has_changed(leaves, id, came));
            let what = format!("run `{}` is not {}: {first}", run.id, end.outcome.word());
            Judged::NotSo(refusal(
                &what,
                "say that it is done, or that its end is unknown while more may come of it",
            ))
        }
    })
}

/// True if the thing is not as it was before.
fn is_changed(all: &[Came]) -> bool {
    !all.is_empty() && all.iter().all(came_to_something)
}

fn came_to_something(came: &Came) -> bool {
    !matches!(came, Came::ToNothing(_))
}

fn has_changed(leaves: Leaves, thing: &str, came: &Came) -> String {
    let verb = leaves.verb();
    match came {
        Came::NotYet(why) => format!("its {verb} of `{thing}` is under way: {why}"),
        _ => format!("its {verb} of `{thing}` is on record, and came about"),
    }
}

/// The end with what is on record against its words, which are kept as far as there is room.
fn with_record(mut end: RunEnd, n_changed: usize, n: usize) -> RunEnd {
    let record = match n {
        1 => "the change itself is on record".to_owned(),
        _ => format!("on record as changed: {n_changed} of {n}"),
    };
    let note = end.note.as_deref().unwrap_or(end.outcome.word());
    let room = LONGEST.saturating_sub(record.chars().count() + 2);
    end.note = Some(format!("{}; {record}", cut(note, room)));
    end
}

fn under_way(run: &RunView, first: &str, others: &[String]) -> Problem {
    Problem {
        kind: ProblemKind::NotYet,
        ..refusal(
            &format!("run `{}` is still under way: {first}{}", run.id, and_more(others)),
            "say it again when that has come about, or that its end is unknown, which may become known later",
        )
    }
}

/// Holds the word for a step against the records: a thing that nothing was changed of is not as the plan says, and of one
/// that is changed nothing was refused.
///
/// # Errors
/// The records say otherwise, or the database doesn't answer.
pub(super) async fn step(tx: &mut Tx, run: &RunView, step: &RunStepRecord) -> Result<(), StoreError> {
    let Some(leaves) = leaves(run) else {
        return Ok(());
    };
    match step.status.as_str() {
        "proven" => proven(tx, run, step, leaves).await,
        "refused" => unchanged(tx, run, step, leaves).await,
        // The steps after the change look at what came of it, which may be another thing than was wanted.
        "failed" if leaves.follows().is_the_whole() || is_first(run, step) => {
            unchanged(tx, run, step, leaves).await
        }
        _ => Ok(()),
    }
}

async fn proven(tx: &mut Tx, run: &RunView, step: &RunStepRecord, leaves: Leaves) -> Result<(), StoreError> {
    for thing in things_of(run, step) {
        let (verb, follows) = (leaves.verb(), leaves.follows());
        if !came::has_change(tx, &run.id, verb, follows, thing).await? {
            let what = format!(
                "step {} of run `{}` is not proven: no {verb} under the run's key succeeded for `{thing}`",
                step.index, run.id
            );
            let hint = format!(
                "send the change with `Idempotency-Key: {}/<step>`, or say what the step is: refused, failed, unknown",
                run.id
            );
            return Err(refusal(&what, &hint).into());
        }
    }
    Ok(())
}

async fn unchanged(
    tx: &mut Tx,
    run: &RunView,
    step: &RunStepRecord,
    leaves: Leaves,
) -> Result<(), StoreError> {
    let mut first = None;
    for thing in things_of(run, step) {
        let changes = came::of_thing(tx, run, leaves.verb(), leaves.follows(), thing).await?;
        let came: Vec<Came> = changes.into_iter().map(|change| change.came).collect();
        if !is_changed(&came) {
            return Ok(());
        }
        first = first.or_else(|| came.first().map(|came| has_changed(leaves, thing, came)));
    }
    let Some(first) = first else { return Ok(()) };
    let what = format!(
        "step {} of run `{}` is not {}: {first}",
        step.index, run.id, step.status
    );
    Err(refusal(&what, "say what the step is: proven, waiting, unknown").into())
}

/// True if no earlier step of the plan is for its thing.
fn is_first(run: &RunView, step: &RunStepRecord) -> bool {
    let steps = run.plan.as_ref().and_then(|plan| plan["steps"].as_array());
    let target = |index: usize| {
        steps
            .and_then(|steps| steps.get(index))
            .map(|step| &step["target"])
    };
    let Ok(index) = usize::try_from(step.index) else {
        return true;
    };
    !(0..index).any(|earlier| target(earlier) == target(index))
}

/// The change that a run's action leaves behind; none where it changes nothing here.
fn leaves(run: &RunView) -> Option<Leaves> {
    actions::find(&run.action)?.spec().leaves
}

/// The thing that the plan's step is for; all of the run's where it doesn't say.
fn things_of<'a>(run: &'a RunView, step: &RunStepRecord) -> &'a [String] {
    let steps = run.plan.as_ref().map(|plan| &plan["steps"]);
    let index = usize::try_from(step.index).ok();
    let planned = steps.zip(index).and_then(|(steps, index)| steps.get(index));
    let target = planned.and_then(|planned| planned["target"].as_u64());
    let target = target.and_then(|target| usize::try_from(target).ok());
    let only = target.and_then(|target| run.entity_ids.get(target..=target));
    only.unwrap_or(&run.entity_ids)
}

fn refusal(what: &str, hint: &str) -> Problem {
    Problem::conflict(told(what)).hint(told(hint))
}

fn and_more(others: &[String]) -> String {
    match others.len() {
        0 => String::new(),
        n => format!(", and {n} more"),
    }
}
