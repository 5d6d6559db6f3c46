//! Whether changes are allowed at all in a context: not, always, or only after somebody unlocked it for a
//! while with a ticket. The executor asks, so that no route to an action gets around it.

use chrono::{DateTime, Utc};

use crate::problem::{Problem, ProblemKind};

/// Whether changes are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// They are.
    ReadWrite,
    /// The context or the console is read-only.
    ReadOnly,
    /// The context is protected: only while it is unlocked.
    Protected(Option<Unlocked>),
}

/// For how long a protected context is unlocked, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlocked {
    /// Until when.
    pub until: DateTime<Utc>,
    /// The ticket, which goes into every audit row meanwhile.
    pub ticket: String,
    /// Why, which goes there too, unless another reason is given for a run.
    pub reason: Option<String>,
}

impl Guard {
    /// For a context as the configuration has it.
    #[must_use]
    pub fn of(read_only: bool, protected: bool) -> Self {
        match (read_only, protected) {
            (true, _) => Self::ReadOnly,
            (false, true) => Self::Protected(None),
            (false, false) => Self::ReadWrite,
        }
    }

    /// Why nothing may be changed at `now`, in a few words; nothing if it may.
    #[must_use]
    pub fn refuses(&self, now: DateTime<Utc>) -> Option<&'static str> {
        match self {
            Self::ReadWrite => None,
            Self::Protected(Some(unlocked)) if now < unlocked.until => None,
            Self::ReadOnly => Some("this context is read-only"),
            Self::Protected(_) => Some("this context is locked: type `:unlock 15m TICKET`"),
        }
    }

    /// How long it is unlocked still, and under which ticket.
    #[must_use]
    pub fn unlocked(&self, now: DateTime<Utc>) -> Option<&Unlocked> {
        match self {
            Self::Protected(Some(unlocked)) if now < unlocked.until => Some(unlocked),
            _ => None,
        }
    }

    /// Refuses the plan called `title`, if it must not be carried out at `now`.
    ///
    /// # Errors
    /// Why not.
    pub fn allow(&self, title: &str, now: DateTime<Utc>) -> Result<(), Problem> {
        match self.refuses(now) {
            None => Ok(()),
            Some(why) => Err(Problem::new(
                ProblemKind::Forbidden,
                format!("{title} was refused: {why}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protected_context_is_open_for_its_time_only() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let open = Guard::Protected(Some(Unlocked {
            until: at(60),
            ticket: "INC-1".to_owned(),
            reason: None,
        }));
        assert!(open.allow("Revoke", at(59)).is_ok());
        assert!(open.allow("Revoke", at(60)).is_err());
        assert!(Guard::of(false, true).allow("Revoke", at(0)).is_err());
        assert!(Guard::of(true, true).allow("Revoke", at(0)).is_err());
        assert!(Guard::of(false, false).allow("Revoke", at(0)).is_ok());
    }
}
