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
    /// Seconds by which its clock is ahead of the database's (behind it: negative), where it is so far off that nothing
    /// is claimed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_s: Option<i64>,
}

impl Worker {
    /// It is there, and takes up what is to be done.
    #[must_use]
    pub fn works(&self) -> bool {
        self.is_there && self.clock_ahead_s.is_none()
    }
}

/// Words for the distance of `whose` clock from the database's.
#[must_use]
pub fn clock_words(whose: &str, ahead_s: i64) -> String {
    let which = if ahead_s > 0 { "ahead of" } else { "behind" };
    format!("{whose} is {} s {which} the database's", ahead_s.abs())
}

/// Why nothing is issued or revoked though issuers are there: the clock of each is off.
#[must_use]
pub fn all_clocks_off(workers: &[Worker]) -> Option<String> {
    let there = workers
        .iter()
        .filter(|it| it.duty == Duty::Issuer && it.is_there)
        .collect::<Vec<_>>();
    if there.iter().any(|it| it.works()) {
        return None;
    }
    let first = there.first()?;
    let clock = clock_words(&format!("the clock of `{}`", first.name), first.clock_ahead_s?);
    Some(format!("{clock}, so that it claims nothing: set both by NTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_issued_where_each_issuer_that_is_there_goes_by_a_wrong_clock() {
        let issuer = |name: &str, is_there, clock_ahead_s| Worker {
            duty: Duty::Issuer,
            name: name.to_owned(),
            version: "1".to_owned(),
            seen_at: DateTime::UNIX_EPOCH,
            is_there,
            clock_ahead_s,
        };
        let off = issuer("issuer@a", true, Some(40));
        let words = "the clock of `issuer@a` is 40 s ahead of the database's, so that it claims nothing: set both by NTP";
        let gone = issuer("issuer@b", false, None);
        assert_eq!(
            all_clocks_off(&[off.clone(), gone.clone()]).as_deref(),
            Some(words)
        );
        assert_eq!(all_clocks_off(&[off, issuer("issuer@c", true, None)]), None);
        assert_eq!(all_clocks_off(&[gone]), None, "that is another matter");
    }
}
