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
    /// The token that it was made with; nothing of one that a server's start made.
    #[serde(default)]
    pub parent: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it is good.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was spent, if it is of the kind that is.
    pub spent_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The platform's own parts, which write audit rows under these names.
const OF_THE_PLATFORM: [&str; 2] = ["issuer", "scheduler"];

/// A name as somebody sees it who reads fast: two that look alike are the same here. Only ASCII names tokens, so
/// that it is about capitals, separators and the few letters and digits that pass for each other.
#[must_use]
pub fn looks_like(name: &str) -> String {
    let seen = |c: char| match c.to_ascii_lowercase() {
        '0' => 'o',
        '1' | 'i' => 'l',
        c => c,
    };
    let separates = |c: &char| !matches!(c, '-' | '.' | '_' | '@' | '+');
    let letters: String = name.chars().filter(separates).map(seen).collect();
    letters.replace("rn", "m").replace("vv", "w")
}

/// The part of the platform that `name` passes for: it is called so, or begins so.
#[must_use]
pub fn passes_for(name: &str) -> Option<&'static str> {
    let first = name
        .split(['-', '.', '_', '@', '+'])
        .find(|part| !part.is_empty());
    let whole = looks_like(name);
    let first = first.map(looks_like).unwrap_or_default();
    OF_THE_PLATFORM.into_iter().find(|own| {
        let own = looks_like(own);
        own == whole || own == first
    })
}

impl Token {
    /// Whether it was neither taken back nor has expired at `now`; a one-time token may have been spent.
    ///
    /// # Errors
    /// Which it is.
    pub fn living(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        let unspent = Self {
            spent_at: None,
            ..self.clone()
        };
        unspent.good(now)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_pass_for_others_are_seen() {
        for name in [
            "issuer",
            "Issuer",
            "ISSUER",
            "lssuer",
            "1ssuer",
            "issuer.",
            "scheduler.",
            "Scheduler-2",
            "-issuer",
            "sche.duler",
        ] {
            assert!(passes_for(name).is_some(), "{name}");
        }
        for name in ["kim", "reissuer", "my-scheduler", "tissue"] {
            assert!(passes_for(name).is_none(), "{name}");
        }
        for (one, other) in [
            ("kim", "Kim"),
            ("kim", "k1m"),
            ("norma", "norrna"),
            ("dana.s", "danas"),
            ("bob", "b0b"),
        ] {
            assert_eq!(looks_like(one), looks_like(other));
        }
        assert_ne!(looks_like("dana"), looks_like("dan"));
    }
}
