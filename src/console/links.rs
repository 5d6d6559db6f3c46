//! Asks every backend how it is, every few seconds and when told to; says so only when it changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::backends::Backends;
use crate::clients::api::ApiReader;
use crate::clients::vault::VaultReader;
use crate::clock::Clock;
use crate::domain::database::ApiOn;
use crate::domain::link::{Backend, BackendHealth, LinkState};
use crate::domain::worker::Worker;
use crate::plan::one_database::api_on;
use crate::plan::vault_nodes::{self, Node};
use crate::problem::{Problem, ProblemKind};
use crate::state::event::Event;
use crate::state::link::{Link, Seal, latency_words};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Between two questions who this token is: it may have been taken back.
const WHO: Duration = Duration::from_secs(30);

/// Watches until nobody listens.
pub(super) async fn watch(backends: Arc<Backends>, to: Sender<Event>, look: Arc<Notify>) {
    let mut told: BTreeMap<Backend, Link> = BTreeMap::new();
    let mut me = Err(Problem::unavailable("not asked yet"));
    // Runs may be left in the local journal from when the API was away.
    let mut due = true;
    let mut asked = Instant::now();
    loop {
        if me.is_err() || asked.elapsed() >= WHO {
            asked = Instant::now();
            me = backends.reads.api.me().await;
            if let Ok(me) = &me
                && to.send(Event::Me(me.role)).await.is_err()
            {
                return;
            }
        }
        // What the API could not be told at a run's end, though its link looks well.
        due |= backends.journal.has_news();
        if due && let Some(denied) = backends.hand_over_journal().await {
            due = false;
            for (run, end) in denied {
                if to.send(Event::OnRecord(run, end)).await.is_err() {
                    return;
                }
            }
        }
        let reads = &backends.reads;
        let (platform, vault) = tokio::join!(
            platform(&reads.api, &reads.clock, me.as_ref().err(), reads.hosts.is_some()),
            vault(reads.vault.as_ref(), &reads.vault_nodes, &reads.clock)
        );
        let refused = me
            .as_ref()
            .err()
            .filter(|it| it.kind == ProblemKind::NotAuthenticated);
        let beside = [
            Some(Event::ApiOn(platform.on)),
            Some(Event::Token(refused.map(ToString::to_string))),
            platform.workers.map(Event::Workers),
            platform.ahead.map(Event::Clock),
        ];
        for event in beside.into_iter().flatten() {
            // What it makes of them, the screen shows only where it differs.
            if to.send(event).await.is_err() {
                return;
            }
        }
        for (backend, link) in platform.links.into_iter().chain([(Backend::Vault, vault)]) {
            due |= backend == Backend::Api && link.state == LinkState::Down;
            if told
                .get(&backend)
                .is_none_or(|before| looks_different(before, &link))
            {
                told.insert(backend, link.clone());
                if to.send(Event::Link(backend, link)).await.is_err() {
                    return;
                }
            }
        }
        // Asked for or due, whichever comes first.
        if tokio::time::timeout(EVERY, look.notified()).await.is_ok() {
            // Who asks for a look may do so because the token is no longer taken.
            me = Err(Problem::unavailable("not asked again yet"));
        }
    }
}

/// Only what is on screen counts: a latency that jitters is no news.
fn looks_different(before: &Link, now: &Link) -> bool {
    let words = |link: &Link| link.latency_ms.map(latency_words);
    before.state != now.state
        || before.note != now.note
        || before.seal != now.seal
        || words(before) != words(now)
}

/// What a look at the API shows.
pub(super) struct Platform {
    /// The API and what is behind it.
    pub(super) links: Vec<(Backend, Link)>,
    /// The database that it is on; nothing where it doesn't answer.
    pub(super) on: Option<ApiOn>,
    /// Who works there; nothing where it doesn't answer.
    pub(super) workers: Option<Vec<Worker>>,
    /// How far its clock is ahead of this computer's.
    pub(super) ahead: Option<TimeDelta>,
}

/// How far the API's clock is ahead, by a `Date` that is in whole seconds and came between these two moments; none
/// within a minute, which is no trouble.
fn ahead(date: DateTime<Utc>, asked: DateTime<Utc>, answered: DateTime<Utc>) -> TimeDelta {
    let (at_least, at_most) = (date - answered, date + TimeDelta::seconds(1) - asked);
    let surely = match (at_least > TimeDelta::zero(), at_most < TimeDelta::zero()) {
        (true, _) => at_least,
        (_, true) => at_most,
        _ => TimeDelta::zero(),
    };
    if surely.abs() > TimeDelta::minutes(1) {
        surely
    } else {
        TimeDelta::zero()
    }
}

/// How the API and what is behind it are; `refused` is what it said to our token. Where its database is not a
/// link of its own (`is_its_own`), a lost one is the API's trouble.
pub(super) async fn platform(
    api: &ApiReader,
    clock: &Clock,
    refused: Option<&Problem>,
    is_its_own: bool,
) -> Platform {
    let (began, asked) = (Instant::now(), clock.now());
    let answer = api.ready_at().await;
    let latency_ms = u32::try_from(began.elapsed().as_millis()).ok();
    let as_of = clock.now();
    let link = |state, note, latency_ms| Link {
        state,
        note,
        latency_ms,
        as_of,
        seal: None,
    };
    match answer {
        Ok((ready, date)) => {
            let on = api_on(&ready, as_of);
            let ahead = date.map(|date| ahead(date, asked, as_of));
            if let Some(ahead) = ahead {
                api.note_ahead(ahead);
            }
            let refused = refused.filter(|problem| problem.kind == ProblemKind::NotAuthenticated);
            let is_lost = |health: &&BackendHealth| {
                health.backend == Backend::Database && health.state == LinkState::Down
            };
            let lost = ready.backends.iter().find(is_lost).filter(|_| is_its_own);
            let api = match refused {
                Some(problem) => link(LinkState::Degraded, Some(problem.to_string()), latency_ms),
                None => match lost {
                    Some(database) => {
                        let why = database.note.as_deref().unwrap_or("it doesn't say why");
                        let note = format!("its database: {why}; nothing can be changed");
                        link(LinkState::Degraded, Some(note), latency_ms)
                    }
                    None => link(LinkState::Up, None, latency_ms),
                },
            };
            let mut links = vec![(Backend::Api, api)];
            let reported = ready
                .backends
                .into_iter()
                .filter(|health| health.backend != Backend::Vault);
            links.extend(
                reported.map(|health| (health.backend, link(health.state, health.note, health.latency_ms))),
            );
            Platform {
                links,
                on: Some(on),
                workers: Some(ready.workers),
                ahead,
            }
        }
        Err(problem) => {
            let mut links = vec![(Backend::Api, link(LinkState::Down, Some(problem.what), None))];
            // What is behind the API can't be seen without it.
            let hidden = [
                Backend::Database,
                Backend::Issuer,
                Backend::Cache,
                Backend::Agents,
            ];
            links.extend(hidden.map(|backend| (backend, link(LinkState::Unknown, None, None))));
            Platform {
                links,
                on: None,
                workers: None,
                ahead: None,
            }
        }
    }
}

/// State of Vault, if the context has one, with the `nodes` of its cluster where it has several.
pub(super) async fn vault(vault: Option<&VaultReader>, nodes: &[VaultReader], clock: &Clock) -> Link {
    let Some(vault) = vault else {
        return Link {
            state: LinkState::Absent,
            note: Some("not configured".to_owned()),
            latency_ms: None,
            as_of: clock.now(),
            seal: None,
        };
    };
    let began = Instant::now();
    let (answer, nodes) = tokio::join!(vault.seal_status(), vault_nodes::ask_each(nodes.iter()));
    let latency_ms = u32::try_from(began.elapsed().as_millis()).ok();
    let as_of = clock.now();
    // What stands before a cluster may answer nothing while every node is sealed; the nodes themselves do.
    let answer = answer.map_err(|error| error.to_string()).or_else(|error| {
        let mut said = nodes.iter().filter_map(|node| node.seal.as_ref().ok());
        said.next().cloned().ok_or(error)
    });
    let others = nodes_words(&nodes);
    match answer {
        Ok(status) => {
            let sealed = status
                .sealed
                .then(|| format!("sealed {}/{}", status.progress, status.t));
            let missing = vault.missing_login();
            let note = others
                .or(sealed)
                .or_else(|| missing.map(|why| format!("no credential: {why}")));
            Link {
                state: if note.is_some() {
                    LinkState::Degraded
                } else {
                    LinkState::Up
                },
                note,
                latency_ms,
                as_of,
                seal: Some(Seal {
                    sealed: status.sealed,
                    initialized: status.initialized,
                    threshold: status.t,
                    shares: status.n,
                    progress: status.progress,
                    nonce: status.nonce,
                    version: status.version,
                }),
            }
        }
        Err(error) => Link {
            state: LinkState::Down,
            note: Some(error),
            latency_ms: None,
            as_of,
            seal: None,
        },
    }
}

/// Which nodes of a cluster are sealed or silent, if any.
fn nodes_words(nodes: &[Node]) -> Option<String> {
    let words: Vec<String> = nodes
        .iter()
        .filter_map(|node| {
            let name = node.address.split("//").last().unwrap_or(&node.address);
            match &node.seal {
                Ok(status) if status.sealed => {
                    Some(format!("{name} sealed {}/{}", status.progress, status.t))
                }
                Ok(_) => None,
                Err(_) => Some(format!("{name} silent")),
            }
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::vault::SealStatus;

    #[test]
    fn a_clock_is_off_when_it_is_surely_so_by_more_than_a_minute() {
        let at = |s: i64| DateTime::from_timestamp(1_800_000_000 + s, 0).unwrap();
        let s = TimeDelta::seconds;
        assert_eq!(ahead(at(0), at(0), at(1)), s(0));
        assert_eq!(ahead(at(64), at(0), at(5)), s(0), "a slow answer proves nothing");
        assert_eq!(ahead(at(70), at(0), at(1)), s(69));
        assert_eq!(ahead(at(-40 * 86_400), at(0), at(1)), s(1 - 40 * 86_400));
    }

    #[test]
    fn each_node_that_is_not_open_is_named() {
        let node = |address: &str, seal| Node {
            address: address.to_owned(),
            seal,
        };
        let sealed = SealStatus {
            sealed: true,
            t: 3,
            progress: 1,
            ..SealStatus::default()
        };
        let open = node("http://vault-1:8200", Ok(SealStatus::default()));
        assert_eq!(nodes_words(std::slice::from_ref(&open)), None);
        let nodes = [
            open,
            node("http://vault-2:8200", Ok(sealed)),
            node("http://vault-3:8200", Err(Problem::unavailable("no connection"))),
        ];
        let words = nodes_words(&nodes).unwrap();
        assert_eq!(words, "vault-2:8200 sealed 1/3, vault-3:8200 silent");
    }
}
