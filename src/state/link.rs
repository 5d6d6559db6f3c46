//! Links: how each backend answers, and the findings that a console sees by itself, so that they are
//! there when the API is not.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::State;
use crate::domain::finding::{Finding, FindingKind, Severity};
use crate::domain::id::EntityKind;
use crate::domain::link::{Backend, LinkState};
use crate::domain::request::{RequestStatus, WaitingOn};

use super::query::{Answer, Query};

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
    /// The ceremony's nonce.
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

/// What the console sees without asking the API: Vault sealed, a backend away.
#[must_use]
pub fn own_findings(state: &State) -> Vec<Finding> {
    let mut findings = Vec::new();
    let link = state.links.get(&Backend::Vault);
    if let Some((link, seal)) = link.and_then(|link| link.seal.as_ref().map(|seal| (link, seal)))
        && seal.sealed
        && matches!(link.state, LinkState::Up | LinkState::Degraded)
    {
        let waiting: Vec<String> = match state.answer(&Query::OpenRequests) {
            Some(Answer::Requests(window)) => window
                .rows
                .iter()
                .filter(|request| {
                    matches!(request.status, RequestStatus::Pending | RequestStatus::Issuing)
                        && request.waiting_on != Some(WaitingOn::Approval)
                })
                .map(|request| request.common_name.clone())
                .collect(),
            _ => Vec::new(),
        };
        let waits = match waiting.len() {
            0 => "nothing can be issued or revoked".to_owned(),
            1 => "1 request waits on it".to_owned(),
            n => format!("{n} requests wait on it"),
        };
        findings.push(Finding {
            kind: FindingKind::VaultSealed,
            severity: Severity::Critical,
            risk: i64::MAX / 2,
            entity: EntityKind::Vault,
            entity_id: state.context.vault.clone(),
            version: 0,
            subject: "Vault".to_owned(),
            what: format!(
                "is sealed ({} of {} shares): {waits}",
                seal.progress, seal.threshold
            ),
            since: None,
            due: None,
            takes_down: waiting,
            answer: Some("unseal".to_owned()),
        });
    }
    findings
}
