//! A client as it should be: it sends what got no answer again, with the same key, to whichever server
//! there is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cmp_console::clock::Clock;
use cmp_console::domain::role::Role;
use cmp_console::store::tokens::{NewToken, Purpose};
use cmp_console::store::{Store, adapters, agents, tokens};
use cmp_console::wire::agents::EnrolBody;
use serde_json::{Value, json};

use crate::daemon::TOKEN;

/// Nothing takes longer, however often it has to be sent.
const LIMIT: Duration = Duration::from_secs(120);
/// Before it is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// The one agent's.
const AGENT_TOKEN: &str = "cmp_a-token-for-the-agent-of-the-storm";

/// What starts an API without an issuer and without limits.
pub(crate) const API_UNLIMITED: [&str; 6] = [
    "--listen",
    "127.0.0.1:0",
    "--roles",
    "api,scheduler",
    "--limits",
    "off",
];

/// An adapter that requests can wait on, with nobody behind it.
pub(crate) async fn an_adapter(database: &str) {
    let store = Store::open(database, Clock::system()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    adapters::upsert(&mut tx, "vault", "vault_pki", &json!({}))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    store.close().await;
}

pub(crate) struct Client {
    http: reqwest::Client,
    /// Where the servers are now.
    pub(crate) servers: Mutex<Vec<String>>,
    agent: String,
    /// How many answers said that it can't be done now.
    pub(crate) refused: AtomicUsize,
}

impl Client {
    /// With an agent that is enrolled in this database.
    pub(crate) async fn new(database: &str, servers: Vec<String>) -> Self {
        let store = Store::open(database, Clock::system()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let body = EnrolBody {
            hostname: "web-01".to_owned(),
            address: "http://127.0.0.1:1".to_owned(),
            tls_address: None,
            install_dirs: vec!["/srv/tls".to_owned()],
            agent_version: "1".to_owned(),
            owner: None,
            identity_csr_pem: None,
        };
        let agent = agents::insert(&mut tx, &body, 60).await.unwrap();
        let token = NewToken {
            name: "web-01".to_owned(),
            purpose: Purpose::Bearer,
            role: Role::Agent,
            agent_id: Some(agent.id.clone()),
            parent: None,
            expires_at: None,
        };
        let secret = cmp_console::domain::secret::Secret::new(AGENT_TOKEN.to_owned());
        tokens::create(&mut tx, &token, &secret).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;
        Self {
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(40))
                .build()
                .unwrap(),
            servers: Mutex::new(servers),
            agent: agent.id,
            refused: AtomicUsize::new(0),
        }
    }

    /// Number `n`: asks for a certificate; the request's id.
    pub(crate) async fn ask(&self, n: usize) -> String {
        let key = format!("ask-{n}");
        let asked = self.change("/api/v1/certs", TOKEN, &key, &self.wish(n)).await;
        asked["requests"][0]["id"].as_str().unwrap().to_owned()
    }

    fn wish(&self, n: usize) -> Value {
        json!({"common_name": name(n), "agent_id": self.agent})
    }

    /// The same once, whatever comes of it.
    pub(crate) async fn ask_once(&self, n: usize) -> (u16, Value) {
        let server = self.servers.lock().unwrap()[0].clone();
        let sent = self
            .http
            .post(format!("http://{server}/api/v1/certs"))
            .bearer_auth(TOKEN)
            .header("Idempotency-Key", format!("ask-{n}"))
            .json(&self.wish(n));
        let reply = sent.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    /// Asks for it and hands its CSR in; the request's id.
    pub(crate) async fn request(&self, n: usize) -> String {
        let id = self.ask(n).await;
        let body = json!({"csr_pem": csr(&name(n))});
        let path = format!("/api/v1/requests/{id}/csr");
        self.change(&path, AGENT_TOKEN, &format!("csr-{n}"), &body).await;
        id
    }

    /// Sent until it is done. Whatever goes wrong has to be a lost connection or a problem that says that
    /// it may be sent again, and what next.
    pub(crate) async fn change(&self, path: &str, token: &str, key: &str, body: &Value) -> Value {
        let began = Instant::now();
        let mut times = 0;
        loop {
            assert!(began.elapsed() < LIMIT, "{key} gets no answer");
            let server = {
                let servers = self.servers.lock().unwrap();
                servers[(key.len() + times as usize) % servers.len()].clone()
            };
            times += 1;
            let sent = self
                .http
                .post(format!("http://{server}{path}"))
                .bearer_auth(token)
                .header("Idempotency-Key", key)
                .json(body)
                .send();
            if let Ok(reply) = sent.await {
                let status = reply.status();
                let kind = reply.headers()["content-type"].to_str().unwrap().to_owned();
                if let Ok(body) = reply.json::<Value>().await {
                    if status.is_success() {
                        return body;
                    }
                    assert!(
                        matches!(status.as_u16(), 503 | 504) && kind == "application/problem+json",
                        "{key}: {status} {kind} {body}"
                    );
                    assert!(body["detail"].is_string(), "it says what next: {body}");
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn name(n: usize) -> String {
    format!("h{n}.example.com")
}

/// What `/readyz` of a server says: the status, and state and note of one backend.
pub(crate) async fn ready(server: &str, backend: &str) -> Option<(u16, String, String)> {
    let reply = reqwest::get(format!("http://{server}/readyz")).await.ok()?;
    let status = reply.status().as_u16();
    let body: Value = reply.json().await.ok()?;
    let found = body["backends"].as_array()?;
    let it = found.iter().find(|it| it["backend"] == backend)?;
    let text = |field: &str| it[field].as_str().unwrap_or_default().to_owned();
    Some((status, text("state"), text("note")))
}

/// With a key of its own.
fn csr(name: &str) -> String {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}
