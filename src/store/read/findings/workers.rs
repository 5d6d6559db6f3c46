//! Duties that nobody is at: no issuer, no scheduler.

use chrono::{DateTime, Utc};

use super::Found;
use super::waiting::{Waiting, count_waiting, with_revocations};
use super::words::number;
use crate::domain::finding::{ABOVE_FACTS, Finding, FindingKind, Severity};
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::domain::worker::Duty;
use crate::store::findings::{self as facts, Blocked};
use crate::store::workers::{self, Gone};
use crate::store::{Conn, StoreError};

/// Tells of duties that nobody is at; returns whether somebody is an issuer.
pub(super) async fn gone(
    conn: &mut Conn,
    before: DateTime<Utc>,
    revocations: &Waiting,
    found: &mut Found,
) -> Result<bool, StoreError> {
    let mut has_issuer = true;
    for it in workers::gone(conn).await? {
        let (waiting, revocations) = match it.duty {
            Duty::Issuer => {
                has_issuer = false;
                let waiting = facts::waiting_for_issuer(conn, before).await?;
                (waiting, revocations.for_issuer.as_slice())
            }
            Duty::Scheduler => (Blocked::default(), [].as_slice()),
        };
        found.push(finding(&it, waiting, revocations));
    }
    Ok(has_issuer)
}

pub(super) fn finding(it: &Gone, waiting: Blocked, revocations: &[String]) -> Finding {
    let duty = it.duty.word();
    let waits = match waiting.n + number(revocations.len()) {
        0 => String::new(),
        _ => format!("{}; ", count_waiting(waiting.n, revocations.len())),
    };
    let waiting = with_revocations(waiting, revocations);
    let subject = match it.duty {
        Duty::Issuer => "Issuer",
        Duty::Scheduler => "Scheduler",
    };
    Finding {
        kind: FindingKind::NobodyWorks,
        severity: Severity::Critical,
        risk: ABOVE_FACTS,
        entity: EntityKind::Service,
        entity_id: duty.to_owned(),
        version: 0,
        subject: subject.to_owned(),
        host: None,
        agent: None,
        matter: matter::NOBODY_LOOKS.to_owned(),
        what: format!("The {duty} is missing: {waits}{}", it.words()),
        since: it.seen_at,
        due: None,
        takes_down: waiting.names,
        n_takes_down: waiting.n,
        answer: None,
        answer_for: Vec::new(),
        under_way: false,
    }
}
