//! The one door between a plan and its execution: [`confirm`] is the only maker of [`Confirmed`].

use super::plan::Plan;
use super::record;
use super::tier::Ask;
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
    context: &str,
    answer: &Answer<'_>,
    comment: Option<String>,
    ticket: Option<String>,
) -> Result<Confirmed, (Box<Plan>, Problem)> {
    if let Err(problem) = record::fits(&plan) {
        return Err((Box::new(plan), problem));
    }
    let enough = match (plan.asks(context), answer) {
        (Ask::Nothing, Answer::Started | Answer::Yes) | (Ask::Yes, Answer::Yes) => Ok(()),
        (Ask::Type(wanted), Answer::Typed(typed)) if typed.trim() == wanted => Ok(()),
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

    use super::super::tier::Tier;
    use super::*;

    fn plan(tier: Tier) -> Plan {
        Plan {
            run_id: "run_1".to_owned(),
            action: "revoke".to_owned(),
            title: "Revoke web.example.com".to_owned(),
            targets: vec![],
            tier,
            phrase: "4f2a".to_owned(),
            phrase_is: "the last four of the serial".to_owned(),
            fields: vec![],
            changes: vec![],
            breaks: vec![],
            steps: vec![],
            works_without_api: false,
            made_at: DateTime::from_timestamp(0, 0).unwrap(),
        }
    }

    fn is_enough(tier: Tier, answer: &Answer<'_>) -> bool {
        confirm(plan(tier), "demo", answer, None, None).is_ok()
    }

    #[test]
    fn each_tier_wants_its_own_answer() {
        assert!(is_enough(Tier::Harmless, &Answer::Started));
        assert!(!is_enough(Tier::Reversible, &Answer::Started));
        assert!(is_enough(Tier::Reversible, &Answer::Yes));
        assert!(!is_enough(Tier::Irreversible, &Answer::Yes));
        assert!(!is_enough(Tier::Irreversible, &Answer::Typed("4f2")));
        assert!(!is_enough(Tier::Irreversible, &Answer::Typed("")));
        assert!(is_enough(Tier::Irreversible, &Answer::Typed("4f2a")));
        assert!(!is_enough(Tier::Sweeping, &Answer::Typed("4f2a")));
        assert!(is_enough(Tier::Sweeping, &Answer::Typed("0 demo")));
    }
}
