//! A plan: what an action would do, worked out with real reads and no writes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::step::Step;
use super::tier::{Ask, Harm, InContext, Reach, Tier};
use crate::domain::canonical;
use crate::domain::id::{EntityKind, new_id};

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
    /// The worst that it can do, as the step itself says.
    pub harm: Harm,
    /// The hosts on which it changes something, by name.
    pub hosts: Vec<String>,
    /// The step's own arguments.
    pub args: Value,
    /// The equivalent command, without secrets; empty for a step that only looks.
    pub command: String,
}

impl PlannedStep {
    /// A step of the plan's target at `target`.
    #[must_use]
    pub fn new(step: &dyn Step, target: usize, title: impl Into<String>, args: Value) -> Self {
        Self {
            step: step.name().to_owned(),
            title: title.into(),
            target,
            harm: step.harm(),
            hosts: Vec::new(),
            args,
            command: String::new(),
        }
    }

    /// The step with the hosts on which it changes something.
    #[must_use]
    pub fn on_hosts<'a>(mut self, hosts: impl IntoIterator<Item = &'a String>) -> Self {
        self.hosts = hosts.into_iter().cloned().collect();
        self
    }

    /// The step with the equivalent command.
    #[must_use]
    pub fn by_hand(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }
}

/// One loss: what a thing no longer does for whom, once the plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Loss {
    /// The host that feels it.
    pub host: String,
    /// The thing, by name.
    pub name: String,
    /// What is lost, in words that are the same for all that lose the same.
    pub what: String,
}

/// Losses that are one line: the same loss on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossOnHost<'a> {
    /// The host.
    pub host: &'a str,
    /// The things, by name.
    pub names: Vec<&'a str>,
    /// What is lost.
    pub what: &'a str,
}

/// One thing that was asked for and is not in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why, in words that are the same for all that are left out for this.
    pub why: String,
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
    /// Name of the one thing that is typed for, as what can't be undone is.
    pub phrase: String,
    /// Where `phrase` comes from, e.g. `the last four of the serial`.
    pub phrase_is: String,
    /// What can be set.
    pub fields: Vec<Field>,
    /// The part of it that can't be undone, or why it is typed for though it can; a sentence, empty where neither is so.
    pub for_good: String,
    /// What changes, a line each, worked out over the whole plan.
    pub changes: Vec<String>,
    /// Losses that it causes, the worst first.
    pub losses: Vec<Loss>,
    /// A line for each target, where there are several.
    pub by_name: Vec<String>,
    /// What was asked for and is not done.
    pub left_out: Vec<LeftOut>,
    /// What is known to go wrong or to hold it up, a line each.
    pub in_the_way: Vec<String>,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// Whether it may run when the run can only be recorded locally, since it is what mends the rest.
    pub works_without_api: bool,
    /// When it was made.
    pub made_at: DateTime<Utc>,
}

impl Plan {
    /// A plan that does nothing yet.
    #[must_use]
    pub fn new(action: &str, made_at: DateTime<Utc>) -> Self {
        Self {
            run_id: new_id(EntityKind::Run),
            action: action.to_owned(),
            title: String::new(),
            targets: Vec::new(),
            phrase: String::new(),
            phrase_is: String::new(),
            fields: Vec::new(),
            for_good: String::new(),
            changes: Vec::new(),
            losses: Vec::new(),
            by_name: Vec::new(),
            left_out: Vec::new(),
            in_the_way: Vec::new(),
            steps: Vec::new(),
            works_without_api: false,
            made_at,
        }
    }

    /// SHA-256 over the plan's canonical JSON, lower-case hex: what was confirmed. Whoever has the record computes
    /// the same.
    #[must_use]
    pub fn digest(&self) -> String {
        canonical::digest(&serde_json::to_value(self).unwrap_or_default())
    }

    /// How far it goes.
    #[must_use]
    pub fn reach(&self) -> Reach {
        Reach::of(self)
    }

    /// Its tier, which follows from its reach.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.reach().tier()
    }

    /// What a person must do before it runs in `context`. Nothing runs by itself while there is something to
    /// choose, or while something that was chosen is left out.
    #[must_use]
    pub fn asks(&self, context: InContext<'_>) -> Ask {
        match self.reach().asks(context, &self.phrase) {
            Ask::Nothing if !self.fields.is_empty() || !self.left_out.is_empty() => Ask::Yes,
            ask => ask,
        }
    }

    /// The losses, each host's together, in the order in which hosts first come.
    #[must_use]
    pub fn losses_by_host(&self) -> Vec<LossOnHost<'_>> {
        let mut grouped: Vec<LossOnHost<'_>> = Vec::new();
        for loss in &self.losses {
            let same = |group: &&mut LossOnHost<'_>| group.host == loss.host && group.what == loss.what;
            match grouped.iter_mut().find(same) {
                Some(group) if group.names.contains(&loss.name.as_str()) => {}
                Some(group) => group.names.push(&loss.name),
                None => grouped.push(LossOnHost {
                    host: &loss.host,
                    names: vec![&loss.name],
                    what: &loss.what,
                }),
            }
        }
        grouped
    }

    /// Number of its steps that have an equivalent command.
    #[must_use]
    pub fn n_commands(&self) -> usize {
        let steps = self.steps.iter();
        steps.filter(|step| !step.command.is_empty()).count()
    }

    /// What is left out, counted by its cause, the names with it.
    #[must_use]
    pub fn left_out_by_cause(&self) -> Vec<(&str, Vec<&str>)> {
        let mut grouped: Vec<(&str, Vec<&str>)> = Vec::new();
        for LeftOut { name, why } in &self.left_out {
            match grouped.iter_mut().find(|(other, _)| other == why) {
                Some((_, names)) => names.push(name),
                None => grouped.push((why, vec![name])),
            }
        }
        grouped
    }

    /// The kind of what the step is done to, or of the first thing.
    #[must_use]
    pub fn kind_of(&self, target: usize) -> EntityKind {
        let target = self.targets.get(target).or_else(|| self.targets.first());
        target.map_or(EntityKind::Run, |target| target.kind)
    }

    /// The idempotency key of the step at `index`: the same whenever it is tried again.
    #[must_use]
    pub fn step_key(&self, index: usize) -> String {
        format!("{}/{index}", self.run_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_grouped_by_host_and_cause() {
        let loss = |host: &str, name: &str, what: &str| Loss {
            host: host.to_owned(),
            name: name.to_owned(),
            what: what.to_owned(),
        };
        let plan = Plan {
            losses: vec![
                loss("mail-01", "mx1", "served now"),
                loss("web-01", "shop", "served now"),
                loss("mail-01", "smtp", "served now"),
                loss("mail-01", "smtp", "served now"),
                loss("mail-01", "imap", "on its disk"),
            ],
            ..Plan::new("revoke", DateTime::UNIX_EPOCH)
        };
        let grouped: Vec<(&str, String, &str)> = plan
            .losses_by_host()
            .into_iter()
            .map(|group| (group.host, group.names.join(" "), group.what))
            .collect();
        let expected = [
            ("mail-01", "mx1 smtp".to_owned(), "served now"),
            ("web-01", "shop".to_owned(), "served now"),
            ("mail-01", "imap".to_owned(), "on its disk"),
        ];
        assert_eq!(grouped, expected);
    }
}
