//! Links: how each backend answers. What follows from that is in `own_findings`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::link::LinkState;

/// How one backend answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// How.
    pub state: LinkState,
    /// A few words.
    pub note: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<u32>,
    /// When it was asked.
    pub as_of: DateTime<Utc>,
    /// Vault's own status, for Vault; the last that was known while Vault is down.
    pub seal: Option<Seal>,
}

/// Vault's seal, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Sealed.
    pub sealed: bool,
    /// Initialised.
    pub initialized: bool,
    /// Shares needed.
    pub threshold: u64,
    /// Shares there are.
    pub shares: u64,
    /// Shares entered.
    pub progress: u64,
    /// The unseal attempt's nonce.
    pub nonce: String,
    /// Vault's version.
    pub version: String,
}

/// Latency in coarse words, so that a header does not flicker: a bucket is left only when the figure is
/// well outside of it.
#[must_use]
pub fn latency_words(ms: u32) -> &'static str {
    match ms {
        0..100 => "",
        100..300 => "slow",
        300..1000 => "<1s",
        _ => ">1s",
    }
}
