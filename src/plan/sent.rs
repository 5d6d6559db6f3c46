//! One change until it is known what became of it: sent, sent again with the same key, and looked at.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::outcome::Outcome;
use super::ports::Writes;
use super::step::{Proof, Step, StepContext};
use crate::problem::{Problem, ProblemKind};

/// Times that a change is sent, with the same key, before looking begins.
const ASK_AGAIN: u32 = 3;
/// Pause before it is sent for the second time; twice that before the third.
const BEFORE_ASKING: Duration = Duration::from_millis(200);
/// Pause between two more, while its effect is looked for: a fault on the way may be gone by then.
const ASK_LATER: Duration = Duration::from_secs(5);
/// Pause between two looks at whether a step has come about.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Progress of a change, as far as it is known.
pub(super) enum Sent {
    /// The change wasn't sent.
    NotYet,
    /// The change was answered.
    Answered,
    /// The change was not carried out, and came to this end.
    Ended(Outcome),
    /// No answer of theirs came: it may have been carried out.
    Lost(Problem),
}

impl Sent {
    /// Sends it, again with the same key where no answer comes.
    pub(super) async fn of(
        step: &dyn Step,
        cx: &mut StepContext,
        with: &Writes<'_>,
        note: &(dyn Fn(String) + Send + Sync),
    ) -> Self {
        let mut sent = Self::NotYet;
        for attempt in 1..=ASK_AGAIN {
            sent = sent.once_more(step, cx, with).await;
            match &sent {
                Self::Lost(problem) => note(format!(
                    "{}; asked again with the same key ({attempt} of {ASK_AGAIN})",
                    problem.what
                )),
                Self::NotYet | Self::Answered | Self::Ended(_) => break,
            }
            if attempt < ASK_AGAIN {
                sleep(BEFORE_ASKING * attempt).await;
            }
        }
        sent
    }

    /// Sends it, again with the same key.
    async fn once_more(self, step: &dyn Step, cx: &mut StepContext, with: &Writes<'_>) -> Self {
        match step.run(cx, with).await {
            Ok(result) => {
                cx.result = result;
                Self::Answered
            }
            Err(problem) if with.is_stopped() => Self::Ended(Outcome::Stopped(problem)),
            Err(problem) if with.is_held_back() => Self::Ended(Outcome::NotSent(problem)),
            Err(problem) if problem.kind == ProblemKind::NoAnswer => Self::Lost(problem),
            // An earlier call may have been carried out, unless the answer says that it wasn't: to the same key
            // there is one answer.
            Err(problem) if matches!(self, Self::Lost(_)) && !is_final(problem.kind) => Self::Lost(problem),
            Err(problem) if says_no(problem.kind) && !matches!(self, Self::Lost(_)) => {
                Self::Ended(Outcome::Refused(problem))
            }
            Err(problem) => Self::Ended(Outcome::Failed(problem)),
        }
    }
}

/// Words for what is on record and didn't come about while one waited for it.
pub(super) fn still_open(why: &str) -> String {
    format!("asked, and still open: {why}; it goes on by itself")
}

/// Hint of an end that nobody knows.
fn look_yourself(cx: &StepContext) -> String {
    format!("it may still finish; {}", cx.kind.check_first())
}

/// True if this answer would have been another one, had an earlier call with the same key been carried out.
fn is_final(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::BadInput | ProblemKind::NotFound | ProblemKind::Conflict | ProblemKind::Refused
    )
}

/// True if somebody said no before anything was changed.
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
pub(super) async fn look(
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
            Ok(Proof::Stopped(problem)) => return Outcome::Stopped(problem),
            Ok(Proof::NotYet(words)) => (words, false),
            Ok(Proof::Open(words)) => (words, true),
            // A refusal to let us look says nothing about the thing itself.
            Err(problem) if !problem.kind.may_be_retried() && problem.kind != ProblemKind::Internal => {
                let what = format!("what came of it can't be looked at: {}", problem.what);
                return Outcome::Unknown(Problem::no_answer(what).hint(look_yourself(cx)));
            }
            Err(problem) => (problem.what, false),
        };
        let (seen, is_open) = seen;
        if seen != said {
            note(seen.clone());
            said = seen;
        }
        if Instant::now() >= until {
            if is_open {
                return Outcome::Waiting(still_open(&said));
            }
            let what = match sent {
                Sent::Lost(problem) => problem.what,
                _ => said,
            };
            return Outcome::Unknown(
                Problem::no_answer(format!("not proven within {} s: {what}", limit.as_secs()))
                    .hint(look_yourself(cx)),
            );
        }
        sleep(LOOK_AGAIN).await;
        if matches!(sent, Sent::Lost(_)) && Instant::now() >= ask_at {
            sent = sent.once_more(step, cx, with).await;
            ask_at = Instant::now() + ASK_LATER;
        }
    }
}
