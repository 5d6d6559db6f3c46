//! Steps that harm nothing go beside each other, a few at a time: a host that doesn't answer holds up no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::post;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use cmp_console::domain::agent::{Agent, AgentStatus};
use cmp_console::wire::agents::WakeReply;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use super::*;

/// Number of steps that go at once.
const AT_ONCE: usize = 8;

/// An agent that answers its wake-up when as many are being woken as may be.
async fn agent(n: usize, all: &Arc<Barrier>, under_way: &Arc<(AtomicUsize, AtomicUsize)>) -> Agent {
    let (all, under_way) = (Arc::clone(all), Arc::clone(under_way));
    let woken = move || async move {
        let now = under_way.0.fetch_add(1, Ordering::SeqCst) + 1;
        under_way.1.fetch_max(now, Ordering::SeqCst);
        all.wait().await;
        under_way.0.fetch_sub(1, Ordering::SeqCst);
        Json(WakeReply {
            agent_id: None,
            reported: true,
            n_jobs: 0,
            problem: None,
        })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/checkin", post(woken));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Agent {
        id: format!("agt_{n}"),
        version: 1,
        hostname: format!("web-{n:02}"),
        address,
        tls_address: None,
        install_dirs: Vec::new(),
        agent_version: "0.1.0".to_owned(),
        owner: None,
        status: AgentStatus::Active,
        identity: None,
        next_identity: None,
        last_checkin: None,
        reported_from: None,
        checkin_interval_s: 60,
        has_no_token: false,
        n_installations: 0,
        enrolled_at: DateTime::<Utc>::UNIX_EPOCH,
        updated_at: DateTime::<Utc>::UNIX_EPOCH,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_in_of_many_waits_for_none_and_wakes_a_few_at_once() {
    let home = tempfile::tempdir().unwrap();
    let api = ApiReader::new("http://127.0.0.1:1", None).unwrap();
    let hands = Hands {
        reads: Reads {
            hosts: None,
            known: KnownAgents::default(),
            api: api.clone(),
            vault: None,
            vault_nodes: Vec::new(),
            clock: Clock::system(),
            pki_mount: String::new(),
            pki_test_role: String::new(),
        },
        changes: Changes::new(ApiWriter::new(api), None),
        journal: Journal::new(&home.path().join("journal.jsonl")),
        said: Mutex::default(),
    };
    let (all, under_way) = (Arc::new(Barrier::new(AT_ONCE)), Arc::default());
    let mut on = Vec::new();
    for n in 0..2 * AT_ONCE {
        let agent = agent(n, &all, &under_way).await;
        hands.reads.known.hear(&agent);
        on.push(Target {
            kind: EntityKind::Agent,
            id: agent.id,
            version: 1,
            name: agent.hostname,
            status: "active".to_owned(),
        });
    }
    let plan = hands.plan(actions::find("checkin").unwrap(), on).await;
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    assert_eq!(under_way.1.load(Ordering::SeqCst), AT_ONCE);
    let ended = said.lines().filter(|line| line.starts_with("ThingEnded"));
    assert_eq!(ended.count(), 2 * AT_ONCE, "{said}");
}
