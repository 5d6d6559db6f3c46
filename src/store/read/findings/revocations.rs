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
    let is_sealed = it
        .paused
        .as_ref()
        .is_some_and(|pause| pause.kind == PauseKind::Sealed);
    let refusal = it.refusal().map(said);
    let what = match (&refusal, &it.paused) {
        // A pause adds to a refusal that nobody can be asked again before it is over.
        (Some(words), pause) => {
            let waits = match pause {
                Some(_) if is_sealed => ", and waits while Vault is sealed if it is asked for again",
                Some(_) => ", and waits while its adapter is paused if it is asked for again",
                None => "",
            };
            format!("{name}'s revocation was refused by the CA{waits}; the CA says {words}")
        }
        (None, pause) => {
            let why = pause.as_ref().map(|pause| pause.reason.clone());
            let why = why.or(it.error.as_deref().map(said));
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            format!("{name}'s revocation is not confirmed by the CA{why}")
        }
    };
    Finding {
        kind: FindingKind::RevocationPending,
        severity: Severity::Critical,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: it.certificate_id,
        version: it.version,
        matter: match refusal {
            Some(_) => matter::NOT_REVOKED,
            None => matter::NOT_CONFIRMED,
        }
        .to_owned(),
        what,
        subject: name,
        host: None,
        agent: None,
        since: Some(it.asked_at),
        due: None,
        takes_down: Vec::new(),
        n_takes_down: 0,
        // A revocation that is under way goes on by itself, once its cause is mended; one that was refused doesn't.
        answer: match (it.queued, is_sealed) {
            (true, true) => Some("unseal".to_owned()),
            (true, false) => None,
            (false, _) => Some("revoke".to_owned()),
        },
        answer_for: Vec::new(),
        under_way: false,
    }
}
