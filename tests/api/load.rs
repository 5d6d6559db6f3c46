//! Too much at once: what screens ask takes nothing from agents, changes, tokens and readiness; a question
//! that nobody waits for is over in the database too; one answer is shared by all who ask for it.

use std::time::Duration;

use cmp_console::domain::role::Role;
use cmp_console::store::{Conn, Store, Work};
use futures::future::join_all;
use reqwest::Method;
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::support::Server;

/// Every connection that there is for this kind of work, as slow questions hold them.
async fn all(store: &Store, work: Work) -> Vec<Conn> {
    let mut held = Vec::new();
    while let Ok(conn) = tokio::time::timeout(Duration::from_millis(300), store.ask(work)).await {
        held.push(conn.unwrap());
    }
    held
}

fn busy(store: &Store, work: &str) -> usize {
    store
        .busy()
        .into_iter()
        .find(|(name, _)| *name == work)
        .unwrap()
        .1
}

async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap();
}

/// The paths that are only read, of which the ones with an id are about one thing.
async fn read_only(it: &Server) -> (Vec<String>, Vec<String>) {
    let document = it.get("/openapi.json").await.1;
    let paths = document["paths"].as_object().unwrap().iter();
    let paths = paths.filter(|(_, methods)| methods.get("get").is_some());
    let paths = paths.map(|(path, _)| path.clone());
    paths
        // One never ends, the others are for whoever has nothing to do with the database's rows.
        .filter(|path| path.starts_with("/api/v1/") && path != "/api/v1/events")
        .partition(|path| path.contains('{'))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_questions_take_nothing_from_agents_changes_tokens_and_readiness() {
    let Some(it) = Server::start().await else { return };
    let (of_one, lists) = read_only(&it).await;
    let screens = all(&it.store, Work::Screen).await;
    let background = all(&it.store, Work::Background).await;
    let searches = all(&it.store, Work::Search).await;
    assert!(!screens.is_empty() && !searches.is_empty() && !background.is_empty());

    // Of what needs no list, nothing waits.
    for path in of_one.iter().map(|path| path.replace("{id}", "x")) {
        let (status, reply) = it.get(&path).await;
        assert!(status == 404 || status == 400, "{path}: {status} {reply}");
    }
    for path in ["/api/v1/me", "/readyz", "/healthz"] {
        assert_eq!(it.get(path).await.0, 200, "{path}");
    }
    for path in [
        format!("/api/v1/certs/{}", it.cert),
        format!("/api/v1/agents/{}", it.agent),
        format!("/api/v1/installations?agent={}", it.agent),
    ] {
        assert_eq!(it.get(&path).await.0, 200, "{path}");
    }
    let report = r#"{"agent_version":"1","address":"http://127.0.0.1:1","install_dirs":["/srv/tls"],"installations":[],"keys":[]}"#;
    let path = format!("/api/v1/agents/{}/report", it.agent);
    for _ in 0..20 {
        let (status, reply) = it.call(Method::POST, &path, &it.agent_token, report, None).await;
        assert_eq!(status, 200, "{reply}");
    }
    let path = format!("/api/v1/certs/{}/revoke", it.cert);
    let (status, reply) = it.post(&path, r#"{"reason": "superseded"}"#).await;
    assert_eq!(status, 202, "{reply}");

    // A list says that it is too much now, and a question that waits for a screen is no other's.
    let of_rows = lists.iter().filter(|path| {
        !["/api/v1/me", "/api/v1/adapters", "/api/v1/installations"].contains(&path.as_str())
            && !["/api/v1/findings", "/api/v1/audit/verify"].contains(&path.as_str())
    });
    let of_rows: Vec<_> = of_rows.collect();
    assert!(of_rows.len() >= 7, "{of_rows:?}");
    let admin = it.token("root", Role::Admin, None, None).await;
    let answers = join_all(
        of_rows
            .iter()
            .map(|path| it.call(Method::GET, path, &admin, "", None)),
    )
    .await;
    for (path, (status, reply)) in of_rows.iter().zip(answers) {
        assert_eq!(status, 503, "{path}: {reply}");
        let title = reply["title"].as_str().unwrap();
        assert!(title.contains("more is asked at once"), "{path}: {title}");
    }
    drop(screens);
    assert_eq!(it.get("/api/v1/certs").await.0, 200, "and is answered afterwards");
    assert_eq!(it.get("/api/v1/trends").await.0, 200);
    for path in of_rows.iter().filter(|path| !path.ends_with("/trends")) {
        let (status, _) = it.call(Method::GET, path, &admin, "", None).await;
        assert_eq!(status, 200, "{path} waits for no search");
        let searched = format!("{path}?filter=nothing");
        let (status, reply) = it.call(Method::GET, &searched, &admin, "", None).await;
        assert_eq!(status, 503, "{searched}: {reply}");
    }
    drop(searches);
    assert_eq!(it.get("/api/v1/certs?q=nothing").await.0, 200);
    drop(background);
    assert_eq!(it.get("/api/v1/findings").await.0, 200);
}

/// The certificates, kept from everybody else, so that a question about them takes as long as this lives.
async fn locked(url: &str) -> PgConnection {
    let mut conn = PgConnection::connect(url).await.unwrap();
    conn.execute("BEGIN; LOCK TABLE certificates IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    conn
}

/// How many questions PostgreSQL is at, of those that wait for the certificates.
fn under_way(database: &crate::server::Database) -> usize {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock' AND state = 'active'";
    database.psql(waiting).trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_whose_asker_is_gone_ends_in_the_database() {
    let Some(it) = Server::start().await else { return };
    let Some(database) = &it.postgres else { return };
    let lock = locked(&database.url).await;
    // Far more than there are connections, one after the other, each hung up on.
    for path in ["/api/v1/certs", "/api/v1/findings", "/api/v1/certs?q=nothing"] {
        for _ in 0..3 {
            let address = it.base.trim_start_matches("http://");
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!(
                "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
                it.viewer
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            until(|| under_way(database) == 1).await;
            drop(stream);
            until(|| under_way(database) == 0).await;
        }
    }
    until(|| {
        ["screen", "search", "background"]
            .iter()
            .all(|work| busy(&it.store, work) == 0)
    })
    .await;
    drop(lock);
    assert_eq!(it.get("/api/v1/certs").await.1["total"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_questions_that_hang_end_after_their_time_and_meanwhile_agents_report() {
    let Some(it) = Server::start().await else { return };
    let Some(database) = &it.postgres else { return };
    let lock = locked(&database.url).await;
    let asked = join_all((0..10).map(|_| it.get("/api/v1/certs")));
    let others = async {
        until(|| busy(&it.store, "screen") > 1).await;
        let report = r#"{"agent_version":"1","address":"http://127.0.0.1:1","install_dirs":["/srv/tls"],"installations":[],"keys":[]}"#;
        let path = format!("/api/v1/agents/{}/report", it.agent);
        let (status, reply) = it.call(Method::POST, &path, &it.agent_token, report, None).await;
        assert_eq!(status, 200, "{reply}");
        assert_eq!(it.get("/api/v1/me").await.0, 200);
        assert_eq!(it.get("/api/v1/requests/x").await.0, 404);
    };
    let (answers, ()) = tokio::join!(asked, others);
    for (status, reply) in answers {
        assert_eq!(status, 503, "{reply}");
    }
    assert_eq!(under_way(database), 0, "none is left behind");
    drop(lock);
    assert_eq!(it.get("/api/v1/certs").await.0, 200);
}

fn severities(findings: &Value) -> usize {
    findings["findings"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn findings_are_one_question_for_all_and_never_older_than_a_change() {
    let Some(it) = Server::start().await else { return };
    let before = severities(&it.get("/api/v1/findings").await.1);
    for n in 0..20 {
        // Paused and resumed: a finding comes and goes with each change.
        it.seal().await;
        let answers = join_all((0..5).map(|_| it.get("/api/v1/findings"))).await;
        for (status, findings) in answers {
            assert_eq!(status, 200);
            assert_eq!(severities(&findings), before + 1, "{n}: {findings}");
        }
        let mut tx = it.store.begin().await.unwrap();
        cmp_console::store::issuance::resume_adapter(&mut tx, &it.adapter)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(severities(&it.get("/api/v1/findings").await.1), before, "{n}");
    }
}
