//! The one door between a plan and its execution: [`confirm`] is the only maker of [`Confirmed`].

use super::plan::Plan;
use super::record;
use super::tier::{Ask, InContext};
use crate::problem::{Problem, ProblemKind};

/// A plan that a person confirmed by the rule of its tier. It can't be made otherwise, copied from
/// JSON or changed.
#[derive(Debug)]
pub struct Confirmed {
    plan: Plan,
    comment: Option<String>,
    ticket: Option<String>,
}

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Started it.
    Started,
    /// Pressed `y`.
    Yes,
    /// Typed this.
    Typed(&'a str),
}

/// Confirms `plan` in `context` by what the person did.
///
/// # Errors
/// Gives the plan back with what is missing; nothing was started.
pub fn confirm(
    plan: Plan,
    context: InContext<'_>,
    answer: &Answer<'_>,
    comment: Option<String>,
    ticket: Option<String>,
) -> Result<Confirmed, (Box<Plan>, Problem)> {
    if let Err(problem) = record::fits(&plan) {
        return Err((Box::new(plan), problem));
    }
    let asks = plan.asks(context);
    let enough = match (&asks, answer) {
        (Ask::Nothing, Answer::Started | Answer::Yes) | (Ask::Yes, Answer::Yes) => Ok(()),
        (Ask::Type(_), Answer::Typed(typed)) if asks.is_met_by(typed) => Ok(()),
        (Ask::Type(wanted), _) => Err(format!("`{wanted}` was not typed")),
        _ => Err("`y` was not pressed".to_owned()),
    };
    match enough {
        Ok(()) => Ok(Confirmed {
            plan,
            comment,
            ticket,
        }),
        Err(missing) => {
            let problem = Problem::new(
                ProblemKind::Refused,
                format!("{} was not confirmed: {missing}", plan.title),
            );
            Err((Box::new(plan), problem))
        }
    }
}

impl Confirmed {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Why, in the operator's words.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The ticket.
    #[must_use]
    pub fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::plan::{PlannedStep, Target};
    use super::super::tier::Harm;
    use super::*;
    use crate::domain::id::EntityKind;

    fn plan(harm: Harm, things: usize) -> Plan {
        let target = |n: usize| Target {
            kind: EntityKind::Certificate,
            id: format!("crt_{n}"),
            version: 1,
            name: format!("web-{n}.example.com"),
            status: String::new(),
        };
        let step = |target: usize| PlannedStep {
            step: "revoke".to_owned(),
            title: "revoke".to_owned(),
            target,
            harm,
            hosts: Vec::new(),
            args: serde_json::Value::Null,
            command: String::new(),
        };
        Plan {
            title: "Revoke web.example.com".to_owned(),
            targets: (0..things).map(target).collect(),
            steps: (0..things).map(step).collect(),
            phrase: "4f2a".to_owned(),
            ..Plan::new("revoke", DateTime::UNIX_EPOCH)
        }
    }

    fn is_enough(harm: Harm, things: usize, answer: &Answer<'_>) -> bool {
        let context = InContext {
            name: "demo",
            protected: false,
        };
        confirm(plan(harm, things), context, answer, None, None).is_ok()
    }

    #[test]
    fn each_reach_wants_its_own_answer() {
        assert!(is_enough(Harm::None, 1, &Answer::Started));
        assert!(!is_enough(Harm::None, 5, &Answer::Started));
        assert!(is_enough(Harm::None, 5, &Answer::Yes));
        assert!(!is_enough(Harm::Changes, 1, &Answer::Started));
        assert!(is_enough(Harm::Changes, 1, &Answer::Yes));
        assert!(!is_enough(Harm::Changes, 77, &Answer::Yes));
        assert!(is_enough(Harm::Changes, 77, &Answer::Typed("77demo")));
        assert!(!is_enough(Harm::Final, 1, &Answer::Yes));
        assert!(!is_enough(Harm::Final, 1, &Answer::Typed("4f2")));
        assert!(!is_enough(Harm::Final, 1, &Answer::Typed("")));
        assert!(is_enough(Harm::Final, 1, &Answer::Typed("4f2a")));
        assert!(!is_enough(Harm::Final, 2, &Answer::Typed("4f2a")));
        assert!(is_enough(Harm::Final, 2, &Answer::Typed("2 demo")));
    }
}
