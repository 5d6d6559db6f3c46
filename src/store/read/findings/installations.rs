//! Places where what belongs there, what is expected, what is on disk and what is served are not the same.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use super::Found;
use super::unreadable::{is_unread, unreadable};
use super::words::{as_reported, name, said};
use crate::domain::certificate::short_serial;
use crate::domain::finding::{Finding, FindingKind, NAMED, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::layout::Layout;
use crate::domain::matter;
use crate::store::findings::{InUse, Owed};

/// One finding a certificate, of the worst of its places.
pub(super) fn at_odds<'a>(
    in_trouble: impl Iterator<Item = &'a InUse>,
    now: DateTime<Utc>,
    found: &mut Found,
) {
    let mut by_certificate: BTreeMap<&str, Finding> = BTreeMap::new();
    for it in in_trouble {
        let finding = installation(it, now);
        let about = owed(it, now).map_or(&it.certificate_id, |owed| &owed.certificate_id);
        match by_certificate.get_mut(about.as_str()) {
            Some(known) => {
                // A banned agent's place has none; another place of it has.
                known.answer = known.answer.take().or(finding.answer);
                known.n_takes_down += 1;
                let is_named = known.takes_down.contains(&it.hostname);
                if !is_named && known.takes_down.len() < NAMED {
                    known.takes_down.push(it.hostname.clone());
                }
            }
            None => {
                by_certificate.insert(about, finding);
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
    if let Some(owed) = owed(it, now) {
        return could_not_be_installed(it, owed, now);
    }
    let (severity, matter, what) = match (&it.on_disk_sha256, &it.served_sha256) {
        _ if it.never_there => (
            Severity::Warning,
            matter::INSTALL_FAILED,
            " could not be installed, and nothing was there before",
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
            " is on disk, and its installation counts as failed",
        ),
    };
    let name = name(&it.subject);
    let is_chain = matter == matter::CHAIN_INCOMPLETE;
    // Its agent would write the same file again.
    let is_laid_out_so = is_chain && it.layout.is_some_and(|layout| !layout.has_chain());
    let why = match is_laid_out_so {
        true => format!(": {}", without_chain(it)),
        false => String::new(),
    };
    let said = match (&it.error, &it.chain_missing) {
        (Some(error), _) => Some(agent_says(error)),
        (None, Some(issuer)) if is_chain => Some(format!("not sent: {}", said(issuer))),
        (None, _) => None,
    };
    let facts = RiskFacts {
        due: Some(match severity {
            Severity::Critical => now + Duration::hours(1),
            // Its clients get nothing now, whenever it ends.
            _ if matter == matter::NOT_SERVED => it.not_after.min(now + Duration::days(1)),
            _ => it.not_after,
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
        what: format!("{name}{what}, on {} at {}{why}", it.hostname, it.path),
        said,
        // The end of what is expected says nothing of what is there instead.
        due: (severity != Severity::Critical).then_some(it.not_after),
        risk: facts,
        answer: (!is_laid_out_so).then_some("install"),
    };
    finding.of(it, now)
}

/// The cause that no installation mends, and what does.
fn without_chain(it: &InUse) -> String {
    let layout = it.layout.map_or("", Layout::word);
    format!(
        "`layout` of {}'s agent is `{layout}`: the file has the certificate alone. Set `layout = \"{}\"` there, start \
         the agent again and install again; or name the server its `.chain.pem` too",
        it.hostname,
        Layout::FullChain.word()
    )
}

/// The certificate that belongs there, where its installation failed and another one is expected again.
fn owed(it: &InUse, now: DateTime<Utc>) -> Option<&Owed> {
    it.owed.as_ref().filter(|owed| owed.not_after > now)
}

/// The finding is about the certificate that is missing there, until it, or a newer one, is installed: what is expected
/// meanwhile is no answer, though it is all that is there.
fn could_not_be_installed(it: &InUse, owed: &Owed, now: DateTime<Utc>) -> Finding {
    let name = name(&owed.subject);
    let is = |found: &Option<String>, one: &String| found.as_ref() == Some(one);
    let [before, new] = [&it.serial, &owed.serial].map(|serial| short_serial(serial));
    let expected = &it.expected_sha256;
    let is_silent = it.served_sha256.is_none() && it.tls_address.is_some();
    let (severity, there) = if is(&it.on_disk_sha256, &owed.sha256) {
        (
            Severity::Warning,
            format!("it is on disk, and {before} is expected"),
        )
    } else if it.on_disk_sha256.is_none() {
        (Severity::Critical, "nothing is on disk".to_owned())
    } else if !is(&it.on_disk_sha256, expected) {
        (Severity::Critical, "another certificate is on disk".to_owned())
    } else if it.served_sha256.is_some() && !is(&it.served_sha256, expected) {
        (Severity::Critical, "another certificate is served".to_owned())
    } else if is_silent {
        (
            Severity::Warning,
            format!("{before} is still in its place, but no handshake shows it"),
        )
    } else {
        (Severity::Warning, format!("{before} is still in its place"))
    };
    let finding = AtPlace {
        kind: FindingKind::NotServed,
        severity,
        matter: matter::INSTALL_FAILED,
        what: format!(
            "{name} with the serial {new} could not be installed and {there}, on {} at {}",
            it.hostname, it.path
        ),
        said: owed.error.as_deref().map(agent_says),
        // The certificate in its place is what clients see until it ends.
        due: (severity != Severity::Critical).then_some(it.not_after),
        risk: RiskFacts {
            due: Some(match severity {
                Severity::Critical => now + Duration::hours(1),
                _ if is_silent => it.not_after.min(now + Duration::days(1)),
                _ => it.not_after,
            }),
            renewal_failing: true,
            agent_silent: it.agent_silent(now),
            served: it.served_sha256.is_some(),
            n_hosts: 1,
        },
        answer: Some("install"),
    };
    Finding {
        entity_id: owed.certificate_id.clone(),
        version: owed.version,
        subject: name,
        answer_for: Vec::new(),
        under_way: false,
        ..finding.of(it, now)
    }
}

/// Reason that the agent there gives.
pub(super) fn agent_says(error: &str) -> String {
    format!("its agent says {}", said(error))
}

/// The part of a finding about one place that is not the place's own.
pub(super) struct AtPlace {
    pub(super) kind: FindingKind,
    pub(super) severity: Severity,
    pub(super) matter: &'static str,
    pub(super) what: String,
    /// Words with those of others in them: they stand last, behind all that is ours.
    pub(super) said: Option<String>,
    pub(super) due: Option<DateTime<Utc>>,
    pub(super) risk: RiskFacts,
    /// The action that mends it, if one does.
    pub(super) answer: Option<&'static str>,
}

impl AtPlace {
    pub(super) fn of(self, it: &InUse, now: DateTime<Utc>) -> Finding {
        let banned = match it.agent_banned {
            true => "; agent banned",
            false => "",
        };
        let reported = as_reported(&[it], now);
        let said = self.said.map_or(String::new(), |said| format!("; {said}"));
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
            what: format!("{}{banned}{reported}{said}", self.what),
            since: Some(it.differs_since),
            due: self.due,
            takes_down: vec![it.hostname.clone()],
            n_takes_down: 1,
            // It gets nothing, and isn't woken.
            answer: self.answer.filter(|_| !it.agent_banned).map(str::to_owned),
            answer_for: Vec::new(),
            under_way: it.is_being_reissued(),
        }
    }
}
