//! The findings that a console sees by itself, so that they are there when the API is not.

use super::State;
use super::query::{Answer, Query};
use crate::domain::finding::{Finding, FindingKind, NAMED, Severity};
use crate::domain::id::EntityKind;
use crate::domain::link::{Backend, LinkState};
use crate::domain::matter;
use crate::domain::request::{Request, RequestStatus, WaitingOn};

/// What the console sees without asking the API: Vault sealed, a backend away.
#[must_use]
pub fn own_findings(state: &State) -> Vec<Finding> {
    let mut findings = Vec::new();
    let link = state.links.get(&Backend::Vault);
    if let Some((link, seal)) = link.and_then(|link| link.seal.as_ref().map(|seal| (link, seal)))
        && seal.sealed
        && matches!(link.state, LinkState::Up | LinkState::Degraded)
    {
        let (n, waiting) = waiting(state);
        let waits = match n {
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
            host: None,
            matter: matter::sealed(n),
            what: format!(
                "is sealed ({} of {} shares): {waits}",
                seal.progress, seal.threshold
            ),
            since: None,
            due: None,
            n_takes_down: n,
            takes_down: waiting,
            answer: Some("unseal".to_owned()),
        });
    }
    findings
}

/// How many requests wait for Vault, and the first of them by name: as the API counts them, and of what the
/// console has itself where that is more.
fn waiting(state: &State) -> (i64, Vec<String>) {
    let waits = |request: &&Request| {
        matches!(request.status, RequestStatus::Pending | RequestStatus::Issuing)
            && request.waiting_on != Some(WaitingOn::Approval)
    };
    let mut names: Vec<String> = match state.answer(&Query::OpenRequests) {
        Some(Answer::Requests(window)) => {
            let waiting = window.rows.iter().filter(waits);
            waiting.map(|request| request.common_name.clone()).collect()
        }
        _ => Vec::new(),
    };
    let n = i64::try_from(names.len()).unwrap_or(i64::MAX);
    names.truncate(NAMED);
    let told = match state.answer(&Query::Findings) {
        Some(Answer::Findings(answered)) => {
            let sealed = answered.findings.iter();
            let sealed = sealed.filter(|it| it.kind == FindingKind::VaultSealed);
            sealed.map(|it| it.n_takes_down).sum()
        }
        _ => 0,
    };
    (n.max(told), names)
}
