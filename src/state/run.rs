//! Runs as the console follows them: planned, carried out, ended. An answer is addressed to its run,
//! never to whatever dialog happens to be open.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::actions;
use crate::domain::id::EntityKind;
use crate::plan::executor::RunEvent;
use crate::plan::journal::Recorded;
use crate::plan::outcome::{Ends, Outcome};
use crate::plan::plan::{Inputs, LeftOut, Plan, Target};
use crate::problem::{ProblemKind, Remedy};

use super::screen::ViewId;

/// State of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Not yet.
    Waiting,
    /// Now.
    Running,
    /// Over.
    Ended(Outcome),
    /// Left out.
    Skipped,
}

/// One step's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLine {
    /// Its title.
    pub title: String,
    /// Which step.
    pub step: String,
    /// Which of the plan's targets it is for.
    pub target: usize,
    /// Its state.
    pub state: StepState,
    /// Its last words.
    pub note: String,
}

/// Phase of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The plan is being made.
    Planning,
    /// The plan waits for a person.
    Planned,
    /// It is being carried out.
    Running,
    /// It is over.
    Ended(Outcome),
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The console's own name for it, from the moment the key was pressed.
    pub id: String,
    /// The action's id.
    pub action: &'static str,
    /// The things, frozen when the key was pressed.
    pub on: Vec<Target>,
    /// The rows that were marked for it, and on which screen, by how deep that lies.
    pub marked: Option<((usize, ViewId), BTreeSet<String>)>,
    /// Things that were marked with them, and that the action doesn't work on.
    pub left_out: Vec<LeftOut>,
    /// Values of the fields.
    pub inputs: Inputs,
    /// Its state.
    pub phase: Phase,
    /// The plan, until it is confirmed, and after for its title.
    pub plan: Option<Box<Plan>>,
    /// Its steps.
    pub steps: Vec<StepLine>,
    /// Ends of the plan's targets, as far as they have.
    pub ends: BTreeMap<usize, Outcome>,
    /// The place where it is on record.
    pub recorded: Option<Recorded>,
    /// Moment at which its key was pressed and its dialog opened; nobody has said yes by then.
    pub opened_at: DateTime<Utc>,
    /// Moment of the yes, or of the key where no yes is needed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// True while somebody waits for its end: its dialog is open, or no key was pressed since its own.
    pub is_awaited: bool,
    /// Why, in the operator's words, once it is confirmed.
    pub comment: Option<String>,
    /// Under which ticket, once it is confirmed.
    pub ticket: Option<String>,
}

impl Run {
    /// A run that waits for its plan.
    #[must_use]
    pub fn new(id: String, action: &'static str, on: Vec<Target>, opened_at: DateTime<Utc>) -> Self {
        Self {
            id,
            action,
            on,
            marked: None,
            left_out: Vec::new(),
            inputs: Inputs::new(),
            phase: Phase::Planning,
            plan: None,
            steps: Vec::new(),
            ends: BTreeMap::new(),
            recorded: None,
            opened_at,
            confirmed_at: None,
            ended_at: None,
            is_awaited: true,
            comment: None,
            ticket: None,
        }
    }

    /// Its title, as far as it is known.
    #[must_use]
    pub fn title(&self) -> String {
        match (&self.plan, actions::find(self.action)) {
            (Some(plan), _) => plan.title.clone(),
            (None, Some(action)) => action.spec().on(&self.on),
            (None, None) => self.action.to_owned(),
        }
    }

    /// The things, by the names that the plan has read where there is one.
    #[must_use]
    pub fn things(&self) -> &[Target] {
        let plan = self.plan.as_ref().filter(|plan| !plan.targets.is_empty());
        plan.map_or(self.on.as_slice(), |plan| &plan.targets)
    }

    /// The id that it is on record by; none before there is a plan.
    #[must_use]
    pub fn record_id(&self) -> Option<&str> {
        self.plan.as_ref().map(|plan| plan.run_id.as_str())
    }

    /// True if it goes on without the dialog.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Its state, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.phase {
            Phase::Planning => "planning".to_owned(),
            Phase::Planned => "planned, not carried out".to_owned(),
            Phase::Running => format!("running, {}", self.running_step()),
            Phase::Ended(outcome) => outcome.line(),
        }
    }

    /// Ends of the things that have ended, by name.
    #[must_use]
    pub fn named_ends(&self) -> Ends {
        let mut ends = Ends::default();
        for (target, end) in &self.ends {
            ends.note(self.name_of(*target), end.clone());
        }
        ends
    }

    /// The name of the plan's target at `index`.
    #[must_use]
    pub fn name_of(&self, index: usize) -> &str {
        let target = self.plan.as_ref().and_then(|plan| plan.targets.get(index));
        target.map_or("", |target| target.name.as_str())
    }

    /// The next step that is one key away: the action, and the things that it is for. Where the same again would help
    /// nobody it is what the results call the next step.
    #[must_use]
    pub fn next_step(&self) -> Option<(&'static str, Vec<Target>)> {
        let open = self.not_proven();
        let again = open.iter().filter(|(_, remedy)| remedy.is_none());
        let again: Vec<Target> = again.map(|(target, _)| target.clone()).collect();
        if !again.is_empty() {
            return Some((self.action, again));
        }
        let action = open.iter().find_map(|(_, remedy)| remedy.as_ref())?.action;
        let mended = open.into_iter().filter_map(|(target, remedy)| {
            let remedy = remedy.filter(|it| it.action == action)?;
            Some(Target {
                kind: EntityKind::Certificate,
                id: remedy.certificate,
                version: 0,
                name: target.name,
                status: String::new(),
            })
        });
        Some((action, mended.collect()))
    }

    /// Things that were not proven, each with the action that its end calls for, if that is another one. Things that
    /// wait go on by themselves, and a rule that said no says no again.
    fn not_proven(&self) -> Vec<(Target, Option<Remedy>)> {
        let over = matches!(self.phase, Phase::Ended(_));
        let targets = self.plan.iter().flat_map(|plan| plan.targets.iter().enumerate());
        let whole = match &self.phase {
            Phase::Ended(outcome) => Some(outcome),
            _ => None,
        };
        let open = |end: Option<&Outcome>| match end {
            Some(Outcome::Proven(_) | Outcome::Waiting(_)) => false,
            Some(Outcome::Refused(problem) | Outcome::NotSent(problem)) => !is_for_good(problem.kind),
            _ => true,
        };
        targets
            .map(|(index, target)| (target, self.ends.get(&index).or(whole)))
            .filter(|(_, end)| over && open(*end))
            .map(|(target, end)| (target.clone(), end.and_then(Outcome::remedy).cloned()))
            .collect()
    }

    /// Its end in a word, or in counts where it was about several things.
    #[must_use]
    pub fn state(&self) -> String {
        match &self.phase {
            Phase::Planning => "planning".to_owned(),
            Phase::Planned => "planned".to_owned(),
            Phase::Running => "running".to_owned(),
            Phase::Ended(outcome) if self.ends.len() < 2 || self.is_denied(outcome) => {
                outcome.of_run().to_owned()
            }
            Phase::Ended(_) => self.named_ends().counted(),
        }
    }

    /// True if nobody knows its end though all of its things have one: the records deny them.
    #[must_use]
    pub fn is_denied(&self, outcome: &Outcome) -> bool {
        let is_unknown = |end: &Outcome| matches!(end, Outcome::Unknown(_));
        is_unknown(outcome) && !self.ends.values().any(is_unknown)
    }

    /// The step that is under way, and what it last said.
    #[must_use]
    pub fn running_step(&self) -> String {
        let line = self.steps.iter().find(|line| line.state == StepState::Running);
        line.map_or_else(String::new, |line| match line.note.as_str() {
            "" => line.title.clone(),
            note => format!("{}: {note}", line.title),
        })
    }

    /// True if secrets are typed for it at some time: what is typed late must not be taken for anything else.
    #[must_use]
    pub fn asks_for_secrets(&self) -> bool {
        self.steps.iter().any(|line| line.step == "enter_shares")
    }

    /// The step that waits for a person's secret, if one does.
    #[must_use]
    pub fn wants_secret(&self) -> bool {
        self.is_running()
            && self
                .steps
                .iter()
                .any(|line| line.state == StepState::Running && line.step == "enter_shares")
    }

    /// Moment at which it was asked for: of the yes, and not of the key that opened its dialog. Before there is a yes,
    /// and where there never was one, that key is all there is.
    #[must_use]
    pub fn asked_at(&self) -> DateTime<Utc> {
        self.confirmed_at.unwrap_or(self.opened_at)
    }

    /// Takes the plan's steps over, at the moment of the yes.
    pub fn begin(&mut self, at: DateTime<Utc>) {
        self.confirmed_at = Some(at);
        self.phase = Phase::Running;
        self.steps = self
            .plan
            .iter()
            .flat_map(|plan| &plan.steps)
            .map(|planned| StepLine {
                title: planned.title.clone(),
                step: planned.step.clone(),
                target: planned.target,
                state: StepState::Waiting,
                note: String::new(),
            })
            .collect();
    }

    /// Takes an event of the executor in.
    pub fn take(&mut self, event: RunEvent) {
        let mut line = |index: usize, change: &dyn Fn(&mut StepLine)| {
            if let Some(line) = self.steps.get_mut(index) {
                change(line);
            }
        };
        match event {
            RunEvent::Began(recorded) => self.recorded = Some(recorded),
            RunEvent::StepStarted(index) => line(index, &|line| line.state = StepState::Running),
            RunEvent::StepNote(index, note) => line(index, &|line| line.note.clone_from(&note)),
            RunEvent::StepSkipped(index) => line(index, &|line| line.state = StepState::Skipped),
            RunEvent::StepEnded(index, outcome) => line(index, &|line| {
                line.note = outcome.words();
                line.state = StepState::Ended(outcome.clone());
            }),
            RunEvent::ThingEnded(target, outcome) => drop(self.ends.insert(target, outcome)),
            RunEvent::Command(..) => {}
            RunEvent::Ended(outcome) => self.phase = Phase::Ended(outcome),
        }
    }
}

/// True if a second try would be refused for the same reason.
fn is_for_good(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::BadInput | ProblemKind::Forbidden | ProblemKind::NotFound | ProblemKind::Refused
    )
}
