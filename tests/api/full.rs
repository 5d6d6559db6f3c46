//! All connections for lists are taken, for longer than anybody waits: who asks for one more is told so, and agents,
//! tokens and changes go on.

use std::time::{Duration, Instant};

use cmp_console::store::Work;
use reqwest::Method;
use tokio::sync::{oneshot, watch};

use super::support::{Server, certificate};

/// Takes connections for lists until none is left, each by a task of its own that keeps it; until `release` is told.
async fn fill(it: &Server, release: &watch::Receiver<bool>) -> Vec<tokio::task::JoinHandle<()>> {
    let mut held = Vec::new();
    loop {
        let (told, got) = oneshot::channel();
        let (store, mut release) = (it.store.clone(), release.clone());
        let task = tokio::spawn(async move {
            let conn = store.ask(Work::Screen).await;
            let is_there = conn.is_ok();
            let _ = told.send(is_there);
            if is_there {
                let _ = release.wait_for(|it| *it).await;
            }
        });
        held.push(task);
        if !got.await.unwrap() {
            return held;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_refused_where_all_connections_are_taken_and_all_else_goes_on() {
    let Some(it) = Server::start().await else { return };
    let (release, released) = watch::channel(false);
    let held = fill(&it, &released).await;
    assert!(held.len() > 1, "there was one at least");

    let began = Instant::now();
    let (status, problem) = it.get("/api/v1/certs").await;
    let took = began.elapsed();
    assert_eq!(status, 503, "{problem}");
    assert_eq!(
        (problem["title"].as_str(), problem["detail"].as_str()),
        (
            Some("more is asked at once than the server answers at once"),
            Some("ask again in a moment; agents and changes go on meanwhile")
        ),
        "{problem}"
    );
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(9),
        "it was waited for, and not for ever: {took:?}"
    );

    // A token, an agent's report, a change and one thing by its id each have their own, and wait for nobody.
    let began = Instant::now();
    assert_eq!(it.get("/api/v1/me").await.0, 200);
    let report = format!(
        r#"{{"agent_version":"1","address":"http://127.0.0.1:1","install_dirs":["/srv/tls"],"installations":[],"keys":["{}"]}}"#,
        certificate(1, 0).spki_sha256
    );
    let path = format!("/api/v1/agents/{}/report", it.agent);
    let (status, reply) = it.call(Method::POST, &path, &it.agent_token, &report, None).await;
    assert_eq!(status, 200, "{reply}");
    let (status, reply) = it.post(&format!("/api/v1/certs/{}/reissue", it.cert), "").await;
    assert_eq!(status, 202, "{reply}");
    let (status, reply) = it.get(&format!("/api/v1/certs/{}", it.cert)).await;
    assert_eq!(status, 200, "{reply}");
    let (status, reply) = it.get("/api/v1/certs?filter=status:any").await;
    assert_eq!(status, 200, "who searches has others: {reply}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());

    release.send(true).unwrap();
    for task in held {
        task.await.unwrap();
    }
    assert_eq!(it.get("/api/v1/certs").await.0, 200);
}
