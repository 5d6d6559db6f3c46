//! Facts into what needs a person, ranked. Nothing is stored, so what is cured is gone.

mod requests;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};

use super::renewal_asked::asked_for;
use crate::domain::certificate::{Certificate, CertificateStatus, Urgency, common_name, urgency};
use crate::domain::finding::{Finding, FindingKind, LeftOut, NAMED, RiskFacts, Severity, rank, risk};
use crate::domain::id::EntityKind;
use crate::domain::key::KeyStatus;
use crate::domain::matter;
use crate::store::findings::{
    self as facts, Blocked, Expected, Foremost, InUse, OnAgent, Silent, Unconfirmed,
};
use crate::store::{Conn, StoreError, certificates};
use crate::wire::health::Findings;

/// So long before its end a certificate in use is worth knowing of.
const HORIZON_D: i64 = 30;
/// So long an installation, a request or a revocation may take without anybody having to look.
const PATIENCE_S: i64 = 60;

/// What is found, and how much of it isn't told one by one.
#[derive(Default)]
struct Found(Findings);

impl Found {
    fn push(&mut self, finding: Finding) {
        self.0.findings.push(finding);
    }

    fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.findings.extend(findings);
    }

    /// The rows of `foremost`; what is left out of it is counted as of this kind.
    fn rows<T>(&mut self, kind: FindingKind, foremost: Foremost<T>) -> Vec<T> {
        if foremost.more != LeftOut::default() {
            let more = self.0.more.entry(kind).or_default();
            more.warning += foremost.more.warning;
            more.notice += foremost.more.notice;
        }
        foremost.rows
    }
}

/// The findings, the worst first: all that is critical, the most urgent of the others, and how many more there are.
///
/// # Errors
/// The database doesn't answer.
pub async fn findings(conn: &mut Conn) -> Result<Findings, StoreError> {
    let now = conn.now();
    let [soon, week, horizon] = [1, 7, HORIZON_D].map(|days| now + Duration::days(days));
    let since = now - Duration::seconds(PATIENCE_S);
    let mut found = Found::default();
    let mut in_trouble = facts::compromised_in_use(conn).await?;
    in_trouble.extend(facts::revoked_in_use(conn).await?);
    in_trouble.extend(facts::ends_or_is_wanted_now(conn, soon).await?);
    let suggested = facts::renewals_suggested(conn, soon, week).await?;
    in_trouble.extend(found.rows(FindingKind::RenewalAsked, suggested));
    let ending = facts::ending_in_use(conn, [soon, week, horizon]).await?;
    in_trouble.extend(found.rows(FindingKind::ExpiringInUse, ending));
    certificates_in_use(&in_trouble, now, &mut found);

    let at = Expected { now, since };
    let at_odds = facts::installations_at_odds(conn, at).await?;
    let in_doubt = facts::installations_in_doubt(conn, at).await?;
    let in_doubt = found.rows(FindingKind::NotServed, in_doubt);
    installations(at_odds.iter().chain(&in_doubt), now, &mut found);

    silent_agents(conn, now, &mut found).await?;
    // What failed to be renewed and is told as such needs no second line.
    let told = in_trouble.iter().filter(|it| it.renewal_failing);
    let told: BTreeSet<&str> = told.map(|it| it.certificate_id.as_str()).collect();
    requests::failed(conn, now, &told, &mut found).await?;
    let (revocations, own) = Waiting::of(facts::unconfirmed_revocations(conn, now).await?);
    let has_issuer = workers::gone(conn, since, &revocations, &mut found).await?;
    requests::waiting(conn, now, since, has_issuer, &revocations, &mut found).await?;
    // Without an issuer none goes on, and that is told once.
    let is_told = |it: &Unconfirmed| it.queued && !has_issuer;
    for it in own.into_iter().filter(|it| it.asked_at < since && !is_told(it)) {
        found.push(unconfirmed(it, now));
    }
    let several = facts::shared_keys(conn).await?;
    for it in found.rows(FindingKind::SharedKey, several) {
        found.push(shared(conn, it, now).await?);
    }
    rank(&mut found.0.findings);
    Ok(found.0)
}

/// Revocations that go on by themselves once their CA can be asked: they are told with what they wait for.
#[derive(Default)]
struct Waiting {
    /// By the adapter that is paused.
    for_adapter: BTreeMap<String, Vec<String>>,
    /// Those that wait for no adapter.
    for_issuer: Vec<String>,
}

impl Waiting {
    /// Those, and the others, which are findings of their own where there is an issuer.
    fn of(all: Vec<Unconfirmed>) -> (Self, Vec<Unconfirmed>) {
        let (mut waiting, mut own) = (Self::default(), Vec::new());
        for it in all {
            match (&it.adapter_id, &it.paused_reason) {
                (Some(adapter), Some(_)) if it.queued => {
                    let names = waiting.for_adapter.entry(adapter.clone()).or_default();
                    names.push(name(&it.subject));
                }
                _ => {
                    if it.queued {
                        waiting.for_issuer.push(name(&it.subject));
                    }
                    own.push(it);
                }
            }
        }
        (waiting, own)
    }
}

/// Requests and revocations that wait, in words: `2 requests and 1 revocation waiting`.
fn count_waiting(n_requests: i64, n_revocations: usize) -> String {
    let n_revocations = number(n_revocations);
    match (n_requests, n_revocations) {
        (_, 0) => format!("{} waiting", counted(n_requests, "request")),
        (0, _) => format!("{} waiting", counted(n_revocations, "revocation")),
        _ => format!(
            "{} and {} waiting",
            counted(n_requests, "request"),
            counted(n_revocations, "revocation")
        ),
    }
}

/// These too wait for what the requests in `blocked` wait for.
fn with_revocations(mut blocked: Blocked, revocations: &[String]) -> Blocked {
    blocked.n += number(revocations.len());
    let room = NAMED.saturating_sub(blocked.names.len());
    blocked.names.extend(revocations.iter().take(room).cloned());
    blocked
}

/// One finding a certificate and kind, however many hosts it is on.
fn certificates_in_use(in_trouble: &[InUse], now: DateTime<Utc>, found: &mut Found) {
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
    let hosts = counted(number(places.len()), "host");
    let failing = match (first.renewal_failing, &first.renewal_error) {
        (true, Some(why)) => format!(", and its renewal failed: {}", short(why)),
        (true, None) => ", and its renewal failed".to_owned(),
        (false, _) => String::new(),
    };
    let left = urgency(first.not_after, now);
    let name = name(&first.subject);
    let (kind, matter, severity, what, since, due, facts) = if first.key_status == KeyStatus::Compromised {
        let what = format!("{name}'s key is compromised and in use on {hosts}");
        let since = first.compromised_at;
        (
            FindingKind::CompromisedKeyInUse,
            matter::KEY_LEAKED,
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
        let what = format!("{name} is revoked{reason} and still in use on {hosts}");
        let since = first.revocation_asked_at;
        (
            FindingKind::RevokedInUse,
            matter::REVOKED_SERVED,
            Severity::Critical,
            what,
            since,
            since,
            urgent,
        )
    } else if left == Urgency::Expired {
        let what = format!("{name} has expired and is in use on {hosts}");
        let since = Some(first.not_after);
        (
            FindingKind::ExpiredInUse,
            matter::EXPIRED,
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
            matter::CA_ASKS,
            asked.severity,
            format!("{}; in use on {hosts}{failing}{}", asked.what, asked.why()),
            Some(asked.window.start),
            Some(by),
            facts,
        )
    } else {
        let severity = Severity::of_end(left);
        let what = format!("{name} expires and is in use on {hosts}{failing}");
        (
            FindingKind::ExpiringInUse,
            ends(&facts),
            severity,
            what,
            None,
            Some(first.not_after),
            facts,
        )
    };
    let hosts: BTreeSet<&str> = places.iter().map(|it| it.hostname.as_str()).collect();
    Some(Finding {
        kind,
        severity,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: first.certificate_id.clone(),
        version: first.certificate_version,
        subject: name,
        host: hosts.first().map(|&host| host.to_owned()),
        agent: None,
        matter: matter.to_owned(),
        what,
        since,
        due,
        takes_down: hosts.iter().take(NAMED).map(|&host| host.to_owned()).collect(),
        n_takes_down: number(hosts.len()),
        answer: Some("reissue".to_owned()),
    })
}

fn ends(facts: &RiskFacts) -> &'static str {
    match (facts.renewal_failing, facts.agent_silent) {
        (true, _) => matter::RENEWAL_FAILED,
        (false, true) => matter::ENDS_NO_AGENT,
        (false, false) => matter::ENDS,
    }
}

/// One finding a certificate, of the worst of its places.
fn installations<'a>(in_trouble: impl Iterator<Item = &'a InUse>, now: DateTime<Utc>, found: &mut Found) {
    let mut by_certificate: BTreeMap<&str, Finding> = BTreeMap::new();
    for it in in_trouble {
        let finding = installation(it, now);
        match by_certificate.get_mut(it.certificate_id.as_str()) {
            Some(known) => {
                known.n_takes_down += 1;
                let is_named = known.takes_down.contains(&it.hostname);
                if !is_named && known.takes_down.len() < NAMED {
                    known.takes_down.push(it.hostname.clone());
                }
            }
            None => {
                by_certificate.insert(&it.certificate_id, finding);
            }
        }
    }
    found.extend(by_certificate.into_values());
}

/// The three truths disagree.
fn installation(it: &InUse, now: DateTime<Utc>) -> Finding {
    let is_expected = |found: &Option<String>| found.as_deref() == Some(it.expected_sha256.as_str());
    let failed = it.install_failed;
    let unread = it.report_error.as_deref().filter(|why| is_unread(why));
    let unread = unread.filter(|_| it.on_disk_sha256.is_none() && !it.never_there);
    if let Some(why) = unread {
        return unreadable(it, why, now);
    }
    let (severity, matter, what) = match (&it.on_disk_sha256, &it.served_sha256) {
        _ if it.never_there => (
            Severity::Warning,
            matter::INSTALL_FAILED,
            " could not be installed, no set was there before",
        ),
        (None, _) if failed => (
            Severity::Critical,
            matter::INSTALL_FAILED,
            " could not be installed, and nothing is on disk",
        ),
        (None, _) => (
            Severity::Critical,
            matter::NOT_ON_DISK,
            " is expected, and nothing is on disk",
        ),
        (Some(_), _) if !is_expected(&it.on_disk_sha256) && failed => (
            Severity::Critical,
            matter::INSTALL_FAILED,
            " could not be installed, and another certificate is on disk",
        ),
        (Some(_), _) if !is_expected(&it.on_disk_sha256) => (
            Severity::Critical,
            matter::OTHER_ON_DISK,
            " is expected, and another certificate is on disk",
        ),
        (Some(_), Some(_)) if !is_expected(&it.served_sha256) => (
            Severity::Critical,
            matter::OLD_ONE_SERVED,
            " is renewed on disk, the old one is still served",
        ),
        (Some(_), None) if it.tls_address.is_some() => (
            Severity::Warning,
            matter::NOT_SERVED,
            " is on disk as expected, but no handshake shows it",
        ),
        _ if it.chain_missing.is_some() && !failed => (
            Severity::Warning,
            matter::CHAIN_INCOMPLETE,
            " is served without an issuer that clients need: those that have only the root refuse it",
        ),
        _ => (
            Severity::Warning,
            matter::INSTALL_FAILED,
            "'s last installation was rolled back",
        ),
    };
    let name = name(&it.subject);
    let is_chain = matter == matter::CHAIN_INCOMPLETE;
    let missing = it.chain_missing.as_ref().filter(|_| is_chain);
    let missing = missing.map(|name| format!("{name} is not sent"));
    let said = it
        .error
        .as_ref()
        .or(missing.as_ref())
        .map_or(String::new(), |error| format!(": {}", short(error)));
    let facts = RiskFacts {
        due: Some(if severity == Severity::Critical {
            now + Duration::hours(1)
        } else {
            it.not_after
        }),
        renewal_failing: failed,
        agent_silent: it.agent_silent(now),
        served: it.served_sha256.is_some(),
        n_hosts: 1,
    };
    Finding {
        kind: match is_chain {
            true => FindingKind::ChainIncomplete,
            false => FindingKind::NotServed,
        },
        severity,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: it.certificate_id.clone(),
        version: it.certificate_version,
        what: format!("{name}{what}, on {} at {}{said}", it.hostname, it.path),
        subject: name,
        host: Some(it.hostname.clone()),
        agent: Some(it.agent_id.clone()),
        matter: matter.to_owned(),
        since: Some(it.updated_at),
        // The end of what is expected says nothing of what is there instead.
        due: (severity != Severity::Critical).then_some(it.not_after),
        takes_down: vec![it.hostname.clone()],
        n_takes_down: 1,
        answer: Some("install".to_owned()),
    }
}

/// Whether an agent's words say that something is at a path and can't be read; they begin with why.
fn is_unread(why: &str) -> bool {
    !why.starts_with("nothing is at ") && !why.starts_with("the agent knows of nothing")
}

/// Something is at the path that holds no certificate, or none that the agent can read. What is served is another
/// matter: a server keeps what it has loaded.
fn unreadable(it: &InUse, why: &str, now: DateTime<Utc>) -> Finding {
    let name = name(&it.subject);
    let is_served = it.served_sha256.as_deref() == Some(it.expected_sha256.as_str());
    let served = match &it.served_sha256 {
        Some(_) if is_served => "the certificate is still served, until the next reload",
        Some(_) => "another certificate is served",
        None => "what is served isn't known",
    };
    let holds = match why
        .split_once("it is a ")
        .and_then(|(_, is)| is.split_once(", not a plain file"))
    {
        Some((is, _)) => format!("{name}'s path holds no plain file (it is a {is})"),
        None => format!("{name}'s file can't be read ({})", short(why)),
    };
    let failed = match it.install_failed {
        true => "; the last installation failed",
        false => "",
    };
    let severity = match is_served {
        true => Severity::Warning,
        false => Severity::Critical,
    };
    let facts = RiskFacts {
        due: Some(now + Duration::hours(1)),
        agent_silent: it.agent_silent(now),
        served: is_served,
        n_hosts: 1,
        ..RiskFacts::default()
    };
    Finding {
        kind: FindingKind::NotServed,
        severity,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: it.certificate_id.clone(),
        version: it.certificate_version,
        what: format!("{holds}; {served}{failed}, on {} at {}", it.hostname, it.path),
        subject: name,
        host: Some(it.hostname.clone()),
        agent: Some(it.agent_id.clone()),
        matter: matter::NOT_READABLE.to_owned(),
        since: Some(it.updated_at),
        due: None,
        takes_down: vec![it.hostname.clone()],
        n_takes_down: 1,
        answer: Some("checkin".to_owned()),
    }
}

async fn silent_agents(conn: &mut Conn, now: DateTime<Utc>, found: &mut Found) -> Result<(), StoreError> {
    let agents = facts::silent_agents(conn).await?;
    let agents = found.rows(FindingKind::AgentSilent, agents);
    let mut on = facts::on_agents(conn, &agents).await?;
    for agent in agents {
        let on = on.remove(&agent.id).unwrap_or_default();
        found.push(silent(agent, &on, now));
    }
    Ok(())
}

fn silent(agent: Silent, on: &OnAgent, now: DateTime<Utc>) -> Finding {
    let facts = RiskFacts {
        due: Some(now + Duration::days(2)),
        agent_silent: true,
        served: agent.tls_address.is_some(),
        n_hosts: 1,
        ..RiskFacts::default()
    };
    let host = &agent.hostname;
    let (matter, what) = match agent.last_checkin {
        Some(_) => (
            matter::silent(on.n),
            format!(
                "{host} stopped checking in; {} on it can't be renewed",
                counted(on.n, "certificate")
            ),
        ),
        None => (
            matter::NEVER_CAME.to_owned(),
            format!("{host} enrolled, but never checked in"),
        ),
    };
    Finding {
        kind: FindingKind::AgentSilent,
        severity: Severity::Warning,
        risk: risk(&facts, now),
        entity: EntityKind::Agent,
        entity_id: agent.id,
        version: agent.version,
        subject: agent.hostname,
        host: None,
        agent: None,
        matter,
        what,
        since: agent.last_checkin.or(Some(agent.enrolled_at)),
        due: None,
        takes_down: on.subjects.iter().map(|subject| name(subject)).collect(),
        n_takes_down: on.n,
        answer: Some("checkin".to_owned()),
    }
}

fn unconfirmed(it: Unconfirmed, now: DateTime<Utc>) -> Finding {
    let name = name(&it.subject);
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
        what: format!("{name}'s revocation is not confirmed by the CA{why}"),
        subject: name,
        host: None,
        agent: None,
        matter: matter::NOT_CONFIRMED.to_owned(),
        since: Some(it.asked_at),
        due: None,
        takes_down: Vec::new(),
        n_takes_down: 0,
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
    let certificate = certificates::existing(conn, &it.certificate_id).await?;
    let all = certificates::by_spki(conn, &it.spki_sha256).await?;
    let names: Vec<String> = all.iter().map(|it| it.name().to_owned()).collect();
    Ok(shares(&it, &certificate, names, now))
}

fn shares(
    it: &facts::SharedKey,
    certificate: &Certificate,
    names: Vec<String>,
    now: DateTime<Utc>,
) -> Finding {
    let facts = RiskFacts {
        due: Some(now + Duration::days(20)),
        n_hosts: it.n_certificates,
        ..RiskFacts::default()
    };
    Finding {
        kind: FindingKind::SharedKey,
        severity: Severity::Notice,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        subject: certificate.name().to_owned(),
        entity_id: certificate.id.clone(),
        version: certificate.version,
        host: None,
        agent: None,
        matter: matter::shared(it.n_certificates),
        what: format!(
            "{}'s key is in {}",
            certificate.name(),
            counted(it.n_certificates, "certificate")
        ),
        since: Some(it.since),
        due: None,
        n_takes_down: number(names.len()),
        takes_down: names.into_iter().take(NAMED).collect(),
        answer: Some("reissue".to_owned()),
    }
}

pub(super) fn name(subject: &str) -> String {
    common_name(subject).unwrap_or(subject).to_owned()
}

/// What others say goes into a finding by its beginning.
fn short(words: &str) -> String {
    match words.char_indices().nth(SAID) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None => words.to_owned(),
    }
}

/// Letters that a finding quotes of what a CA, a reload command or an agent said.
const SAID: usize = 300;

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn counted(n: i64, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}
