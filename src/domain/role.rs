//! Roles of API tokens and what each may do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a bearer token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An agent: its own report, jobs and requests, nothing else.
    Agent,
    /// Reads everything, changes nothing.
    Viewer,
    /// Reads and carries out actions.
    Operator,
    /// Everything, tokens included.
    Admin,
}

impl Role {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Agent, Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.word() == word)
    }

    /// May read the inventory.
    #[must_use]
    pub fn may_read(self) -> bool {
        self != Self::Agent
    }

    /// May make tokens and take them back.
    #[must_use]
    pub fn may_administer(self) -> bool {
        self == Self::Admin
    }

    /// The word for a token that may change nothing, as it stands beside a context; none for one that may.
    #[must_use]
    pub fn forbids(self) -> Option<&'static str> {
        match self {
            Self::Agent => Some("AGENT"),
            Self::Viewer => Some("VIEWER"),
            Self::Operator | Self::Admin => None,
        }
    }

    /// May carry out actions.
    #[must_use]
    pub fn may_operate(self) -> bool {
        matches!(self, Self::Operator | Self::Admin)
    }
}
