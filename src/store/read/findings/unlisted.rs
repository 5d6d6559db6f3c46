//! Revocations that a CA confirmed, and that its CRL doesn't hold though it should by now.

use chrono::{DateTime, Utc};

use super::words::{name, number};
use crate::domain::finding::{AnswerFor, Finding, FindingKind, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::{matter, moment};
use crate::store::findings::Unlisted;

/// One finding a CA: the oldest of `n`, which stands for the first ones of them.
pub(super) fn one(adapter: &str, first: &[Unlisted], n: i64, now: DateTime<Utc>) -> Option<Finding> {
    let oldest = first.first()?;
    let subject = name(&oldest.subject);
    let facts = RiskFacts {
        due: Some(now),
        n_hosts: n,
        ..RiskFacts::default()
    };
    let others = match n - 1 {
        0 => String::new(),
        others => format!(", and {others} more"),
    };
    let accepted = oldest.accepted_at.unwrap_or(oldest.in_crl_by);
    let again = match oldest.again_at {
        Some(at) if at <= now => format!("due since {}", moment::short(at, now)),
        Some(at) => format!("next {}", moment::short(at, now)),
        None => "with its next look".to_owned(),
    };
    let (missed, next) = match &oldest.fell_out {
        Some((seen, list)) => (
            format!(
                "was in the CRL {}, and {list} doesn't hold serial {} any more{others}",
                moment::short(*seen, now),
                oldest.serial
            ),
            "Look for the serial in the CRL at the CA itself: either the CA was put back to an earlier day, or somebody \
             before it shows an old list",
        ),
        None => (
            format!(
                "was seen in no CRL{others}: {adapter} accepted it {}, and was to list serial {} by {}",
                moment::short(accepted, now),
                oldest.serial,
                moment::short(oldest.in_crl_by, now)
            ),
            "Look for the serial in the CRL at the CA itself: if it isn't there, somebody before the CA keeps \
             revocations from it",
        ),
    };
    let names: Vec<String> = first.iter().map(|it| name(&it.subject)).collect();
    Some(Finding {
        kind: FindingKind::RevocationNotListed,
        severity: Severity::Critical,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: oldest.certificate_id.clone(),
        version: oldest.version,
        what: format!("{subject}'s revocation {missed}. The issuer asks again by itself, {again}. {next}"),
        subject,
        host: None,
        agent: None,
        matter: matter::NOT_LISTED.to_owned(),
        since: oldest.accepted_at,
        due: Some(oldest.in_crl_by),
        n_takes_down: n.max(number(names.len())),
        takes_down: names,
        answer: Some("revoke".to_owned()),
        answer_for: first.iter().map(answer_for).collect(),
        under_way: false,
    })
}

fn answer_for(it: &Unlisted) -> AnswerFor {
    AnswerFor {
        id: it.certificate_id.clone(),
        version: it.version,
        name: name(&it.subject),
    }
}
