//! Claims about a run, held against what the platform has of it: that a change was made, and came about, is for its
//! records to say, not for whoever says that it was.

use std::collections::BTreeMap;

use crate::actions::{self, Leaves};
use crate::domain::audit::{AuditOutcome, REPORTED};
use crate::domain::follows::Came;
use crate::domain::told::told;
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
    if end.outcome != AuditOutcome::Done {
        return Ok(Judged::Taken(end));
    }
    let Some(leaves) = leaves(run) else {
        let note = end.note.as_deref().unwrap_or("done");
        return Ok(Judged::Taken(RunEnd {
            note: Some(told(&format!("{REPORTED}: {note}"))),
            ..end
        }));
    };
    let changes = came::of_run(tx, run, leaves.verb(), leaves.follows()).await?;
    let mut things: BTreeMap<&str, Vec<&Came>> = BTreeMap::new();
    for change in &changes {
        if let Some(thing) = leaves.thing(run.entity_type, &change.about, change.detail.as_deref()) {
            things.entry(thing).or_default().push(&change.came);
        }
    }
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
        ([], [], [first, others @ ..]) => Judged::NotYet(Problem {
            kind: ProblemKind::NotYet,
            ..refusal(
                &format!("run `{id}` is still under way: {first}{}", and_more(others)),
                "say it again when that has come about, or that its end is unknown, which may become known later",
            )
        }),
    })
}

/// Lets a step be told as proven: a thing that nothing was changed of is not as the plan says.
///
/// # Errors
/// No change of the run is on record for the step's thing, or the database doesn't answer.
pub(super) async fn step(tx: &mut Tx, run: &RunView, step: &RunStepRecord) -> Result<(), StoreError> {
    let Some(leaves) = leaves(run).filter(|_| step.status == "proven") else {
        return Ok(());
    };
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
