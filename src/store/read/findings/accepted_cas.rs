//! CAs that an operator accepted at an adapter: for some days others see that, and can take it back.

use chrono::{DateTime, Duration, Utc};

use super::words::counted;
use super::words::number;
use crate::domain::adapter::{Adapter, Ca};
use crate::domain::finding::{Finding, FindingKind, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::told::quoted;
use crate::domain::{matter, moment};

/// So long it is told.
const TOLD: Duration = Duration::days(7);

/// The findings about one adapter.
pub(super) fn accepted(adapter: &Adapter, now: DateTime<Utc>) -> impl Iterator<Item = Finding> {
    adapter.cas.iter().filter_map(move |ca| {
        let at = ca.accepted_at.filter(|at| now - *at < TOLD)?;
        Some(one(adapter, ca, at, now))
    })
}

fn one(adapter: &Adapter, ca: &Ca, at: DateTime<Utc>, now: DateTime<Utc>) -> Finding {
    Finding {
        kind: FindingKind::CaAccepted,
        severity: Severity::Notice,
        risk: risk(&RiskFacts::default(), now),
        entity: EntityKind::Adapter,
        entity_id: adapter.id.clone(),
        version: adapter.version,
        what: format!(
            "{}'s signatures may come from another CA, which was accepted {}; {}. If that was wrong: \
             `POST /api/v1/adapters/{}/dismiss-ca` with its `spki_sha256`, {}. It calls itself {}",
            adapter.name,
            moment::short(at, now),
            match number(adapter.cas.len()) {
                1 => "it is the only one that counts".to_owned(),
                n => format!("{} count", counted(n, "CA")),
            },
            adapter.id,
            ca.spki_sha256,
            quoted(&ca.subject)
        ),
        subject: adapter.name.clone(),
        host: None,
        agent: None,
        matter: matter::ANOTHER_CA.to_owned(),
        since: Some(at),
        due: None,
        takes_down: Vec::new(),
        n_takes_down: 0,
        answer: None,
        answer_for: Vec::new(),
        under_way: false,
    }
}
