//! How a step or a run ended. A lost answer is `Unknown`, never "failed".

use serde::{Deserialize, Serialize};

use crate::domain::audit::AuditOutcome;
use crate::problem::Problem;

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done, and seen to be done.
    Proven(String),
    /// A rule said no before anything changed.
    Refused(Problem),
    /// It did not come about.
    Failed(Problem),
    /// It may or may not have happened.
    Unknown(Problem),
}

impl Outcome {
    /// Whether it is proven.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Proven(_))
    }

    /// The word stored and shown.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Proven(_) => "proven",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The proof, or what went wrong.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Proven(proof) => proof.clone(),
            Self::Refused(problem) | Self::Failed(problem) | Self::Unknown(problem) => problem.to_string(),
        }
    }

    /// How the audit records it.
    #[must_use]
    pub fn for_audit(&self) -> AuditOutcome {
        match self {
            Self::Proven(_) => AuditOutcome::Done,
            Self::Refused(_) => AuditOutcome::Refused,
            Self::Failed(_) => AuditOutcome::Failed,
            Self::Unknown(_) => AuditOutcome::Unknown,
        }
    }
}
