//! API tokens as they are known: for what, for whom, until when. The token itself is nowhere here.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::role::Role;
use crate::problem::{Problem, ProblemKind};

/// What a token is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Sent with every request.
    #[default]
    Bearer,
    /// Spent in the transaction that enrols an agent.
    Enrol,
}

impl Purpose {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Enrol => "enrol",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Bearer, Self::Enrol]
            .into_iter()
            .find(|purpose| purpose.word() == word)
    }
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// `tok_…`
    pub id: String,
    /// The name that audit rows carry.
    pub name: String,
    /// What for.
    pub purpose: Purpose,
    /// What it may do.
    pub role: Role,
    /// The agent that it belongs to, or that may enrol again with it.
    pub agent_id: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it is good.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was spent, if it is of the kind that is.
    pub spent_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Token {
    /// Whether it is still good at `now`.
    ///
    /// # Errors
    /// Which it is: expired, spent or taken back.
    pub fn good(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        let (what, at) = match (self.revoked_at, self.expires_at, self.spent_at) {
            (Some(at), _, _) => (format!("the token `{}` was taken back", self.name), at),
            (_, Some(at), _) if at <= now => (format!("the token `{}` expired", self.name), at),
            (_, _, Some(at)) => (format!("the one-time token `{}` was spent", self.name), at),
            _ => return Ok(()),
        };
        let what = format!("{what} at {}", at.format("%F %TZ"));
        Err(Problem::new(ProblemKind::NotAuthenticated, what).hint("ask for a new token"))
    }
}
