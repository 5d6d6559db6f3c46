//! Progress of an upgrade: for the log, and for who asks the server meanwhile.

use std::fmt::{Display, Formatter};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A step that takes less is not worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(1);
/// Between two words on the same step.
const BETWEEN: Duration = Duration::from_secs(5);

/// Progress of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sentence about the step.
    pub step: String,
    /// Number of this step, from one on.
    pub n: usize,
    /// Number of all steps.
    pub of: usize,
    /// Share of the step that is done, as far as that is known.
    pub percent: Option<u8>,
}

impl Display for Progress {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "step {} of {}: {}", self.n, self.of, self.step)?;
        match self.percent {
            Some(percent) => write!(f, ", {percent} %"),
            None => Ok(()),
        }
    }
}

/// Sender of the newest progress.
pub type Upgrading = watch::Sender<Option<Progress>>;

/// The words on one step.
pub(super) struct Teller<'a> {
    to: &'a Upgrading,
    /// Words for the whole of it.
    step: String,
    progress: Progress,
    began: Instant,
    /// When the log was told last.
    told: Option<Instant>,
}

impl<'a> Teller<'a> {
    pub(super) fn of(to: &'a Upgrading, step: String, n: usize, of: usize) -> Self {
        Self {
            to,
            step: step.clone(),
            progress: Progress {
                step,
                n,
                of,
                percent: None,
            },
            began: Instant::now(),
            told: None,
        }
    }

    /// From now on it is about this part of the table.
    pub(super) fn of_part(&mut self, part: &str) {
        self.progress.step = format!("{}, of its part `{part}`", self.step);
        self.progress.percent = None;
    }

    /// Somebody else is at it, and how far is for them to say.
    pub(super) fn tell_at_once(&mut self) {
        self.to.send_replace(Some(self.progress.clone()));
    }

    /// So much of it is done.
    pub(super) fn tell(&mut self, done: i64, of: i64) {
        if self.began.elapsed() < WORTH_A_WORD {
            return;
        }
        let percent = (of > 0).then(|| (done.clamp(0, of) * 100 / of).min(99));
        self.progress.percent = percent.and_then(|it| u8::try_from(it).ok());
        if self.told.is_none_or(|told| told.elapsed() >= BETWEEN) {
            tracing::info!("the schema is brought up to date: {}", self.progress);
            self.told = Some(Instant::now());
        }
        self.to.send_replace(Some(self.progress.clone()));
    }

    /// It is done.
    pub(super) fn end(self) {
        if self.told.is_some() {
            let seconds = self.began.elapsed().as_secs();
            tracing::info!(seconds, "done: {}", self.step);
        }
    }
}
