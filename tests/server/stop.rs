//! Told to stop, it says that it isn't ready, answers what is under way, and ends.

use cmp_console::store::agents;
use cmp_console::wire::agents::EnrolBody;
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::daemon::{Daemon, TOKEN, eventually};

/// A check-in is under way from the moment on that the agent was reached; it is answered when we say so.
async fn under_way(it: &Daemon) -> (TcpStream, tokio::task::JoinHandle<(u16, String, Value)>) {
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = it.store().await;
    let mut tx = store.begin().await.unwrap();
    let body = EnrolBody {
        hostname: "web-01".to_owned(),
        address: format!("http://{}", host.local_addr().unwrap()),
        tls_address: None,
        install_dirs: vec!["/srv/tls".to_owned()],
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
    };
    let agent = agents::insert(&mut tx, &body, 60).await.unwrap();
    agents::enrolled_from(&mut tx, &agent.id, "127.0.0.1")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let url = format!("http://{}/api/v1/agents/{}/checkin", it.address, agent.id);
    let request = reqwest::Client::new().post(url).bearer_auth(TOKEN);
    let request = request.header("x-request-id", "incident-7");
    let asked = tokio::spawn(async move {
        let response = request.send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        (response.status().as_u16(), id, response.json().await.unwrap())
    });
    let (mut reached, _) = host.accept().await.unwrap();
    let _ = reached.read(&mut [0; 4096]).await.unwrap();
    (reached, asked)
}

async fn answer(mut reached: TcpStream) {
    let body = r#"{"agent_id":null,"reported":true,"n_jobs":0}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    reached
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let mut it = Daemon::start(dir.path(), &[]).await;
    let (reached, asked) = under_way(&it).await;
    it.signal(Signal::TERM);
    eventually("no new connection is taken", async || {
        TcpStream::connect(&it.address).await.err()
    })
    .await;
    answer(reached).await;
    let (status, id, reply) = asked.await.unwrap();
    assert_eq!((status, id.as_str()), (200, "incident-7"), "{reply}");
    assert_eq!(reply["reached"], true, "{reply}");
    assert!(it.ended().await.success());

    // Its log line has everything, and no line has the token.
    let line = it.logged(r#""message":"answered""#, 1).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["fields"]["status"], 200, "{line}");
    assert!(line["fields"]["ms"].is_u64(), "{line}");
    let span = &line["span"];
    assert_eq!(span["request_id"], "incident-7", "{line}");
    assert_eq!(span["method"], "POST", "{line}");
    assert_eq!(span["route"], "/api/v1/agents/{id}/checkin", "{line}");
    assert_eq!(span["token"], "admin", "{line}");
    assert!(span["audit_seq"].is_i64(), "{line}");
    assert!(!it.log().contains(TOKEN));
}

#[tokio::test]
async fn with_a_delay_it_is_unready_first_and_still_answers() {
    let dir = tempfile::tempdir().unwrap();
    let mut it = Daemon::start(dir.path(), &["--shutdown-delay", "300"]).await;
    let (reached, asked) = under_way(&it).await;
    let http = reqwest::Client::new();
    let ready = async || {
        let url = format!("http://{}/readyz", it.address);
        http.get(url).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ready().await, 200);
    it.signal(Signal::TERM);
    eventually("it is not ready", async || (ready().await == 503).then_some(())).await;
    let url = format!("http://{}/api/v1/me", it.address);
    let me = http.get(url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(me.status(), 200, "it still answers");
    // Told again, it waits no longer.
    it.signal(Signal::TERM);
    eventually("no new connection is taken", async || {
        TcpStream::connect(&it.address).await.err()
    })
    .await;
    answer(reached).await;
    assert_eq!(asked.await.unwrap().0, 200);
    assert!(it.ended().await.success());
}

#[tokio::test]
async fn no_core_dump_holds_what_it_knows() {
    let dir = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/cmp.db", dir.path().display());
    let arguments = ["--listen", "127.0.0.1:0", "--roles", "api"];
    // Most shells allow none: there, a program that forbids nothing would look the same.
    let it = Daemon::by_shell("ulimit -S -c \"$(ulimit -H -c)\"", &database, &arguments).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", it.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}
