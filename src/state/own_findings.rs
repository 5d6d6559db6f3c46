//! The findings that a console sees by itself, so that they are there when the API is not.

use super::State;
use super::query::{Answer, Query};
use crate::domain::finding::{Finding, FindingKind, Severity};
use crate::domain::id::EntityKind;
use crate::domain::link::{Backend, LinkState};
use crate::domain::request::{RequestStatus, WaitingOn};

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
