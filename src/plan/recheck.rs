//! Checks of a confirmed plan right before it is carried out: things may have changed since it was made.

use std::collections::BTreeSet;

use futures::future::BoxFuture;

use super::plan::{Loss, Plan, Target};
use super::ports::{AsNow, Reads};
use super::step::Step;
use super::tier::Harm;
use crate::problem::Problem;

/// Makes a plan again, as it would be now.
pub(super) type PlanAgain =
    dyn for<'p> Fn(&'p Plan, &'p Reads) -> BoxFuture<'p, Result<Plan, Problem>> + Send + Sync;

/// Finds a step's code by its name.
pub(super) type FindStep = dyn Fn(&str) -> Option<&'static dyn Step> + Send + Sync;

/// Refuses a plan whose steps are not what they say: its tier follows from the harm that is written in it.
pub(super) fn as_registered(plan: &Plan, find_step: &FindStep) -> Result<(), Problem> {
    for planned in &plan.steps {
        let Some(step) = find_step(&planned.step) else {
            return Err(Problem::internal(format!("no step is called `{}`", planned.step)));
        };
        if step.harm() != planned.harm || planned.target >= plan.targets.len() {
            let what = format!("the step `{}` is not what the plan says of it", planned.step);
            return Err(Problem::internal(what).hint("nothing was done; report this defect"));
        }
    }
    Ok(())
}

/// Refuses when a thing is no longer as it was when the plan was made.
pub(super) async fn unchanged(plan: &Plan, reads: &Reads) -> Result<(), Problem> {
    for target in &plan.targets {
        match reads.as_now(target.kind, &target.id).await {
            Ok(Some(now)) if now.version != target.version => {
                return Err(changed(target, &now, &reads.done_last(&target.id, 2).await));
            }
            Ok(_) => {}
            // An API that is away has nothing newer to compare with, and only plans that mend what is broken get
            // further than this (see the journal).
            Err(problem) if plan.works_without_api && problem.kind.may_be_retried() => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(())
}

/// Refuses when what the plan said that it changes and breaks is no longer what it would: a certificate
/// may have gone live on another host meanwhile without having changed itself.
pub(super) async fn still_true(plan: &Plan, reads: &Reads, plan_again: &PlanAgain) -> Result<(), Problem> {
    // A plan without harm breaks nothing; one that mends the rest must not depend on it.
    if plan.reach().harm == Harm::None || plan.works_without_api {
        return Ok(());
    }
    let now = plan_again(plan, reads).await?;
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
        done => {
            // They come the newest first, and are told in the order in which they were done.
            let done: Vec<&str> = done.iter().rev().map(String::as_str).collect();
            format!("; done to it last: {}", done.join(", then "))
        }
    };
    Problem::conflict(format!(
        "{} {} changed since the plan was made, so nothing was done: {status}{done}",
        target.kind, target.name
    ))
    .hint("look at it again and make a new plan")
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
        let two = ["revoke by issuer at 11:29:01Z", "revoke by dana at 11:29:00Z"].map(str::to_owned);
        assert!(
            changed(&target, &now(5, "revoked"), &two).what.ends_with(
                "done to it last: revoke by dana at 11:29:00Z, then revoke by issuer at 11:29:01Z"
            )
        );
        assert!(
            changed(&target, &now(4, "active"), &[])
                .what
                .ends_with("version 3 then, 4 now")
        );
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
