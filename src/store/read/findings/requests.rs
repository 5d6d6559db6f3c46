//! Requests that failed, and requests that wait: what for, and who must act.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};

use super::Found;
use super::waiting::{Waiting, count_waiting, with_revocations};
use super::words::short;
use crate::domain::adapter::{Adapter, AdapterStatus, PauseKind};
use crate::domain::finding::{Finding, FindingKind, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::domain::request::{Request, RequestStatus};
use crate::store::findings::{self as facts, Blocked, Failed, WaitedFor};
use crate::store::{Conn, StoreError, adapters};

/// The thing to act on is the certificate that was to be replaced, where there is one; nothing is said again of
/// those in `told`.
pub(super) async fn failed(
    conn: &mut Conn,
    now: DateTime<Utc>,
    told: &BTreeSet<&str>,
    found: &mut Found,
) -> Result<(), StoreError> {
    let failed = facts::failed_requests(conn).await?;
    for it in found.rows(FindingKind::RequestFailed, failed) {
        let replaces = it.request.replaces.as_deref();
        if !replaces.is_some_and(|id| told.contains(id)) {
            found.push(one_failed(it, now));
        }
    }
    Ok(())
}

pub(super) fn one_failed(it: Failed, now: DateTime<Utc>) -> Finding {
    let facts = RiskFacts {
        due: Some(now + Duration::days(3)),
        renewal_failing: true,
        n_hosts: 1,
        ..RiskFacts::default()
    };
    let request = it.request;
    let error = request.error_message.as_deref().unwrap_or("no reason given");
    let (entity, entity_id, version, answer) = match (request.replaces, it.replaces_version) {
        (Some(old), Some(version)) => (EntityKind::Certificate, old, version, Some("reissue".to_owned())),
        _ => (
            EntityKind::Request,
            request.id.clone(),
            request.version,
            Some("cancel".to_owned()),
        ),
    };
    Finding {
        kind: FindingKind::RequestFailed,
        severity: Severity::Warning,
        risk: risk(&facts, now),
        entity,
        entity_id,
        version,
        host: None,
        agent: None,
        matter: matter::REQUEST_FAILED.to_owned(),
        what: format!("{}'s request failed: {}", request.common_name, short(error)),
        subject: request.common_name,
        since: Some(request.updated_at),
        due: None,
        takes_down: Vec::new(),
        n_takes_down: 0,
        answer,
        answer_for: Vec::new(),
        under_way: false,
    }
}

/// What waits for a paused adapter is one finding, and what waits for an agent is one; what waits for something else
/// is one each, unless no issuer is there, which is told by itself.
pub(super) async fn waiting(
    conn: &mut Conn,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
    has_issuer: bool,
    revocations: &Waiting,
    found: &mut Found,
) -> Result<(), StoreError> {
    // A paused adapter is a finding at once, with everything that waits for it.
    let mut blocked = facts::blocked_by_adapter(conn, now).await?;
    for adapter in adapters::all(conn).await? {
        if adapter.status == AdapterStatus::Paused {
            let blocked = blocked.remove(&adapter.id).unwrap_or_default();
            let revocations = revocations.for_adapter.get(&adapter.id);
            found.push(paused(
                adapter,
                blocked,
                revocations.map_or(&[], Vec::as_slice),
                now,
            ));
        }
    }
    let waited_for = facts::agents_waited_for(conn, before).await?;
    for it in found.rows(FindingKind::RequestStuck, waited_for) {
        found.push(waits_for_agent(it, now));
    }
    let others = facts::stuck_requests(conn, before, has_issuer).await?;
    for request in found.rows(FindingKind::RequestStuck, others) {
        found.push(stuck(&request, now));
    }
    Ok(())
}

pub(super) fn paused(
    adapter: Adapter,
    blocked: Blocked,
    revocations: &[String],
    now: DateTime<Utc>,
) -> Finding {
    let reason = adapter.paused_reason.as_deref().unwrap_or("no reason given");
    let is_away = adapter.is_paused_as(PauseKind::NoAnswer);
    let is_sealed = adapter.is_paused_as(PauseKind::Sealed);
    let waiting = count_waiting(blocked.n, revocations.len());
    let blocked = with_revocations(blocked, revocations);
    let facts = RiskFacts {
        due: Some(now + Duration::hours(1)),
        renewal_failing: true,
        n_hosts: blocked.n,
        ..RiskFacts::default()
    };
    // A seal or a missing answer is a matter of the Vault behind the adapter.
    let (entity, entity_id) = match adapter.vault() {
        Some(address) if is_sealed || is_away => (EntityKind::Vault, address.to_owned()),
        _ => (EntityKind::Adapter, adapter.id.clone()),
    };
    Finding {
        kind: match entity {
            EntityKind::Vault if is_away => FindingKind::VaultDown,
            _ if is_sealed => FindingKind::VaultSealed,
            _ => FindingKind::RequestStuck,
        },
        severity: Severity::Critical,
        risk: risk(&facts, now),
        entity,
        entity_id,
        version: adapter.version,
        host: None,
        agent: None,
        matter: match (is_sealed, is_away) {
            (true, _) => matter::sealed(blocked.n),
            (_, true) => matter::NO_ANSWER.to_owned(),
            _ if adapter.is_paused_as(PauseKind::AnotherCa) => matter::ANOTHER_CA.to_owned(),
            _ => matter::PAUSED.to_owned(),
        },
        what: match adapter.paused_kind {
            Some(PauseKind::Unsigned) => format!(
                "{} can't sign: {}; nothing is issued, {waiting}; revocations go on",
                adapter.name,
                short(reason)
            ),
            kind => format!(
                "{} is paused: {}; nothing is issued or revoked, {waiting}",
                adapter.name,
                // Fingerprints and what to do with them are the point of it.
                match kind {
                    Some(PauseKind::AnotherCa) => reason.to_owned(),
                    _ => short(reason),
                }
            ),
        },
        subject: adapter.name,
        since: adapter.paused_at,
        due: None,
        takes_down: blocked.names,
        n_takes_down: blocked.n,
        answer: is_sealed.then(|| "unseal".to_owned()),
        answer_for: Vec::new(),
        under_way: false,
    }
}

pub(super) fn stuck(request: &Request, now: DateTime<Utc>) -> Finding {
    Finding {
        kind: FindingKind::RequestStuck,
        severity: Severity::Warning,
        risk: risk(&stuck_facts(request.attempt > 0, 1, now), now),
        entity: EntityKind::Request,
        entity_id: request.id.clone(),
        version: request.version,
        subject: request.common_name.clone(),
        host: None,
        agent: None,
        matter: matter::WAITS.to_owned(),
        what: format!(
            "{}'s request {}",
            request.common_name,
            short(&waiting_words(request))
        ),
        since: Some(request.created_at),
        due: request.next_attempt_at,
        takes_down: Vec::new(),
        n_takes_down: 0,
        answer: None,
        answer_for: Vec::new(),
        under_way: false,
    }
}

/// Behind "its request": what it waits for.
fn waiting_words(request: &Request) -> String {
    match request.status {
        RequestStatus::Issuing => format!("is with the CA: {}", request.why()),
        _ => request.why(),
    }
}

/// A key or an answer that doesn't come is an agent that doesn't come: wake it.
pub(super) fn waits_for_agent(it: WaitedFor, now: DateTime<Utc>) -> Finding {
    let missing = match it.n_keys {
        0 => "answered the CA's challenge",
        _ => "sent key and CSR",
    };
    Finding {
        kind: FindingKind::RequestStuck,
        severity: Severity::Warning,
        risk: risk(&stuck_facts(false, it.n, now), now),
        entity: EntityKind::Agent,
        entity_id: it.agent_id,
        version: it.version,
        host: None,
        agent: None,
        matter: matter::WAITS_FOR_AGENT.to_owned(),
        what: format!("{} hasn't {missing}: {} for it", it.hostname, waits(it.n)),
        subject: it.hostname,
        since: Some(it.since),
        due: None,
        n_takes_down: it.n,
        takes_down: it.names,
        answer: Some("checkin".to_owned()),
        answer_for: Vec::new(),
        under_way: false,
    }
}

fn stuck_facts(renewal_failing: bool, n: i64, now: DateTime<Utc>) -> RiskFacts {
    RiskFacts {
        due: Some(now + Duration::days(5)),
        renewal_failing,
        n_hosts: n,
        ..RiskFacts::default()
    }
}

fn waits(n: i64) -> String {
    if n == 1 {
        "1 request waits".to_owned()
    } else {
        format!("{n} requests wait")
    }
}
