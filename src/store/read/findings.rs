//! Facts into what needs a person, ranked. Nothing is stored, so what is cured is gone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};

use super::renewal_asked::asked_for;
use crate::domain::adapter::AdapterStatus;
use crate::domain::agent::{Agent, AgentHealth};
use crate::domain::certificate::{CertificateStatus, Urgency, common_name, urgency};
use crate::domain::finding::{Finding, FindingKind, RiskFacts, Severity, rank, risk};
use crate::domain::id::EntityKind;
use crate::domain::key::KeyStatus;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::store::findings::{self as facts, InUse};
use crate::store::{Conn, StoreError, adapters, agents, certificates};

/// So long before its end a certificate in use is worth knowing of.
const HORIZON_D: i64 = 30;
/// So long an installation, a request or a revocation may take without anybody having to look.
const PATIENCE_S: i64 = 60;

/// All findings, the worst first.
///
/// # Errors
/// The database doesn't answer.
pub async fn findings(conn: &mut Conn) -> Result<Vec<Finding>, StoreError> {
    let now = conn.now();
    let mut found = Vec::new();
    let mut in_trouble = facts::certificates_in_trouble(conn, now + Duration::days(HORIZON_D)).await?;
    let known: BTreeSet<String> = in_trouble.iter().map(|it| it.installation_id.clone()).collect();
    let asked_for = facts::renewals_asked_for(conn).await?.into_iter();
    in_trouble.extend(asked_for.filter(|it| !known.contains(&it.installation_id)));
    certificates_in_use(&in_trouble, now, &mut found);
    let in_trouble = facts::installations_in_trouble(conn).await?;
    let mut not_served: BTreeMap<&str, Finding> = BTreeMap::new();
    for it in &in_trouble {
        let Some(finding) = installation(it, now) else {
            continue;
        };
        match not_served.get_mut(it.certificate_id.as_str()) {
            Some(known) => known.takes_down.extend(finding.takes_down),
            None => {
                not_served.insert(&it.certificate_id, finding);
            }
        }
    }
    found.extend(not_served.into_values());
    silent_agents(conn, now, &mut found).await?;
    for request in facts::failed_requests(conn).await? {
        found.push(failed(conn, &request, now).await?);
    }
    waiting(conn, now, &mut found).await?;
    for it in facts::unconfirmed_revocations(conn, now - Duration::seconds(PATIENCE_S)).await? {
        found.push(unconfirmed(it, now));
    }
    for it in facts::shared_keys(conn).await? {
        found.push(shared(conn, it, now).await?);
    }
    rank(&mut found);
    Ok(found)
}

/// One finding a certificate and kind, however many hosts it is on.
fn certificates_in_use(in_trouble: &[InUse], now: DateTime<Utc>, found: &mut Vec<Finding>) {
    let mut by_certificate: BTreeMap<&str, Vec<&InUse>> = BTreeMap::new();
    for it in in_trouble {
        by_certificate.entry(&it.certificate_id).or_default().push(it);
    }
    for places in by_certificate.values() {
        found.extend(in_use(places, now));
    }
}

fn in_use(places: &[&InUse], now: DateTime<Utc>) -> Option<Finding> {
    let first = *places.first()?;
    let facts = RiskFacts {
        due: Some(first.not_after),
        renewal_failing: first.renewal_failing,
        agent_silent: places.iter().any(|it| it.agent_silent(now)),
        served: places.iter().any(|it| it.served_sha256.is_some()),
        n_hosts: i64::try_from(places.len()).unwrap_or(i64::MAX),
    };
    let urgent = RiskFacts {
        due: Some(now),
        ..facts
    };
    let hosts = counted(places.len(), "host");
    let failing = match first.renewal_failing {
        true => ", and its renewal failed",
        false => "",
    };
    let left = urgency(first.not_after, now);
    let (kind, severity, what, since, due, facts) = if first.key_status == KeyStatus::Compromised {
        let what = format!("its key is compromised and in use on {hosts}");
        let since = first.compromised_at;
        (
            FindingKind::CompromisedKeyInUse,
            Severity::Critical,
            what,
            since,
            since,
            urgent,
        )
    } else if first.status != CertificateStatus::Active {
        let reason = first
            .revocation_reason
            .map_or(String::new(), |reason| format!(" ({reason})"));
        let what = format!("revoked{reason} and still in use on {hosts}");
        let since = first.revocation_asked_at;
        (
            FindingKind::RevokedInUse,
            Severity::Critical,
            what,
            since,
            since,
            urgent,
        )
    } else if left == Urgency::Expired {
        let what = format!("expired and in use on {hosts}");
        let since = Some(first.not_after);
        (
            FindingKind::ExpiredInUse,
            Severity::Critical,
            what,
            since,
            since,
            facts,
        )
    } else if let Some(asked) = asked_for(first, now) {
        let by = asked.window.end.min(first.not_after);
        let facts = RiskFacts {
            // What the CA moved may be revoked at any time.
            due: Some(if asked.severity == Severity::Critical {
                now
            } else {
                by
            }),
            ..facts
        };
        (
            FindingKind::RenewalAsked,
            asked.severity,
            format!("{}; in use on {hosts}{failing}{}", asked.what, asked.why()),
            Some(asked.window.start),
            Some(by),
            facts,
        )
    } else {
        let severity = Severity::of_end(left);
        let what = format!("expires and is in use on {hosts}{failing}");
        (
            FindingKind::ExpiringInUse,
            severity,
            what,
            None,
            Some(first.not_after),
            facts,
        )
    };
    let mut takes_down: Vec<String> = places.iter().map(|it| it.hostname.clone()).collect();
    takes_down.dedup();
    Some(Finding {
        kind,
        severity,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: first.certificate_id.clone(),
        version: first.certificate_version,
        subject: name(&first.subject),
        what,
        since,
        due,
        takes_down,
        answer: Some("reissue".to_owned()),
    })
}

/// The three truths disagree. One that is being installed right now is given its time.
fn installation(it: &InUse, now: DateTime<Utc>) -> Option<Finding> {
    let patience = Duration::seconds(PATIENCE_S);
    let is_good =
        it.status == CertificateStatus::Active && it.key_status == KeyStatus::Active && it.not_after > now;
    if !is_good {
        // It needs a fresh one, which another finding says; installing it again is no help.
        return None;
    }
    if it.installing_since.is_some_and(|since| now - since < patience) {
        return None;
    }
    let is_expected = |found: &Option<String>| found.as_deref() == Some(it.expected_sha256.as_str());
    let mut kind = FindingKind::NotServed;
    let (severity, what) = match (&it.on_disk_sha256, &it.served_sha256) {
        (None, _) => (Severity::Critical, "nothing is on disk".to_owned()),
        (Some(_), _) if !is_expected(&it.on_disk_sha256) => (
            Severity::Critical,
            "another certificate is on disk than expected".to_owned(),
        ),
        (Some(_), Some(_)) if !is_expected(&it.served_sha256) => (
            Severity::Critical,
            "renewed on disk, the old one is still served".to_owned(),
        ),
        (Some(_), None) if it.tls_address.is_some() => (
            Severity::Warning,
            "on disk as expected, but not served".to_owned(),
        ),
        _ => match (&it.error, &it.chain_missing) {
            (Some(_), _) => (
                Severity::Warning,
                "the last installation was rolled back".to_owned(),
            ),
            (None, Some(missing)) => {
                kind = FindingKind::ChainIncomplete;
                let what = format!("served without its issuer {missing}: clients that have only the root refuse it");
                (Severity::Warning, what)
            }
            (None, None) => return None,
        },
    };
    let said = it
        .error
        .as_ref()
        .map_or(String::new(), |error| format!(": {error}"));
    let facts = RiskFacts {
        due: Some(if severity == Severity::Critical {
            now + Duration::hours(1)
        } else {
            it.not_after
        }),
        renewal_failing: it.error.is_some(),
        agent_silent: it.agent_silent(now),
        served: it.served_sha256.is_some(),
        n_hosts: 1,
    };
    Some(Finding {
        kind,
        severity,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: it.certificate_id.clone(),
        version: it.certificate_version,
        subject: name(&it.subject),
        what: format!("{what}, on {} at {}{said}", it.hostname, it.path),
        since: Some(it.updated_at),
        due: Some(it.not_after),
        takes_down: vec![it.hostname.clone()],
        answer: Some("install".to_owned()),
    })
}

async fn silent_agents(
    conn: &mut Conn,
    now: DateTime<Utc>,
    found: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    // The shortest interval there can be; which of them are silent is asked of each.
    for agent in facts::agents_quiet_since(conn, now - Duration::seconds(1)).await? {
        let never_came = agent.health(now) == AgentHealth::Never
            && now - agent.enrolled_at > Duration::seconds(agent.checkin_interval_s) * 3;
        if agent.health(now) != AgentHealth::Silent && !never_came {
            continue;
        }
        let takes_down = facts::names_on_agent(conn, &agent.id).await?;
        let facts = RiskFacts {
            due: Some(now + Duration::days(2)),
            agent_silent: true,
            served: agent.tls_address.is_some(),
            n_hosts: 1,
            ..RiskFacts::default()
        };
        let what = match agent.last_checkin {
            Some(_) => format!(
                "stopped checking in; {} on it can't be renewed",
                counted(takes_down.len(), "certificate")
            ),
            None => "enrolled, but never checked in".to_owned(),
        };
        found.push(Finding {
            kind: FindingKind::AgentSilent,
            severity: Severity::Warning,
            risk: risk(&facts, now),
            entity: EntityKind::Agent,
            entity_id: agent.id,
            version: agent.version,
            subject: agent.hostname,
            what,
            since: agent.last_checkin.or(Some(agent.enrolled_at)),
            due: None,
            takes_down: takes_down.iter().map(|subject| name(subject)).collect(),
            answer: Some("checkin".to_owned()),
        });
    }
    Ok(())
}

/// The thing to act on is the certificate that was to be replaced, where there is one.
async fn failed(conn: &mut Conn, request: &Request, now: DateTime<Utc>) -> Result<Finding, StoreError> {
    let facts = RiskFacts {
        due: Some(now + Duration::days(3)),
        renewal_failing: true,
        n_hosts: 1,
        ..RiskFacts::default()
    };
    let error = request.error_message.as_deref().unwrap_or("no reason given");
    let replaces = match &request.replaces {
        Some(id) => certificates::read(conn, id).await?,
        None => None,
    };
    let (entity, entity_id, version, answer) = match replaces {
        Some(old) => (
            EntityKind::Certificate,
            old.id,
            old.version,
            Some("reissue".to_owned()),
        ),
        None => (EntityKind::Request, request.id.clone(), request.version, None),
    };
    Ok(Finding {
        kind: FindingKind::RequestFailed,
        severity: Severity::Warning,
        risk: risk(&facts, now),
        entity,
        entity_id,
        version,
        subject: request.common_name.clone(),
        what: format!("request {} failed: {error}", request.id),
        since: Some(request.updated_at),
        due: None,
        takes_down: Vec::new(),
        answer,
    })
}

/// What waits for a paused adapter is one finding; what waits for something else is one each.
async fn waiting(conn: &mut Conn, now: DateTime<Utc>, found: &mut Vec<Finding>) -> Result<(), StoreError> {
    let adapters = adapters::all(conn).await?;
    let waiting = facts::waiting_requests(conn, now - Duration::seconds(PATIENCE_S)).await?;
    let waits_for_ca = |request: &&Request| {
        request.status == RequestStatus::Issuing || request.waiting_on == Some(WaitingOn::Ca)
    };
    for adapter in adapters.iter().filter(|it| it.status == AdapterStatus::Paused) {
        let blocked: Vec<&Request> = waiting
            .iter()
            .filter(waits_for_ca)
            .filter(|request| request.adapter_id == adapter.id)
            .collect();
        let reason = adapter.paused_reason.as_deref().unwrap_or("no reason given");
        let is_sealed = reason.to_lowercase().contains("sealed");
        let facts = RiskFacts {
            due: Some(now + Duration::hours(1)),
            renewal_failing: true,
            n_hosts: i64::try_from(blocked.len()).unwrap_or(i64::MAX),
            ..RiskFacts::default()
        };
        // What is unsealed is the Vault behind the adapter.
        let vault = adapter.config.get("address").and_then(|address| address.as_str());
        let (entity, entity_id) = match vault {
            Some(address) if is_sealed => (EntityKind::Vault, address.to_owned()),
            _ => (EntityKind::Adapter, adapter.id.clone()),
        };
        found.push(Finding {
            kind: if is_sealed {
                FindingKind::VaultSealed
            } else {
                FindingKind::RequestStuck
            },
            severity: Severity::Critical,
            risk: risk(&facts, now),
            entity,
            entity_id,
            version: adapter.version,
            subject: adapter.name.clone(),
            what: format!(
                "paused: {reason}; nothing is issued or revoked, {} waiting",
                counted(blocked.len(), "request")
            ),
            since: adapter.paused_at,
            due: None,
            takes_down: blocked
                .iter()
                .map(|request| request.common_name.clone())
                .collect(),
            answer: is_sealed.then(|| "unseal".to_owned()),
        });
    }
    let mut by_agent: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
    for request in &waiting {
        let paused = adapters
            .iter()
            .any(|it| it.id == request.adapter_id && it.status == AdapterStatus::Paused);
        match &request.agent_id {
            Some(agent) if matches!(request.waiting_on, Some(WaitingOn::Key | WaitingOn::Challenge)) => {
                by_agent.entry(agent).or_default().push(request);
            }
            _ if paused && waits_for_ca(&request) => {}
            _ => found.push(stuck(request, now)),
        }
    }
    for (agent, requests) in by_agent {
        let agent = agents::existing(conn, agent).await?;
        found.push(waits_for_agent(agent, &requests, now));
    }
    Ok(())
}

fn stuck(request: &Request, now: DateTime<Utc>) -> Finding {
    Finding {
        kind: FindingKind::RequestStuck,
        severity: Severity::Warning,
        risk: risk(&stuck_facts(request.attempt > 0, 1, now), now),
        entity: EntityKind::Request,
        entity_id: request.id.clone(),
        version: request.version,
        subject: request.common_name.clone(),
        what: request.why(),
        since: Some(request.created_at),
        due: request.next_attempt_at,
        takes_down: Vec::new(),
        answer: None,
    }
}

/// A key or an answer that doesn't come is an agent that doesn't come: wake it.
fn waits_for_agent(agent: Agent, requests: &[&Request], now: DateTime<Utc>) -> Finding {
    let any_key = requests.iter().any(|it| it.waiting_on == Some(WaitingOn::Key));
    let thing = if any_key {
        "key and CSR"
    } else {
        "answer to the CA's challenge"
    };
    Finding {
        kind: FindingKind::RequestStuck,
        severity: Severity::Warning,
        risk: risk(&stuck_facts(false, requests.len(), now), now),
        entity: EntityKind::Agent,
        entity_id: agent.id,
        version: agent.version,
        subject: agent.hostname,
        what: format!("{} for its {thing}", waits(requests.len())),
        since: requests.iter().map(|request| request.created_at).min(),
        due: None,
        takes_down: requests
            .iter()
            .map(|request| request.common_name.clone())
            .collect(),
        answer: Some("checkin".to_owned()),
    }
}

fn stuck_facts(renewal_failing: bool, n: usize, now: DateTime<Utc>) -> RiskFacts {
    RiskFacts {
        due: Some(now + Duration::days(5)),
        renewal_failing,
        n_hosts: i64::try_from(n).unwrap_or(i64::MAX),
        ..RiskFacts::default()
    }
}

fn waits(n: usize) -> String {
    if n == 1 {
        "1 request waits".to_owned()
    } else {
        format!("{n} requests wait")
    }
}

fn unconfirmed(it: facts::Unconfirmed, now: DateTime<Utc>) -> Finding {
    let facts = RiskFacts {
        due: Some(now + Duration::hours(1)),
        n_hosts: 1,
        ..RiskFacts::default()
    };
    let why = it
        .paused_reason
        .as_ref()
        .or(it.error.as_ref())
        .map_or(String::new(), |why| format!(": {why}"));
    let is_sealed = it
        .paused_reason
        .as_ref()
        .is_some_and(|reason| reason.to_lowercase().contains("sealed"));
    Finding {
        kind: FindingKind::RevocationPending,
        severity: Severity::Critical,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: it.certificate_id,
        version: it.version,
        subject: name(&it.subject),
        what: format!("its revocation is not confirmed by the CA{why}"),
        since: Some(it.asked_at),
        due: None,
        takes_down: Vec::new(),
        // What is under way goes on by itself, once its cause is mended.
        answer: match (is_sealed, it.queued) {
            (true, _) => Some("unseal".to_owned()),
            (false, true) => None,
            (false, false) => Some("revoke".to_owned()),
        },
    }
}

/// The thing to act on is one of the certificates; with a fresh key for it there is one less.
async fn shared(conn: &mut Conn, it: facts::SharedKey, now: DateTime<Utc>) -> Result<Finding, StoreError> {
    let facts = RiskFacts {
        due: Some(now + Duration::days(20)),
        n_hosts: it.n_certificates,
        ..RiskFacts::default()
    };
    let certificate = certificates::existing(conn, &it.certificate_id).await?;
    let others = certificates::by_spki(conn, &it.spki_sha256).await?;
    let n = usize::try_from(it.n_certificates).unwrap_or(0);
    Ok(Finding {
        kind: FindingKind::SharedKey,
        severity: Severity::Notice,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        subject: certificate.name().to_owned(),
        entity_id: certificate.id,
        version: certificate.version,
        what: format!("its key is in {}", counted(n, "certificate")),
        since: Some(it.since),
        due: None,
        takes_down: others.iter().map(|it| it.name().to_owned()).collect(),
        answer: Some("reissue".to_owned()),
    })
}

fn name(subject: &str) -> String {
    common_name(subject).unwrap_or(subject).to_owned()
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}
