//! A server on a free port over a fresh database, with an agent, its certificates and tokens.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use cmp_console::clock::Clock;
use cmp_console::domain::adapter::Pause;
use cmp_console::domain::audit::AuditRow;
use cmp_console::domain::role::Role;
use cmp_console::domain::secret::Secret;
use cmp_console::problem::Problem;
use cmp_console::services::api::{ApiState, Unreached, Wake, router, serve};
use cmp_console::services::serve::Bounds;
use cmp_console::store::certificates::NewCertificate;
use cmp_console::store::jobs::Listening;
use cmp_console::store::tokens::{self, NewToken, Purpose};
use cmp_console::store::{Store, adapters, agents, audit, certificates, holders, issuance};
use cmp_console::wire::agents::{EnrolBody, WakeReply};
use futures::future::BoxFuture;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::server::{self, Database};

pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    pub(crate) operator: String,
    pub(crate) viewer: String,
    pub(crate) agent_token: String,
    pub(crate) agent: String,
    pub(crate) adapter: String,
    pub(crate) cert: String,
    pub(crate) foreign_cert: String,
    pub(crate) expired_cert: String,
    pub(crate) woken: Arc<Mutex<Vec<String>>>,
    /// The database, on PostgreSQL.
    pub(crate) postgres: Option<Database>,
    /// While it is locked, no wake-up is answered.
    pub(crate) bell: Arc<tokio::sync::Mutex<()>>,
    /// The router, as it shows itself to who debugs it.
    pub(crate) debugged: String,
    pub(crate) dir: tempfile::TempDir,
}

#[derive(Clone)]
struct Bell(Arc<Mutex<Vec<String>>>, Arc<tokio::sync::Mutex<()>>);

impl Wake for Bell {
    fn wake(&self, agent: Listening) -> BoxFuture<'static, Result<WakeReply, Unreached>> {
        let address = agent.address;
        self.0.lock().unwrap().push(address.clone());
        let answering = Arc::clone(&self.1);
        Box::pin(async move {
            drop(answering.lock().await);
            if address.ends_with(":9") {
                return Err(Unreached {
                    failed_step: "connect".to_owned(),
                    problem: Problem::unavailable("connection refused"),
                });
            }
            Ok(WakeReply {
                agent_id: None,
                reported: true,
                n_jobs: 0,
                problem: None,
            })
        })
    }
}

pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap()
}

pub(crate) fn certificate(n: u32, days: i64) -> NewCertificate {
    NewCertificate {
        subject: format!("CN=host-{n}.example.com"),
        sans: vec![format!("host-{n}.example.com")],
        issuer: "CN=CMP".to_owned(),
        serial: format!("00:{n:02x}"),
        fingerprint_sha256: format!("{n:064x}"),
        spki_sha256: format!("aa{n:062x}"),
        key_algorithm: "ecdsa-p256".to_owned(),
        not_before: noon() - Duration::days(90),
        not_after: noon() + Duration::days(days),
        adapter_id: None,
        pem: "pem".to_owned(),
        chain_pem: "chain".to_owned(),
    }
}

pub(crate) fn enrol(hostname: &str) -> EnrolBody {
    EnrolBody {
        hostname: hostname.to_owned(),
        address: "http://127.0.0.1:1".to_owned(),
        tls_address: None,
        install_dirs: vec!["/srv/tls".to_owned()],
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
    }
}

impl Server {
    /// Over a database of the kind that this suite is for; `None` where it isn't here.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_within(Bounds::default()).await
    }

    pub(crate) async fn start_within(bounds: Bounds) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let postgres = match module_path!().contains("::postgres::") {
            true => Some(server::fresh()?),
            false => None,
        };
        let url = match &postgres {
            Some(database) => database.url.clone(),
            None => format!("sqlite://{}/cmp.db", dir.path().display()),
        };
        let clock = Clock::fixed(noon());
        let store = Store::open(&url, clock.clone()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let config = serde_json::json!({"address": "http://127.0.0.1:8200"});
        let adapter = adapters::upsert(&mut tx, "vault", "vault_pki", &config)
            .await
            .unwrap();
        let agent = agents::insert(&mut tx, &enrol("web-01"), 60).await.unwrap();
        let mut held = certificate(1, 60);
        held.adapter_id = Some(adapter.id.clone());
        let cert = certificates::insert(&mut tx, &held).await.unwrap();
        let foreign = certificates::insert(&mut tx, &certificate(2, 60)).await.unwrap();
        let expired = certificates::insert(&mut tx, &certificate(3, -1)).await.unwrap();
        for spki in [&cert.spki_sha256, &expired.spki_sha256] {
            holders::add(&mut tx, &agent.id, spki).await.unwrap();
        }
        tx.commit().await.unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let woken = Arc::new(Mutex::new(Vec::new()));
        let bell = Arc::default();
        let wake = Arc::new(Bell(Arc::clone(&woken), Arc::clone(&bell)));
        let state = ApiState::new(store.clone(), wake).bounds(bounds);
        let debugged = format!("{:?}", router(state.clone()));
        tokio::spawn(serve(listener, state, std::future::pending()));
        let mut server = Self {
            store,
            clock,
            base,
            http: reqwest::Client::new(),
            operator: String::new(),
            viewer: String::new(),
            agent_token: String::new(),
            agent: agent.id.clone(),
            adapter: adapter.id,
            cert: cert.id,
            foreign_cert: foreign.id,
            expired_cert: expired.id,
            woken,
            postgres,
            bell,
            debugged,
            dir,
        };
        server.operator = server.token("ops", Role::Operator, None, None).await;
        server.viewer = server.token("eyes", Role::Viewer, None, None).await;
        server.agent_token = server
            .token("agent:web-01", Role::Agent, Some(&agent.id), None)
            .await;
        Some(server)
    }

    pub(crate) async fn token(
        &self,
        name: &str,
        role: Role,
        agent: Option<&str>,
        expires_at: Option<DateTime<Utc>>,
    ) -> String {
        self.make_token(name, role, Purpose::Bearer, agent, expires_at)
            .await
    }

    pub(crate) async fn make_token(
        &self,
        name: &str,
        role: Role,
        purpose: Purpose,
        agent: Option<&str>,
        expires_at: Option<DateTime<Utc>>,
    ) -> String {
        let secret: Secret = tokens::mint().unwrap();
        let new = NewToken {
            name: name.to_owned(),
            purpose,
            role,
            agent_id: agent.map(str::to_owned),
            parent: None,
            expires_at,
        };
        let mut tx = self.store.begin().await.unwrap();
        tokens::create(&mut tx, &new, &secret).await.unwrap();
        tx.commit().await.unwrap();
        secret.expose().to_owned()
    }

    /// Method, path, token, body, Idempotency-Key; the answer's status and JSON.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: &str,
        key: Option<&str>,
    ) -> (StatusCode, Value) {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .body(body.to_owned());
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let expected = if status.is_success() {
            "application/json"
        } else {
            "application/problem+json"
        };
        if path != "/readyz" {
            assert_eq!(media_type, expected, "{path}");
        }
        (
            status,
            serde_json::from_str(&response.text().await.unwrap()).unwrap(),
        )
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, &self.viewer, "", None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> (StatusCode, Value) {
        self.call(Method::POST, path, &self.operator, body, None).await
    }

    /// Begins a run with the operator's token.
    pub(crate) async fn begin_run(&self, id: &str) {
        let body = serde_json::json!({"id": id, "action": "reissue", "entity_type": "certificate",
            "entity_ids": [self.cert],
            "plan": {"run_id": id, "action": "reissue", "targets": [{"id": self.cert}]}});
        let (status, reply) = self.post("/api/v1/runs", &body.to_string()).await;
        assert_eq!(status, 201, "{reply}");
    }

    pub(crate) async fn rows(&self) -> Vec<AuditRow> {
        let mut conn = self.store.read().await.unwrap();
        audit::rows_after(&mut conn, 0, 1000).await.unwrap()
    }

    /// All that could have changed, but for the audit trail and what is kept of answers.
    pub(crate) async fn facts(&self) -> Value {
        let mut all = Vec::new();
        for path in ["certs", "agents", "requests", "keys", "runs", "adapters"] {
            all.push(self.get(&format!("/api/v1/{path}")).await.1);
        }
        all.push(
            self.get(&format!("/api/v1/installations?agent={}", self.agent))
                .await
                .1,
        );
        Value::Array(all)
    }

    pub(crate) async fn seal(&self) {
        let mut tx = self.store.begin().await.unwrap();
        issuance::pause_adapter(&mut tx, &self.adapter, &Pause::sealed())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}
