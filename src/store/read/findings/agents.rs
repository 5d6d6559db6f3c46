//! Agents that stopped checking in, or never did, or are banned while their hosts serve.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use super::Found;
use super::words::{counted, name};
use crate::domain::finding::{Finding, FindingKind, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::store::findings::{self as facts, Banned, Blocked, OnAgent, Silent};
use crate::store::{Conn, StoreError};

pub(super) async fn silent(conn: &mut Conn, now: DateTime<Utc>, found: &mut Found) -> Result<(), StoreError> {
    let agents = facts::silent_agents(conn).await?;
    let agents = found.rows(FindingKind::AgentSilent, agents);
    let ids: Vec<&str> = agents.iter().map(|agent| agent.id.as_str()).collect();
    let mut on = facts::on_agents(conn, &ids).await?;
    let mut waiting = match agents.iter().any(|agent| agent.has_no_token) {
        true => facts::waiting_for_token(conn).await?,
        false => BTreeMap::new(),
    };
    for agent in agents {
        let on = on.remove(&agent.id).unwrap_or_default();
        let waiting = waiting.remove(&agent.id).unwrap_or_default();
        found.push(one_silent(agent, &on, &waiting, now));
    }
    Ok(())
}

/// A ban changes nothing of what the host serves, and from then on nobody renews that.
pub(super) async fn banned(conn: &mut Conn, now: DateTime<Utc>, found: &mut Found) -> Result<(), StoreError> {
    let agents = facts::banned_agents(conn).await?;
    let agents = found.rows(FindingKind::AgentBanned, agents);
    let ids: Vec<&str> = agents.iter().map(|agent| agent.id.as_str()).collect();
    let mut on = facts::on_agents(conn, &ids).await?;
    for agent in agents {
        let on = on.remove(&agent.id).unwrap_or_default();
        found.push(one_banned(agent, &on, now));
    }
    Ok(())
}

pub(super) fn one_banned(agent: Banned, on: &OnAgent, now: DateTime<Utc>) -> Finding {
    let host = &agent.hostname;
    let has = match (agent.n_served, on.n) {
        (0, n) => format!("{} on it", counted(n, "certificate")),
        (served, n) if served >= n => format!("{} served", counted(n, "certificate")),
        (served, n) => format!("{} on it, {served} served", counted(n, "certificate")),
    };
    let facts = RiskFacts {
        due: Some(now + Duration::days(2)),
        agent_silent: true,
        served: agent.n_served > 0,
        n_hosts: 1,
        ..RiskFacts::default()
    };
    Finding {
        kind: FindingKind::AgentBanned,
        severity: Severity::Warning,
        risk: risk(&facts, now),
        entity: EntityKind::Agent,
        matter: matter::banned(on.n),
        what: format!("{host} is banned, {has}: nothing is renewed or installed there"),
        entity_id: agent.id,
        version: agent.version,
        subject: agent.hostname,
        host: None,
        agent: None,
        since: Some(agent.since),
        due: None,
        takes_down: on.subjects.iter().map(|subject| name(subject)).collect(),
        n_takes_down: on.n,
        answer: Some("unban".to_owned()),
        answer_for: Vec::new(),
        under_way: false,
    }
}

/// Requests that wait for an agent which can't check in, behind that: they are told nowhere else.
fn wait_for_it(waiting: &Blocked) -> String {
    let named = match waiting.names.as_slice() {
        [] => return String::new(),
        [first, second, _, ..] => format!("{first}, {second} and {} more", waiting.n - 2),
        few => few.join(" and "),
    };
    let n = counted(waiting.n, "request");
    let wait = if waiting.n == 1 { "waits" } else { "wait" };
    format!(", and {n} {wait} for it ({named})")
}

pub(super) fn one_silent(agent: Silent, on: &OnAgent, waiting: &Blocked, now: DateTime<Utc>) -> Finding {
    let facts = RiskFacts {
        due: Some(now + Duration::days(2)),
        agent_silent: true,
        served: agent.tls_address.is_some(),
        n_hosts: 1,
        ..RiskFacts::default()
    };
    let host = &agent.hostname;
    let (matter, what) = match agent.last_checkin {
        // Unbanned, as a rule: nothing wakes it, since it would be refused.
        _ if agent.has_no_token => (
            matter::NO_TOKEN.to_owned(),
            format!(
                "{host} isn't banned, but has no token{}: enrol it again, with a one-time token \
                 (`POST /api/v1/agents/{}/token`)",
                wait_for_it(waiting),
                agent.id
            ),
        ),
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
        answer: (!agent.has_no_token).then(|| "checkin".to_owned()),
        answer_for: Vec::new(),
        under_way: false,
    }
}
