//! The hosts of a plan by whether they take part in it: one rule for what is counted, what is proven, and what is said to
//! stand in the way. A host whose job would be refused counts for nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::in_the_way::{Away, away, names};
use crate::domain::agent::{Agent, AgentStatus};
use crate::domain::request::{Request, RequestStatus};

/// The part of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It does its share now.
    Now,
    /// It does its share once its agent is back.
    Late,
    /// A request for it is under way already: none is made.
    UnderWay,
    /// Its agent is banned and gets nothing.
    Banned,
}

impl Part {
    /// The part of this agent's host at `path`, with the requests for the same certificate.
    pub(super) fn of<'a>(
        agent: &Agent,
        path: Option<&str>,
        requests: impl IntoIterator<Item = &'a Request>,
        now: DateTime<Utc>,
    ) -> Self {
        let is_here = |it: &&Request| {
            matches!(it.status, RequestStatus::Pending | RequestStatus::Issuing)
                && it.agent_id.as_ref() == Some(&agent.id)
                && it.install_path.as_deref() == path
        };
        if agent.status == AgentStatus::Banned {
            Self::Banned
        } else if requests.into_iter().any(|it| is_here(&it)) {
            Self::UnderWay
        } else if away(agent, now).is_some() {
            Self::Late
        } else {
            Self::Now
        }
    }

    /// Something is done there, now or later.
    pub(super) fn is_reached(self) -> bool {
        matches!(self, Self::Now | Self::Late)
    }
}

/// All hosts of a plan.
#[derive(Default)]
pub(super) struct Hosts {
    now: BTreeSet<String>,
    late: BTreeSet<String>,
    away: Away,
    under_way: BTreeMap<String, Vec<String>>,
    banned: BTreeSet<String>,
}

impl Hosts {
    /// Notes the part of `agent`'s host in what the plan does for `name`.
    pub(super) fn note(&mut self, agent: &Agent, part: Part, name: &str, now: DateTime<Utc>) {
        let host = agent.hostname.clone();
        match part {
            Part::Now => {
                self.away.note_late(agent, now);
                self.now.insert(host);
            }
            Part::Late => {
                self.away.note(agent, name, now);
                self.late.insert(host);
            }
            Part::UnderWay => self.under_way.entry(host).or_default().push(name.to_owned()),
            Part::Banned => drop(self.banned.insert(host)),
        }
    }

    /// Notes that `name` waits for `agent`, whose host loads nothing of it.
    pub(super) fn waits(&mut self, agent: &Agent, name: &str, now: DateTime<Utc>) {
        self.away.note(agent, name, now);
    }

    /// Those that do their share now, by name.
    pub(super) fn now(&self) -> &BTreeSet<String> {
        &self.now
    }

    /// `3 hosts reload, 1 more once it is back`.
    pub(super) fn reload(&self) -> String {
        let now = match self.now.len() {
            1 => "1 host reloads".to_owned(),
            n => format!("{n} hosts reload"),
        };
        match self.late.difference(&self.now).count() {
            0 => now,
            1 => format!("{now}, 1 more once it is back"),
            n => format!("{now}, {n} more once they are back"),
        }
    }

    /// A line for each obstacle; `so` says what comes of an agent that is away until it `is back`.
    pub(super) fn lines(&self, so: fn(&str) -> String) -> Vec<String> {
        let mut lines: Vec<String> = self.away.lines(so).collect();
        if !self.under_way.is_empty() {
            let hosts: Vec<&str> = self.under_way.keys().map(String::as_str).collect();
            let mut waiting: Vec<&str> = self.under_way.values().flatten().map(String::as_str).collect();
            waiting.dedup();
            lines.push(format!(
                "For {} on {} a request is under way already: none is made there.",
                names(&waiting),
                names(&hosts)
            ));
        }
        if !self.banned.is_empty() {
            let hosts: Vec<&str> = self.banned.iter().map(String::as_str).collect();
            let (is, keeps, they_are) = match hosts.len() {
                1 => ("is", "keeps", "it is"),
                _ => ("are", "keep", "they are"),
            };
            lines.push(format!(
                "Not reached: {} {is} banned and {keeps} what is there. Nothing is installed until {they_are} unbanned, \
                 `U`, and enrolled again.",
                names(&hosts)
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(n: u8, change: impl FnOnce(&mut Agent)) -> Agent {
        let at = DateTime::UNIX_EPOCH;
        let mut agent = Agent {
            id: format!("agt_{n}"),
            version: 1,
            hostname: format!("web-{n:02}"),
            address: String::new(),
            tls_address: None,
            install_dirs: Vec::new(),
            agent_version: String::new(),
            owner: None,
            status: AgentStatus::Active,
            identity: None,
            next_identity: None,
            last_checkin: Some(at),
            reported_from: None,
            checkin_interval_s: 60,
            has_no_token: false,
            n_installations: 0,
            enrolled_at: at,
            updated_at: at,
        };
        change(&mut agent);
        agent
    }

    #[test]
    fn who_is_banned_or_has_a_request_already_reloads_nothing_and_is_named() {
        let now = DateTime::UNIX_EPOCH;
        let request: Request = serde_json::from_value(serde_json::json!({
            "id": "req_1", "version": 1, "common_name": "a", "sans": ["a"], "key_algorithm": "ecdsa-p256",
            "status": "pending", "waiting_on": "key", "attempt": 0, "adapter_id": "adp_1", "agent_id": "agt_2",
            "install_path": "/a.pem", "requested_by": "kim", "created_at": now, "updated_at": now,
        }))
        .unwrap();
        let all = [
            (agent(1, |_| {}), Part::Now),
            (agent(2, |_| {}), Part::UnderWay),
            (agent(3, |it| it.last_checkin = None), Part::Late),
            (agent(4, |it| it.status = AgentStatus::Banned), Part::Banned),
            // A ban counts, however long it has been silent.
            (
                agent(5, |it| {
                    it.status = AgentStatus::Banned;
                    it.last_checkin = None;
                }),
                Part::Banned,
            ),
        ];
        let mut hosts = Hosts::default();
        for (agent, expected) in &all {
            let part = Part::of(agent, Some("/a.pem"), [&request], now);
            assert_eq!(part, *expected, "{}", agent.hostname);
            hosts.note(agent, part, "a", now);
        }
        // Another file of that agent has no request.
        assert_eq!(Part::of(&all[1].0, Some("/b.pem"), [&request], now), Part::Now);
        assert_eq!(hosts.reload(), "1 host reloads, 1 more once it is back");
        let lines = hosts.lines(|_| "It waits.".to_owned());
        assert_eq!(
            lines,
            [
                "web-03 was never seen: a waits for it. It waits.",
                "For a on web-02 a request is under way already: none is made there.",
                "Not reached: web-04, web-05 are banned and keep what is there. Nothing is installed until they are \
                 unbanned, `U`, and enrolled again.",
            ]
        );
    }
}
