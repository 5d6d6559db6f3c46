//! A client as it should be: it sends what got no answer again, with the same key, to whichever server
//! there is.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use cmp_console::clock::Clock;
use cmp_console::domain::role::Role;
use cmp_console::store::tokens::{NewToken, Purpose};
use cmp_console::store::{Store, agents, tokens};
use cmp_console::wire::agents::EnrolBody;
use serde_json::{Value, json};

use crate::daemon::TOKEN;

/// Nothing takes longer, however often it has to be sent.
const LIMIT: Duration = Duration::from_secs(120);
/// Before it is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// The one agent's.
const AGENT_TOKEN: &str = "cmp_a-token-for-the-agent-of-the-storm";

pub(crate) struct Client {
    http: reqwest::Client,
    /// Where the servers are now.
    pub(crate) servers: Mutex<Vec<String>>,
    agent: String,
}

/// What a change came to.
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// How often it had to be sent.
    pub(crate) times: u32,
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
        };
        let agent = agents::insert(&mut tx, &body, 60).await.unwrap();
        let token = NewToken {
            name: "web-01".to_owned(),
            purpose: Purpose::Bearer,
            role: Role::Agent,
            agent_id: Some(agent.id.clone()),
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
        }
    }

    /// Number `n`: asks for a certificate and hands its CSR in; the request's id.
    pub(crate) async fn request(&self, n: usize) -> String {
        let name = format!("h{n}.example.com");
        let body = json!({"common_name": name, "agent_id": self.agent});
        let asked = self
            .change("/api/v1/certs", TOKEN, &format!("ask-{n}"), &body)
            .await;
        let id = asked.body["requests"][0]["id"].as_str().unwrap().to_owned();
        let body = json!({"csr_pem": csr(&name)});
        let path = format!("/api/v1/requests/{id}/csr");
        self.change(&path, AGENT_TOKEN, &format!("csr-{n}"), &body).await;
        id
    }

    /// Sent until it is done. Whatever goes wrong has to be a lost connection or a problem that says that
    /// it may be sent again, and what next.
    pub(crate) async fn change(&self, path: &str, token: &str, key: &str, body: &Value) -> Answer {
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
                        return Answer { body, times };
                    }
                    assert!(
                        matches!(status.as_u16(), 503 | 504) && kind == "application/problem+json",
                        "{key}: {status} {kind} {body}"
                    );
                    assert!(body["hint"].is_string(), "it says what next: {body}");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// With a key of its own.
fn csr(name: &str) -> String {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}
