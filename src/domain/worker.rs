//! Workers: the processes without which requests wait and time passes unnoticed.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody has to be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// Has requests signed and revocations carried out.
    Issuer,
    /// Does what is due because time passed.
    Scheduler,
}

impl Duty {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Issuer, Self::Scheduler];
    /// Nobody seen at it for so long is nobody at it.
    pub const PATIENCE: TimeDelta = TimeDelta::seconds(30);

    /// The word stored and shown, and the role of `cmp-server`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Scheduler => "scheduler",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|duty| duty.word() == word)
    }

    /// What doesn't happen while nobody is at it.
    #[must_use]
    pub fn without_it(self) -> &'static str {
        match self {
            Self::Issuer => "nothing is issued or revoked",
            Self::Scheduler => "runs that broke off stay open, and what is due by time isn't done",
        }
    }
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// What it is at.
    pub duty: Duty,
    /// Its name.
    pub name: String,
    /// Its program's version.
    pub version: String,
    /// When it was seen last.
    pub seen_at: DateTime<Utc>,
    /// Whether that is lately enough.
    pub is_there: bool,
}
