//! A problem is told to a person when something did not go well: what happened, to what, and what to do
//! next. Low-level errors become a `Problem` at the edge (HTTP reply, screen, command line) only.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::told;

/// Which sort of trouble it is; decides the HTTP status and whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request itself is malformed or names something that isn't allowed (400).
    BadInput,
    /// No, unknown or expired credentials (401).
    NotAuthenticated,
    /// The caller's role doesn't allow it, or read-only mode forbids it (403).
    Forbidden,
    /// There is no such thing (404).
    NotFound,
    /// It contradicts the present state: already revoked, version changed (409).
    Conflict,
    /// It isn't so yet: the same, said again later, may be taken (409).
    NotYet,
    /// Understood and refused for a reason of the domain: key not on the agent, path not allowed (422).
    Refused,
    /// Too many requests for now (429).
    TooMany,
    /// A backend that is needed answered with an error (502).
    BackendFailed,
    /// A backend that is needed isn't available now: sealed, down, refusing connections (503).
    Unavailable,
    /// No answer within the time allowed: it may or may not have happened (504).
    NoAnswer,
    /// A defect of ours (500).
    Internal,
}

impl ProblemKind {
    /// The HTTP status that carries this kind.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadInput => 400,
            Self::NotAuthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict | Self::NotYet => 409,
            Self::Refused => 422,
            Self::TooMany => 429,
            Self::Internal => 500,
            Self::BackendFailed => 502,
            Self::Unavailable => 503,
            Self::NoAnswer => 504,
        }
    }

    /// True if somebody said no before anything was changed: what ends so was refused, everywhere it is told of, and
    /// what ends otherwise failed.
    #[must_use]
    pub fn says_no(self) -> bool {
        match self {
            Self::BadInput
            | Self::NotAuthenticated
            | Self::Forbidden
            | Self::NotFound
            | Self::Conflict
            | Self::NotYet
            | Self::Refused
            | Self::TooMany => true,
            Self::BackendFailed | Self::Unavailable | Self::NoAnswer | Self::Internal => false,
        }
    }

    /// True if the same request may succeed later without anybody changing it.
    #[must_use]
    pub fn may_be_retried(self) -> bool {
        matches!(
            self,
            Self::NotYet | Self::TooMany | Self::BackendFailed | Self::Unavailable | Self::NoAnswer
        )
    }
}

/// The next step of an agent that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// Ask again later, as it is.
    Retry,
    /// Get a new token of its own, with a one-time token: the one that it has will never do again.
    ReEnrol,
    /// Stop asking: a person said so.
    Banned,
}

/// A sentence for a tired person and the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which sort.
    pub kind: ProblemKind,
    /// The event, and the thing that it happened to. One sentence without a period, literals in backticks.
    #[serde(deserialize_with = "told::text")]
    pub what: String,
    /// The next step in words.
    #[serde(default, deserialize_with = "told::maybe")]
    pub hint: Option<String>,
    /// Its meaning for an agent that asked; for nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<Denial>,
    /// The next step, where the console can take it itself.
    #[serde(skip)]
    #[schema(ignore)]
    pub remedy: Option<Box<Remedy>>,
}

/// An action that is the next step, and the certificate that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// The action's id, such as `install`.
    pub action: &'static str,
    /// The certificate's id.
    pub certificate: String,
}

impl Problem {
    /// A problem without a next step.
    pub fn new(kind: ProblemKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            hint: None,
            denial: None,
            remedy: None,
        }
    }

    /// This problem with what it means for an agent.
    #[must_use]
    pub fn denial(mut self, denial: Denial) -> Self {
        self.denial = Some(denial);
        self
    }

    /// This problem with the action that is the next step.
    #[must_use]
    pub fn remedy(mut self, action: &'static str, certificate: &str) -> Self {
        self.remedy = Some(Box::new(Remedy {
            action,
            certificate: certificate.to_owned(),
        }));
        self
    }

    /// This problem with the next step in words.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Malformed or not allowed input.
    pub fn bad_input(what: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadInput, what)
    }

    /// No such thing.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, what)
    }

    /// Contradicts the present state.
    pub fn conflict(what: impl Into<String>) -> Self {
        Self::new(ProblemKind::Conflict, what)
    }

    /// Refused by a rule of the domain.
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(ProblemKind::Refused, what)
    }

    /// A needed backend is away.
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unavailable, what)
    }

    /// It may or may not have happened.
    pub fn no_answer(what: impl Into<String>) -> Self {
        Self::new(ProblemKind::NoAnswer, what)
    }

    /// A defect of ours.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(ProblemKind::Internal, what)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
