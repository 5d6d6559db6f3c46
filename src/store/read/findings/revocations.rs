//! Revocations that the CA has not confirmed.

use chrono::{DateTime, Duration, Utc};

use super::words::{name, said};
use crate::domain::adapter::PauseKind;
use crate::domain::finding::{Finding, FindingKind, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::store::findings::Unconfirmed;

pub(super) fn unconfirmed(it: Unconfirmed, now: DateTime<Utc>) -> Finding {
    let name = name(&it.subject);
    let facts = RiskFacts {
        due: Some(now + Duration::hours(1)),
        n_hosts: 1,
        ..RiskFacts::default()
    };
    let why = it
        .paused
        .as_ref()
        .map(|pause| pause.reason.clone())
        .or(it.error.as_deref().map(said))
        .map_or(String::new(), |why| format!(": {why}"));
    let is_sealed = it
        .paused
        .as_ref()
        .is_some_and(|pause| pause.kind == PauseKind::Sealed);
    Finding {
        kind: FindingKind::RevocationPending,
        severity: Severity::Critical,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: it.certificate_id,
        version: it.version,
        what: format!("{name}'s revocation is not confirmed by the CA{why}"),
        subject: name,
        host: None,
        agent: None,
        matter: matter::NOT_CONFIRMED.to_owned(),
        since: Some(it.asked_at),
        due: None,
        takes_down: Vec::new(),
        n_takes_down: 0,
        // A revocation that is under way goes on by itself, once its cause is mended.
        answer: match (is_sealed, it.queued) {
            (true, _) => Some("unseal".to_owned()),
            (false, true) => None,
            (false, false) => Some("revoke".to_owned()),
        },
        answer_for: Vec::new(),
        under_way: false,
    }
}
