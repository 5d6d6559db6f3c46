//! Duties that nobody is at: no issuer, no scheduler; and issuers whose clocks are off, who are there and claim nothing.

use chrono::{DateTime, Utc};

use super::Found;
use super::waiting::{Waiting, count_waiting, with_revocations};
use super::words::number;
use crate::domain::finding::{ABOVE_FACTS, Finding, FindingKind, Severity};
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::domain::worker::{Duty, Worker, clock_words};
use crate::store::findings::{self as facts, Blocked};
use crate::store::workers::{self, Gone};
use crate::store::{Conn, StoreError};

/// Tells of duties that nobody is at, and of issuers that claim nothing; returns whether an issuer works.
pub(super) async fn idle(
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
    let workers = workers::all(conn).await?;
    let mut issuers = workers.iter().filter(|it| it.duty == Duty::Issuer && it.is_there);
    let works = has_issuer && (issuers.clone().next().is_none() || issuers.clone().any(Worker::works));
    let waiting = match issuers.any(|it| !it.works()) {
        true if !works => facts::waiting_for_issuer(conn, before).await?,
        _ => Blocked::default(),
    };
    let off = workers.iter().filter(|it| it.is_there);
    for (it, ahead_s) in off.filter_map(|it| it.clock_ahead_s.map(|ahead_s| (it, ahead_s))) {
        found.push(match works {
            true => clock_off(it, ahead_s, None),
            false => clock_off(it, ahead_s, Some((waiting.clone(), &revocations.for_issuer))),
        });
    }
    Ok(works)
}

/// An issuer that claims nothing, since claims end by the clock; with what waits, where no other one works.
pub(super) fn clock_off(it: &Worker, ahead_s: i64, waits: Option<(Blocked, &[String])>) -> Finding {
    let clock = clock_words("its clock", ahead_s);
    let (severity, means, waiting) = match waits {
        None => (
            Severity::Warning,
            "other issuers go on".to_owned(),
            Blocked::default(),
        ),
        Some((waiting, revocations)) => {
            let nothing = "nothing is issued or revoked";
            let means = match waiting.n + number(revocations.len()) {
                0 => nothing.to_owned(),
                _ => format!("{nothing}, {}", count_waiting(waiting.n, revocations.len())),
            };
            (Severity::Critical, means, with_revocations(waiting, revocations))
        }
    };
    Finding {
        kind: FindingKind::IssuerClockOff,
        severity,
        risk: ABOVE_FACTS,
        entity: EntityKind::Service,
        entity_id: it.name.clone(),
        version: 0,
        subject: it.name.clone(),
        host: None,
        agent: None,
        matter: matter::CLOCK_OFF.to_owned(),
        what: format!(
            "{} claims nothing, since {clock}: {means}; set its host's clock and the database's by NTP, and it goes on \
             by itself",
            it.name
        ),
        since: None,
        due: None,
        takes_down: waiting.names,
        n_takes_down: waiting.n,
        answer: None,
        answer_for: Vec::new(),
        under_way: false,
    }
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
