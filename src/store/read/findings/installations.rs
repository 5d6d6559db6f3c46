//! Places where what is expected, what is on disk and what is served are not the same.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use super::Found;
use super::unreadable::{is_unread, unreadable};
use super::words::{name, short};
use crate::domain::finding::{Finding, FindingKind, NAMED, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::store::findings::InUse;

/// One finding a certificate, of the worst of its places.
pub(super) fn at_odds<'a>(
    in_trouble: impl Iterator<Item = &'a InUse>,
    now: DateTime<Utc>,
    found: &mut Found,
) {
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
pub(super) fn installation(it: &InUse, now: DateTime<Utc>) -> Finding {
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
    let finding = AtPlace {
        kind: match is_chain {
            true => FindingKind::ChainIncomplete,
            false => FindingKind::NotServed,
        },
        severity,
        matter,
        what: format!("{name}{what}, on {} at {}{said}", it.hostname, it.path),
        // The end of what is expected says nothing of what is there instead.
        due: (severity != Severity::Critical).then_some(it.not_after),
        risk: facts,
        answer: "install",
    };
    finding.of(it, now)
}

/// The part of a finding about one place that is not the place's own.
pub(super) struct AtPlace {
    pub(super) kind: FindingKind,
    pub(super) severity: Severity,
    pub(super) matter: &'static str,
    pub(super) what: String,
    pub(super) due: Option<DateTime<Utc>>,
    pub(super) risk: RiskFacts,
    pub(super) answer: &'static str,
}

impl AtPlace {
    pub(super) fn of(self, it: &InUse, now: DateTime<Utc>) -> Finding {
        Finding {
            kind: self.kind,
            severity: self.severity,
            risk: risk(&self.risk, now),
            entity: EntityKind::Certificate,
            entity_id: it.certificate_id.clone(),
            version: it.certificate_version,
            subject: name(&it.subject),
            host: Some(it.hostname.clone()),
            agent: Some(it.agent_id.clone()),
            matter: self.matter.to_owned(),
            what: self.what,
            since: Some(it.updated_at),
            due: self.due,
            takes_down: vec![it.hostname.clone()],
            n_takes_down: 1,
            answer: Some(self.answer.to_owned()),
        }
    }
}
