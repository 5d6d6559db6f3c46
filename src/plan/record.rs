//! The record that a run begins with. One that can't be taken is noticed before anything is confirmed.

use super::plan::Plan;
use crate::domain::audit::{LONGEST_REASON, LONGEST_TICKET};
use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::wire::runs::{MAX_BEGIN_BYTES, MAX_THINGS, RunBegin};

/// What a run that carries `plan` out says first.
///
/// # Errors
/// The plan can't be written down.
pub(super) fn of(plan: &Plan, comment: Option<&str>, ticket: Option<&str>) -> Result<RunBegin, Problem> {
    Ok(RunBegin {
        id: plan.run_id.clone(),
        action: plan.action.clone(),
        entity_type: plan.targets.first().map_or(EntityKind::Run, |target| target.kind),
        entity_ids: plan.targets.iter().map(|target| target.id.clone()).collect(),
        comment: comment.map(str::to_owned),
        ticket: ticket.map(str::to_owned),
        plan: serde_json::to_value(plan)
            .map_err(|error| Problem::internal(format!("the plan can't be written down: {error}")))?,
        digest: Some(plan.digest()),
    })
}

/// Whether the record of `plan` will be taken, whatever is said as its reason.
///
/// # Errors
/// It is too large: how large, what the limit is, and how many things fit.
pub fn fits(plan: &Plan) -> Result<(), Problem> {
    let record = of(plan, None, None)?;
    let bytes = serde_json::to_vec(&record).map_or(usize::MAX, |bytes| bytes.len());
    // A character may be escaped to six bytes, twice over outside of the first plane.
    let room = MAX_BEGIN_BYTES - 12 * (LONGEST_REASON + LONGEST_TICKET) - 100;
    let n = plan.targets.len();
    if n > MAX_THINGS {
        return Err(Problem::refused(format!(
            "this is too much for one run: {n} things, and a run is about {MAX_THINGS} at most"
        ))
        .hint(format!(
            "mark {MAX_THINGS} or fewer, and do the rest in further runs"
        )));
    }
    if bytes <= room {
        return Ok(());
    }
    // What isn't about one thing in particular is a small part.
    let fit = n.saturating_mul(room) / bytes * 9 / 10;
    Err(Problem::refused(format!(
        "this is too much for one run: {n} things make a record of {} KiB, and a run's record holds {} KiB",
        bytes.div_ceil(1024),
        room / 1024
    ))
    .hint(format!(
        "mark {} or fewer, and do the rest in further runs",
        fit.max(1)
    )))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::super::plan::{PlannedStep, Target};
    use super::super::tier::{Harm, InContext};
    use super::*;

    const DEMO: InContext<'_> = InContext {
        name: "demo",
        protected: false,
    };

    fn plan(n: usize) -> Plan {
        Plan {
            run_id: "run_1".to_owned(),
            title: format!("Revoke {n} certificates"),
            targets: (0..n)
                .map(|n| Target {
                    kind: EntityKind::Certificate,
                    id: format!("crt_{n:026}"),
                    version: 1,
                    name: format!("host-{n}.example.com"),
                    status: "active".to_owned(),
                })
                .collect(),
            changes: (0..n)
                .map(|n| format!("host-{n}.example.com is revoked"))
                .collect(),
            steps: (0..n)
                .map(|n| PlannedStep {
                    harm: Harm::None,
                    hosts: vec![],
                    step: "revoke".to_owned(),
                    title: format!("revoke host-{n}.example.com"),
                    target: n,
                    args: json!({"id": format!("crt_{n:026}"), "reason": "superseded"}),
                    command: "curl ".repeat(60),
                })
                .collect(),
            ..Plan::new("revoke", DateTime::UNIX_EPOCH)
        }
    }

    #[test]
    fn what_fits_is_taken_whatever_is_said_with_it_and_the_rest_says_how_many_do() {
        assert!(fits(&plan(500)).is_ok());
        let problem = fits(&plan(3000)).unwrap_err();
        assert!(
            problem.what.contains("3000 things") && problem.what.contains("KiB"),
            "{problem}"
        );
        let hint = problem.hint.unwrap();
        let fit: usize = hint.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(fits(&plan(fit)).is_ok(), "{hint}");
        assert!(fits(&plan(fit * 5 / 4)).is_err(), "{hint}");
        let longest = "\u{10000}".repeat(LONGEST_REASON);
        let body = of(&plan(fit), Some(&longest), Some(&longest[..4 * LONGEST_TICKET])).unwrap();
        assert!(serde_json::to_vec(&body).unwrap().len() <= MAX_BEGIN_BYTES);
    }

    #[test]
    fn nothing_is_confirmed_that_can_not_begin() {
        use super::super::confirm::{Answer, confirm};
        let refused = confirm(plan(3000), DEMO, &Answer::Started, None, None);
        assert!(refused.unwrap_err().1.what.contains("too much for one run"));
        assert!(confirm(plan(3), DEMO, &Answer::Started, None, None).is_ok());
    }
}
