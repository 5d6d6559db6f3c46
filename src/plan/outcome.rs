//! End of a step, a thing or a whole run. A lost answer is `Unknown`, never "failed".

use serde::{Deserialize, Serialize};

use crate::domain::audit::AuditOutcome;
use crate::problem::{Problem, Remedy};

/// The end of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done, and seen to be done.
    Proven(String),
    /// Asked for and on record; it goes on by itself once somebody is back who is away.
    Waiting(String),
    /// The backend was asked, and said no before anything changed.
    Refused(Problem),
    /// This console did not ask the backend: it may not, there is no plan, or things are not as planned.
    NotSent(Problem),
    /// It did not come about.
    Failed(Problem),
    /// A person stopped it, or took back what it had asked for: nobody refused, and nothing was tried in vain.
    Stopped(Problem),
    /// It may or may not have happened.
    Unknown(Problem),
}

impl Outcome {
    /// True if it is proven.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Proven(_))
    }

    /// The word for a step and a thing, stored and shown.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Proven(_) => "proven",
            Self::Waiting(_) => "waiting",
            Self::Refused(_) => "refused",
            Self::NotSent(_) => "unsent",
            Self::Failed(_) => "failed",
            Self::Stopped(_) => "stopped",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The word of a whole run that ended so, the same on every screen, in the audit and in the API's record of it: a run
    /// is done, where a thing or a step of it is proven.
    #[must_use]
    pub fn of_run(&self) -> &'static str {
        match self {
            Self::Proven(_) => AuditOutcome::Done.word(),
            other => other.word(),
        }
    }

    /// Its word for a run or a call, and the proof, or what went wrong.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {}", self.of_run(), self.words())
    }

    /// The word that it is on record by, which every platform knows: what was stopped did not come about.
    #[must_use]
    pub fn recorded(&self) -> &'static str {
        match self {
            Self::Stopped(_) => "failed",
            Self::NotSent(_) => "refused",
            known => known.word(),
        }
    }

    /// Words for the proof or the wait, or the problem that it ended with.
    fn told(&self) -> Result<&str, &Problem> {
        match self {
            Self::Proven(words) | Self::Waiting(words) => Ok(words),
            Self::Refused(problem)
            | Self::NotSent(problem)
            | Self::Failed(problem)
            | Self::Stopped(problem)
            | Self::Unknown(problem) => Err(problem),
        }
    }

    /// The proof, or what went wrong.
    #[must_use]
    pub fn words(&self) -> String {
        self.told().map_or_else(ToString::to_string, str::to_owned)
    }

    /// The event, without the next step.
    #[must_use]
    pub fn what(&self) -> &str {
        self.told().unwrap_or_else(|problem| &problem.what)
    }

    /// The next step, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.problem()?.hint.as_deref()
    }

    /// The problem that it ended with, if any.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        self.told().err()
    }

    /// The action that is the next step, if it is another one than the same again.
    #[must_use]
    pub fn remedy(&self) -> Option<&Remedy> {
        self.problem()?.remedy.as_deref()
    }

    /// The words that end its record. What the audit has only a coarser word for begins with its own, by which it is
    /// shown everywhere ([`crate::domain::audit::AuditRow::outcome_word`]).
    #[must_use]
    pub fn for_record(&self) -> String {
        match self {
            Self::Waiting(_) | Self::Stopped(_) | Self::NotSent(_) => {
                format!("{}: {}", self.word(), self.words())
            }
            Self::Proven(_) | Self::Refused(_) | Self::Failed(_) | Self::Unknown(_) => self.words(),
        }
    }

    /// Its outcome in the audit. What waits may still become known, so nobody may take it for done.
    #[must_use]
    pub fn for_audit(&self) -> AuditOutcome {
        match self {
            Self::Proven(_) => AuditOutcome::Done,
            Self::Refused(_) | Self::NotSent(_) => AuditOutcome::Refused,
            Self::Failed(_) | Self::Stopped(_) => AuditOutcome::Failed,
            Self::Unknown(_) | Self::Waiting(_) => AuditOutcome::Unknown,
        }
    }

    /// Its weight in a run of several things. What waits outranks what has ended, since the whole has not; what is
    /// unknown outranks both: somebody has to look.
    fn weight(&self) -> u8 {
        match self {
            Self::Proven(_) => 0,
            Self::Stopped(_) => 1,
            Self::NotSent(_) => 2,
            Self::Refused(_) => 3,
            Self::Failed(_) => 4,
            Self::Waiting(_) => 5,
            Self::Unknown(_) => 6,
        }
    }
}

/// Ends of a run's things, by name; what is left of a run that was broken off is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    ends: Vec<(String, Outcome)>,
}

/// The words in which ends are counted, what needs somebody last.
const WORDS: [&str; 7] = [
    "proven", "waiting", "stopped", "unsent", "refused", "failed", "unknown",
];
/// Names that a summary holds; the rest is counted.
const NAMED: usize = 8;

impl Ends {
    /// Notes how the thing called `name` ended.
    pub fn note(&mut self, name: &str, outcome: Outcome) {
        self.ends.push((name.to_owned(), outcome));
    }

    /// Numbers that ended in each way, zeroes left out: `10 proven, 1 refused, 1 unknown`.
    #[must_use]
    pub fn counted(&self) -> String {
        let counts = WORDS.iter().filter_map(|word| {
            let n = self.of(word).count();
            (n > 0).then(|| format!("{n} {word}"))
        });
        counts.collect::<Vec<_>>().join(", ")
    }

    fn of<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a (String, Outcome)> {
        self.ends.iter().filter(move |(_, end)| end.word() == word)
    }

    /// The end of the whole: that of its one thing, or the counts with the names of what is not proven. It is
    /// proven only if all is, and waits while anything does; otherwise it is the worst of all, so that nobody takes it
    /// for less.
    #[must_use]
    pub fn whole(&self) -> Outcome {
        match self.ends.as_slice() {
            [] => Outcome::Proven("there was nothing to do".to_owned()),
            [(_, only)] => only.clone(),
            many => {
                let counted = self.counted();
                let words = WORDS[1..].iter().filter_map(|word| self.named(word));
                let words: Vec<String> = words.collect();
                let words = match words.as_slice() {
                    [] => counted,
                    words => format!("{counted}. {}", words.join("; ")),
                };
                let worst = many.iter().map(|(_, end)| end).max_by_key(|end| end.weight());
                match worst {
                    Some(Outcome::Refused(problem)) => Outcome::Refused(named(problem, words)),
                    Some(Outcome::NotSent(problem)) => Outcome::NotSent(named(problem, words)),
                    Some(Outcome::Failed(problem)) => Outcome::Failed(named(problem, words)),
                    Some(Outcome::Stopped(problem)) => Outcome::Stopped(named(problem, words)),
                    Some(Outcome::Unknown(problem)) => Outcome::Unknown(named(problem, words)),
                    Some(Outcome::Waiting(_)) => Outcome::Waiting(words),
                    Some(Outcome::Proven(_)) | None => Outcome::Proven(words),
                }
            }
        }
    }

    /// `refused: imap.example.com (why)`.
    fn named(&self, word: &str) -> Option<String> {
        let n = self.of(word).count();
        let named = self.of(word).take(NAMED);
        let mut names: Vec<String> = named
            .map(|(name, end)| format!("{name} ({})", end.what()))
            .collect();
        if n > NAMED {
            names.push(format!("and {} more", n - NAMED));
        }
        (n > 0).then(|| format!("{word}: {}", names.join(", ")))
    }
}

fn named(problem: &Problem, words: String) -> Problem {
    let named = Problem::new(problem.kind, words);
    match &problem.hint {
        Some(hint) => named.hint(hint.clone()),
        None => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_of_which_something_waits_has_not_ended() {
        let mut ends = Ends::default();
        ends.note("web-01", Outcome::Failed(Problem::internal("no reload")));
        ends.note("web-04", Outcome::Waiting("for its agent".to_owned()));
        let whole = ends.whole();
        assert_eq!(
            (whole.word(), whole.for_audit()),
            ("waiting", AuditOutcome::Unknown)
        );
        assert!(
            whole.what().starts_with("1 waiting, 1 failed."),
            "{}",
            whole.what()
        );
    }

    #[test]
    fn mixed_ends_are_counted_and_named_and_the_worst_is_the_whole() {
        let mut ends = Ends::default();
        for n in 0..10 {
            ends.note(&format!("ok-{n}"), Outcome::Proven("served".to_owned()));
        }
        assert_eq!(ends.whole(), Outcome::Proven("10 proven".to_owned()));
        ends.note("imap", Outcome::Refused(Problem::refused("key is blocked")));
        assert_eq!(ends.whole().word(), "refused");
        ends.note(
            "vpn",
            Outcome::Unknown(Problem::no_answer("no answer").hint("look")),
        );
        ends.note("www", Outcome::Failed(Problem::internal("no reload")));
        assert_eq!(ends.counted(), "10 proven, 1 refused, 1 failed, 1 unknown");
        let whole = ends.whole();
        assert_eq!(whole.word(), "unknown");
        assert_eq!(
            whole.what(),
            "10 proven, 1 refused, 1 failed, 1 unknown. refused: imap (key is blocked); failed: www (no reload); \
             unknown: vpn (no answer)"
        );
        assert_eq!(whole.hint(), Some("look"));
    }

    #[test]
    fn a_run_has_one_word_on_its_screen_and_in_the_trail() {
        use crate::domain::audit::{AuditEntry, AuditRow, GENESIS};
        use crate::domain::id::EntityKind;
        let problem = || Problem::refused("nobody wants it: any more");
        for outcome in [
            Outcome::Proven("served: yes".to_owned()),
            Outcome::Waiting("the request is kept".to_owned()),
            Outcome::Refused(problem()),
            Outcome::NotSent(problem()),
            Outcome::Failed(problem()),
            Outcome::Stopped(problem()),
            Outcome::Unknown(problem()),
        ] {
            let entry = AuditEntry {
                actor: "ops".to_owned(),
                action: "run".to_owned(),
                entity_type: EntityKind::Certificate,
                entity_id: "crt_1".to_owned(),
                outcome: outcome.for_audit(),
                reason: None,
                ticket: None,
                run_id: None,
                source: "test".to_owned(),
                // As the API writes it.
                detail: Some(format!("plan `reissue`: {}", outcome.for_record())),
            };
            let row = AuditRow::chained(entry, 1, chrono::DateTime::UNIX_EPOCH, GENESIS.to_owned());
            assert_eq!(row.outcome_word(), outcome.of_run());
            let of_a_change = AuditRow {
                action: "revoke".to_owned(),
                ..row
            };
            assert_eq!(of_a_change.outcome_word(), outcome.for_audit().word());
        }
    }

    #[test]
    fn one_thing_ends_as_itself_and_names_beyond_eight_are_counted() {
        let mut ends = Ends::default();
        ends.note("one", Outcome::Waiting("asked".to_owned()));
        assert_eq!(ends.whole(), Outcome::Waiting("asked".to_owned()));
        for n in 0..9 {
            ends.note(&format!("n{n}"), Outcome::Waiting("asked".to_owned()));
        }
        assert!(
            ends.whole().what().ends_with(", and 2 more"),
            "{}",
            ends.whole().what()
        );
        assert_eq!(ends.whole().for_audit(), AuditOutcome::Unknown);
    }
}
