//! Certificates in use that are revoked, over, about to be, wanted back by their CA, or of a leaked key.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Found;
use super::renewal_asked::asked_for;
use super::words::{as_reported, counted, name, number, said};
use crate::domain::certificate::{CertificateStatus, Urgency, urgency};
use crate::domain::finding::{AnswerFor, Finding, FindingKind, NAMED, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::key::KeyStatus;
use crate::domain::matter;
use crate::store::findings::{InUse, Instead};

/// One finding a certificate and kind, however many hosts it is on.
pub(super) fn certificates(in_trouble: &[InUse], now: DateTime<Utc>, found: &mut Found) {
    let mut by_certificate: BTreeMap<&str, Vec<&InUse>> = BTreeMap::new();
    for it in in_trouble {
        by_certificate.entry(&it.certificate_id).or_default().push(it);
    }
    for places in by_certificate.values() {
        found.extend(in_use(places, now));
    }
}

/// The finding about the one certificate that is at `places`.
pub(super) fn in_use(places: &[&InUse], now: DateTime<Utc>) -> Option<Finding> {
    let first = *places.first()?;
    let trouble = trouble(first, places, now);
    let hosts: BTreeSet<&str> = places.iter().map(|it| it.hostname.as_str()).collect();
    let answer = answer(places);
    // One that is expected nowhere is never reissued; what belongs in its places is on its way, or isn't.
    let under_way = match &answer {
        Answer::ForItself => first.is_being_reissued(),
        Answer::OnItsWay(_) | Answer::For(..) | Answer::Barred => false,
    };
    // Findings about an end that only comes say already where an agent is silent.
    let reported = match trouble.kind {
        FindingKind::ExpiringInUse | FindingKind::RenewalAsked => String::new(),
        _ => as_reported(places, now),
    };
    let said = format!("{}{}{}{reported}", trouble.what, banned(places), no_token(places));
    let can_be_revoked = first.key_status == KeyStatus::Compromised
        && matches!(first.status, CertificateStatus::Active | CertificateStatus::Held)
        && first.not_after > now;
    let what = match &answer {
        Answer::Barred if can_be_revoked => {
            let these: Vec<&str> = hosts.iter().copied().collect();
            let is = if these.len() == 1 { "is" } else { "are" };
            let named = these.get(..2).filter(|_| these.len() > 2).map_or_else(
                || these.join(" and "),
                |two| format!("{} and {} more", two.join(", "), these.len() - 2),
            );
            format!(
                "{}, and it can't be reissued while {named} {is} banned",
                trouble.what
            )
        }
        Answer::OnItsWay(how) => format!("{said}, and that one {how}"),
        _ if under_way => format!("{said}, and its reissue is under way"),
        _ => said,
    };
    // Things on their way come when the agent does, and that one can be asked to.
    let awaited = match under_way || matches!(answer, Answer::OnItsWay(_)) {
        true => places.iter().find(|it| it.agent_may_be_woken(now)),
        false => None,
    };
    let (answer, answer_for) = match answer {
        _ if awaited.is_some() => (Some("checkin".to_owned()), Vec::new()),
        // It comes once somebody has enrolled the agent again, which no key does.
        Answer::ForItself if under_way && places.iter().any(|it| it.agent_lacks_token()) => {
            (None, Vec::new())
        }
        Answer::ForItself => (Some("reissue".to_owned()), Vec::new()),
        // A certificate that can't be replaced can still be taken back.
        Answer::Barred if can_be_revoked => (Some("revoke".to_owned()), Vec::new()),
        Answer::OnItsWay(_) | Answer::Barred => (None, Vec::new()),
        Answer::For(action, these) => (Some(action.to_owned()), these),
    };
    Some(Finding {
        kind: trouble.kind,
        severity: trouble.severity,
        risk: risk(&trouble.risk, now),
        entity: EntityKind::Certificate,
        entity_id: first.certificate_id.clone(),
        version: first.certificate_version,
        subject: name(&first.subject),
        host: awaited
            .map(|it| it.hostname.as_str())
            .or_else(|| hosts.first().copied())
            .map(str::to_owned),
        agent: awaited.map(|it| it.agent_id.clone()),
        matter: trouble.matter.to_owned(),
        what,
        since: trouble.since,
        due: trouble.due,
        takes_down: hosts.iter().take(NAMED).map(|&host| host.to_owned()).collect(),
        n_takes_down: number(hosts.len()),
        answer,
        answer_for,
        under_way,
    })
}

/// The help for the places of a certificate in trouble.
enum Answer {
    /// A new one of it.
    ForItself,
    /// Nothing is left to ask for: what belongs in its places is on its way there, in these words.
    OnItsWay(&'static str),
    /// Nothing that reaches the host: all of its places are on banned agents, and the ban is a finding of its own.
    Barred,
    /// This action on what belongs in its places.
    For(&'static str, Vec<AnswerFor>),
}

/// Answer for these places. Where it isn't expected, the host needs what belongs there: installed, or made anew where
/// that is no good either.
fn answer(places: &[&InUse]) -> Answer {
    let places: Vec<&InUse> = places.iter().copied().filter(|it| !it.agent_banned).collect();
    if places.is_empty() {
        return Answer::Barred;
    }
    if places.iter().any(|it| it.is_expected) {
        return Answer::ForItself;
    }
    let instead = places.iter().filter_map(|it| it.instead.as_ref());
    let to_install = instead.clone().filter(|it| it.is_good && !it.is_queued);
    let to_reissue = instead.clone().filter(|it| !it.is_good && !it.is_being_reissued);
    match (named(to_install), named(to_reissue)) {
        (good, _) if !good.is_empty() => Answer::For("install", good),
        (_, bad) if !bad.is_empty() => Answer::For("reissue", bad),
        _ if instead.clone().any(|it| it.is_good) => Answer::OnItsWay("is being installed"),
        _ => Answer::OnItsWay("is being reissued"),
    }
}

/// Each once, as many as are named.
fn named<'a>(these: impl Iterator<Item = &'a Instead>) -> Vec<AnswerFor> {
    let by_id: BTreeMap<&str, &Instead> = these.map(|it| (it.certificate_id.as_str(), it)).collect();
    let these = by_id.into_values().take(NAMED);
    let one = |it: &Instead| AnswerFor {
        id: it.certificate_id.clone(),
        version: it.version,
        name: name(&it.subject),
    };
    these.map(one).collect()
}

/// The worst that is wrong with a certificate in use.
struct Trouble {
    kind: FindingKind,
    matter: &'static str,
    severity: Severity,
    what: String,
    since: Option<DateTime<Utc>>,
    due: Option<DateTime<Utc>>,
    risk: RiskFacts,
}

fn trouble(first: &InUse, places: &[&InUse], now: DateTime<Utc>) -> Trouble {
    let facts = RiskFacts {
        due: Some(first.not_after),
        renewal_failing: first.renewal_failing,
        agent_silent: places.iter().any(|it| it.agent_banned || it.agent_silent(now)),
        served: places.iter().any(|it| it.served_sha256.is_some()),
        n_hosts: number(places.len()),
    };
    let urgent = RiskFacts {
        due: Some(now),
        ..facts
    };
    let mut hosts = counted(number(places.len()), "host");
    if !places.iter().any(|it| it.is_expected) {
        hosts.push_str(", where another one is expected");
    }
    let is_shown = places.iter().any(|it| it.is_expected || it.is_served);
    let (taken_back, is) = match (first.status, is_shown) {
        (CertificateStatus::Held, true) => (matter::HELD_SERVED, "is on hold"),
        (CertificateStatus::Held, false) => (matter::HELD_ON_DISK, "is on hold"),
        (CertificateStatus::RevocationPending, true) => (matter::REVOKING_SERVED, "is to be revoked"),
        (CertificateStatus::RevocationPending, false) => (matter::REVOKING_ON_DISK, "is to be revoked"),
        (_, true) => (matter::REVOKED_SERVED, "is revoked"),
        (_, false) => (matter::REVOKED_ON_DISK, "is revoked"),
    };
    let failing = match (first.renewal_failing, &first.renewal_error) {
        (true, Some(why)) => format!(", and its renewal failed: {}", said(why)),
        (true, None) => ", and its renewal failed".to_owned(),
        (false, _) => String::new(),
    };
    let left = urgency(first.not_after, now);
    let name = name(&first.subject);
    if first.key_status == KeyStatus::Compromised {
        let is_revoked = first.status == CertificateStatus::Revoked;
        Trouble {
            kind: FindingKind::CompromisedKeyInUse,
            matter: match is_revoked {
                true => taken_back,
                false => matter::KEY_LEAKED,
            },
            severity: Severity::Critical,
            what: match is_revoked {
                true => {
                    format!("{name} is revoked, its key is compromised, and it is still in use on {hosts}")
                }
                false => format!("{name}'s key is compromised and in use on {hosts}"),
            },
            since: first.compromised_at,
            due: first.compromised_at,
            risk: urgent,
        }
    } else if first.status != CertificateStatus::Active {
        let reason = first
            .revocation_reason
            .map_or(String::new(), |reason| format!(" ({reason})"));
        Trouble {
            kind: FindingKind::RevokedInUse,
            matter: taken_back,
            severity: Severity::Critical,
            what: format!("{name} {is}{reason} and still in use on {hosts}"),
            since: first.revocation_asked_at,
            due: first.revocation_asked_at,
            risk: urgent,
        }
    } else if left == Urgency::Expired {
        Trouble {
            kind: FindingKind::ExpiredInUse,
            matter: matter::EXPIRED,
            severity: Severity::Critical,
            what: format!("{name} has expired and is in use on {hosts}"),
            since: Some(first.not_after),
            due: Some(first.not_after),
            risk: facts,
        }
    } else if let Some(asked) = asked_for(first, now) {
        let by = asked.window.end.min(first.not_after);
        Trouble {
            kind: FindingKind::RenewalAsked,
            matter: matter::CA_ASKS,
            severity: asked.severity,
            what: format!("{}; in use on {hosts}{failing}{}", asked.what, asked.why()),
            since: Some(asked.window.start),
            due: Some(by),
            risk: match asked.severity {
                // A CA that moved the window may revoke the certificate at any time.
                Severity::Critical => urgent,
                _ => RiskFacts {
                    due: Some(by),
                    ..facts
                },
            },
        }
    } else {
        Trouble {
            kind: FindingKind::ExpiringInUse,
            matter: ends(&facts, places, now),
            severity: Severity::of_end(left),
            what: format!(
                "{name} expires and is in use on {hosts}{}{failing}",
                silent(places, now)
            ),
            since: None,
            due: Some(first.not_after),
            risk: facts,
        }
    }
}

/// Words about agents in its fixed word: wider screens, which have the sentence, say no less.
fn silent(places: &[&InUse], now: DateTime<Utc>) -> String {
    let is_silent = |it: &&&InUse| it.agent_may_be_woken(now);
    match places.iter().filter(is_silent).count() {
        0 => String::new(),
        1 if places.len() == 1 => "; its agent is silent".to_owned(),
        n if n == places.len() => "; their agents are silent".to_owned(),
        n => format!("; agent silent on {n} of them"),
    }
}

/// An agent without a token gets nothing, and can't be woken: it is a finding of its own, with the way to a new one.
fn no_token(places: &[&InUse]) -> String {
    match places.iter().filter(|it| it.agent_lacks_token()).count() {
        0 => String::new(),
        1 if places.len() == 1 => "; its agent has no token: enrol it again".to_owned(),
        n if n == places.len() => "; their agents have no token: enrol them again".to_owned(),
        n => format!("; no token for the agent on {n} of them: enrol it again"),
    }
}

/// A ban stands in the way of every answer, so each sentence tells it.
fn banned(places: &[&InUse]) -> String {
    match places.iter().filter(|it| it.agent_banned).count() {
        0 => String::new(),
        1 if places.len() == 1 => "; agent banned".to_owned(),
        n if n == places.len() => "; agents banned".to_owned(),
        n => format!("; agent banned on {n} of them"),
    }
}

fn ends(facts: &RiskFacts, places: &[&InUse], now: DateTime<Utc>) -> &'static str {
    if facts.renewal_failing {
        matter::RENEWAL_FAILED
    } else if places.iter().all(|it| it.agent_banned) {
        matter::ENDS_BANNED
    } else if places.iter().any(|it| it.agent_lacks_token()) {
        matter::ENDS_NO_TOKEN
    } else if places.iter().any(|it| it.agent_may_be_woken(now)) {
        matter::ENDS_SILENT
    } else {
        matter::ENDS
    }
}
