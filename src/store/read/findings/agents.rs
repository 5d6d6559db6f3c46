//! Agents that stopped checking in, or never did.

use chrono::{DateTime, Duration, Utc};

use super::Found;
use super::words::{counted, name};
use crate::domain::finding::{Finding, FindingKind, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::store::findings::{self as facts, OnAgent, Silent};
use crate::store::{Conn, StoreError};

pub(super) async fn silent(conn: &mut Conn, now: DateTime<Utc>, found: &mut Found) -> Result<(), StoreError> {
    let agents = facts::silent_agents(conn).await?;
    let agents = found.rows(FindingKind::AgentSilent, agents);
    let mut on = facts::on_agents(conn, &agents).await?;
    for agent in agents {
        let on = on.remove(&agent.id).unwrap_or_default();
        found.push(one_silent(agent, &on, now));
    }
    Ok(())
}

pub(super) fn one_silent(agent: Silent, on: &OnAgent, now: DateTime<Utc>) -> Finding {
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
        answer_for: Vec::new(),
        under_way: false,
    }
}
