//! Links: how each backend of the console answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a console talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// The HTTP API.
    Api,
    /// The database behind the API.
    Database,
    /// The issuer.
    Issuer,
    /// Vault.
    Vault,
    /// The shared cache.
    Cache,
    /// The agents as a whole.
    Agents,
}

impl Backend {
    /// All, in the header's order.
    pub const ALL: [Self; 6] = [
        Self::Api,
        Self::Database,
        Self::Issuer,
        Self::Vault,
        Self::Cache,
        Self::Agents,
    ];

    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Database => "db",
            Self::Issuer => "issuer",
            Self::Vault => "vault",
            Self::Cache => "cache",
            Self::Agents => "agents",
        }
    }
}

/// How a backend answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Not asked yet.
    Unknown,
    /// Answers.
    Up,
    /// Answers, and says that it can't work: sealed, paused, some agents silent.
    Degraded,
    /// Does not answer, or refuses.
    Down,
    /// Not configured in this context.
    Absent,
}

/// One backend's health as the API reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackendHealth {
    /// Which.
    pub backend: Backend,
    /// How it answers.
    pub state: LinkState,
    /// A few words: `sealed`, `paused: vault is sealed`, `11 of 14 agents healthy`.
    pub note: Option<String>,
    /// How long it took, in milliseconds, where it was asked.
    pub latency_ms: Option<u32>,
}
