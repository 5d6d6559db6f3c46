//! One change until it is known what became of it: sent, sent again with the same key, and looked at.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::outcome::Outcome;
use super::ports::Writes;
use super::step::{Proof, Step, StepContext};
use crate::domain::audit::AuditOutcome;
use crate::problem::{Problem, ProblemKind};

/// Times that a change is sent, with the same key, before looking begins.
const ASK_AGAIN: u32 = 3;
/// Pause before it is sent for the second time; twice that before the third.
const BEFORE_ASKING: Duration = Duration::from_millis(200);
/// Pause between two more, while its effect is looked for: a fault on the way may be gone by then.
const ASK_LATER: Duration = Duration::from_secs(5);
/// Pause between two looks at whether a step has come about.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Pause between two looks once it has been looked at for long: then many things of a run may be waited for.
const LOOK_LATER: Duration = Duration::from_secs(1);
/// Time after which that is so.
const LONG: Duration = Duration::from_secs(10);

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
            Err(problem) if problem.kind.says_no() => Self::Ended(Outcome::Refused(problem)),
            Err(problem) => Self::Ended(Outcome::Failed(problem)),
        }
    }

    /// The call's end for the log of commands, in the words of the audit.
    pub(super) fn told(&self) -> String {
        match self {
            Self::NotYet | Self::Answered => AuditOutcome::Done.word().to_owned(),
            Self::Ended(end) => end.line(),
            Self::Lost(problem) => Outcome::Unknown(problem.clone()).line(),
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

/// Looks until it is proven, refuted, or the step's limit is over; sends what is lost again meanwhile.
pub(super) async fn look(
    step: &dyn Step,
    cx: &mut StepContext,
    with: &Writes<'_>,
    note: &(dyn Fn(String) + Send + Sync),
    mut sent: Sent,
) -> Outcome {
    let limit = step.limit_of(&cx.args);
    let began = Instant::now();
    let until = began + limit;
    let mut ask_at = began + ASK_LATER;
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
        sleep(match began.elapsed() < LONG {
            true => LOOK_AGAIN,
            false => LOOK_LATER,
        })
        .await;
        if matches!(sent, Sent::Lost(_)) && Instant::now() >= ask_at {
            sent = sent.once_more(step, cx, with).await;
            ask_at = Instant::now() + ASK_LATER;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono::DateTime;
    use futures::future::BoxFuture;
    use serde_json::Value;

    use super::*;
    use crate::clients::api::{ApiReader, ApiWriter};
    use crate::clock::Clock;
    use crate::domain::id::EntityKind;
    use crate::plan::known::KnownAgents;
    use crate::plan::ports::{Changes, Reads, SecretEntry};
    use crate::plan::tier::Harm;

    /// Looks, each of which shows the next of these, and the last one for ever.
    struct Shows(Mutex<Vec<Proof>>);

    impl Step for Shows {
        fn name(&self) -> &'static str {
            "shows"
        }

        fn harm(&self) -> Harm {
            Harm::Changes
        }

        fn prove<'a>(&'a self, _: &'a StepContext, _: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
            let mut left = self.0.lock().unwrap();
            let next = match left.len() {
                1 => left[0].clone(),
                _ => left.remove(0),
            };
            Box::pin(async move { Ok(next) })
        }

        fn limit(&self) -> Duration {
            Duration::from_millis(600)
        }
    }

    /// The end of a change that was answered, or whose answer was lost, where looking shows this.
    async fn ends(shows: Vec<Proof>, sent: Sent) -> (Outcome, Vec<String>) {
        let api = ApiReader::new("http://127.0.0.1:1", None).unwrap();
        let reads = Reads {
            api: api.clone(),
            hosts: None,
            known: KnownAgents::default(),
            vault: None,
            vault_nodes: Vec::new(),
            clock: Clock::system(),
            pki_mount: String::new(),
            pki_test_role: String::new(),
        };
        let changes = Changes::new(ApiWriter::new(api), None);
        let (_prompt, entered) = tokio::sync::mpsc::channel(1);
        let secrets = SecretEntry::new(entered);
        let (allowed, unheard) = (|| Ok(()), |_: String| {});
        let with = Writes::new(&reads, &changes, &secrets, &allowed, &unheard, &unheard);
        let mut cx = StepContext {
            args: Value::Null,
            kind: EntityKind::Certificate,
            key: "run_1/0".to_owned(),
            began_at: DateTime::UNIX_EPOCH,
            result: Value::Null,
            earlier: Vec::new(),
            comment: None,
            ticket: None,
        };
        let notes: Mutex<Vec<String>> = Mutex::default();
        let note = |words: String| notes.lock().unwrap().push(words);
        let end = look(&Shows(Mutex::new(shows)), &mut cx, &with, &note, sent).await;
        (end, notes.into_inner().unwrap())
    }

    #[tokio::test]
    async fn what_goes_on_by_itself_waits_at_the_limit_and_is_never_proven_or_unknown() {
        let open = |words: &str| Proof::Open(words.to_owned());
        let (end, notes) = ends(vec![open("the CA signs")], Sent::Answered).await;
        assert_eq!(
            end,
            Outcome::Waiting("asked, and still open: the CA signs; it goes on by itself".to_owned())
        );
        assert!(!end.is_proven());
        assert_eq!(notes, ["the CA signs"], "what is seen is said once");
        // The last look counts.
        let (end, _) = ends(
            vec![open("the CA signs"), Proof::NotYet("nothing is there".to_owned())],
            Sent::Answered,
        )
        .await;
        assert!(
            matches!(&end, Outcome::Unknown(problem) if problem.what.contains("nothing is there")),
            "{end:?}"
        );
        // Its answer is worth some waiting.
        let (end, notes) = ends(
            vec![open("the CA signs"), Proof::Proven("issued".to_owned())],
            Sent::Answered,
        )
        .await;
        assert_eq!((end, notes.len()), (Outcome::Proven("issued".to_owned()), 1));
        let no = Problem::refused("the CA refused");
        let (end, _) = ends(
            vec![open("the CA signs"), Proof::Refuted(no.clone())],
            Sent::Answered,
        )
        .await;
        assert_eq!(end, Outcome::Failed(no));
    }
}
