//! Certificates of a leaked key that nobody had revoked, once they are in use nowhere: their hosts have new ones, and
//! whoever has the key can still show these.

use chrono::{DateTime, Utc};

use super::Found;
use super::words::{counted, name, number};
use crate::domain::finding::{AnswerFor, Finding, FindingKind, NAMED, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::store::findings::{self as facts, Unrevoked};
use crate::store::{Conn, StoreError};

/// One finding a key.
pub(super) async fn unrevoked(
    conn: &mut Conn,
    now: DateTime<Utc>,
    found: &mut Found,
) -> Result<(), StoreError> {
    let all = facts::unrevoked_of_leaked_keys(conn).await?;
    for of_key in all.chunk_by(|a, b| a.spki_sha256 == b.spki_sha256) {
        found.extend(one(of_key, now));
    }
    Ok(())
}

/// The finding about the certificates of one key.
pub(super) fn one(all: &[Unrevoked], now: DateTime<Utc>) -> Option<Finding> {
    let first = all.first()?;
    let n = number(all.len());
    let subject = name(&first.subject);
    let facts = RiskFacts {
        due: Some(now),
        n_hosts: 1,
        ..RiskFacts::default()
    };
    let arent = match n {
        1 => "isn't",
        _ => "aren't",
    };
    let mut names: Vec<String> = all.iter().map(|it| name(&it.subject)).collect();
    names.dedup();
    Some(Finding {
        kind: FindingKind::CompromisedNotRevoked,
        severity: Severity::Critical,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        entity_id: first.certificate_id.clone(),
        version: first.version,
        what: format!(
            "{subject}'s old key is compromised, and {} of it {arent} revoked: in use nowhere, and good for whoever \
             has the key",
            counted(n, "certificate")
        ),
        subject,
        host: None,
        agent: None,
        matter: matter::unrevoked(n),
        since: first.compromised_at,
        due: first.compromised_at,
        n_takes_down: number(names.len()),
        takes_down: names.into_iter().take(NAMED).collect(),
        answer: Some("revoke".to_owned()),
        answer_for: all.iter().take(NAMED).map(answer_for).collect(),
        under_way: false,
    })
}

fn answer_for(it: &Unrevoked) -> AnswerFor {
    AnswerFor {
        id: it.certificate_id.clone(),
        version: it.version,
        name: name(&it.subject),
    }
}
