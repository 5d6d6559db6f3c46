//! Asks every backend how it is, every few seconds and when told to; says so only when it changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::backends::Backends;
use crate::domain::link::{Backend, BackendHealth, LinkState};
use crate::plan::vault_nodes::{self, Node};
use crate::problem::{Problem, ProblemKind};
use crate::state::event::Event;
use crate::state::link::{Link, Seal, latency_words};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Watches until nobody listens.
pub(super) async fn watch(backends: Arc<Backends>, to: Sender<Event>, look: Arc<Notify>) {
    let mut told: BTreeMap<Backend, Link> = BTreeMap::new();
    let mut me = Err(Problem::unavailable("not asked yet"));
    // Runs may be left in the local journal from when the API was away.
    let mut due = true;
    loop {
        if me.is_err() {
            me = backends.reads.api.me().await;
            if let Ok(me) = &me
                && to.send(Event::Me(me.role)).await.is_err()
            {
                return;
            }
        }
        if due && backends.hand_over_journal().await {
            due = false;
        }
        let (platform, vault) = tokio::join!(platform(&backends, me.as_ref().err()), vault(&backends));
        for (backend, link) in platform.into_iter().chain([(Backend::Vault, vault)]) {
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

async fn platform(backends: &Backends, refused: Option<&Problem>) -> Vec<(Backend, Link)> {
    let clock = &backends.reads.clock;
    let began = Instant::now();
    let answer = backends.reads.api.ready().await;
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
        Ok(ready) => {
            let refused = refused.filter(|problem| problem.kind == ProblemKind::NotAuthenticated);
            // Where the console looks at the database itself, the API's own view of it is the API's trouble.
            let is_lost = |health: &BackendHealth| {
                health.backend == Backend::Database && health.state == LinkState::Down
            };
            let without_database = backends.reads.hosts.is_some() && ready.backends.iter().any(is_lost);
            let api = match refused {
                Some(problem) => link(LinkState::Degraded, Some(problem.to_string()), latency_ms),
                None if without_database => {
                    let note = "its database doesn't answer: nothing can be changed";
                    link(LinkState::Degraded, Some(note.to_owned()), latency_ms)
                }
                None => link(LinkState::Up, None, latency_ms),
            };
            let mut links = vec![(Backend::Api, api)];
            let reported = ready
                .backends
                .into_iter()
                .filter(|health| health.backend != Backend::Vault);
            links.extend(
                reported.map(|health| (health.backend, link(health.state, health.note, health.latency_ms))),
            );
            links
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
            links
        }
    }
}

async fn vault(backends: &Backends) -> Link {
    let began = Instant::now();
    let (answer, nodes) = tokio::join!(
        backends.reads.vault.seal_status(),
        // A Vault of one node was asked just now.
        async {
            match backends.reads.vault_nodes.is_empty() {
                true => Vec::new(),
                false => vault_nodes::look(&backends.reads).await,
            }
        }
    );
    let latency_ms = u32::try_from(began.elapsed().as_millis()).ok();
    let as_of = backends.reads.clock.now();
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
            let missing = backends.reads.vault.missing_login();
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
