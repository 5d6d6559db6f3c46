//! One server to hold to the contract: the bundled one, or a real `vault` or `bao`. Each is its test's
//! own, and gone when the test is over.

use cmp_console::clock::Clock;
use cmp_console::services::vault::Vault;
use reqwest::Method;
use serde_json::{Value, json};

use super::real::Process;

/// Where the suite's CA is.
pub(crate) const MOUNT: &str = "cmp-pki";
/// The role that it signs with.
pub(crate) const ROLE: &str = "cmp-role";

/// A server, and what its initialisation gave.
pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) keys: Vec<String>,
    pub(crate) token: String,
    http: reqwest::Client,
    _state: State,
}

/// What lives and goes with it.
enum State {
    Bundled { _dir: tempfile::TempDir },
    Real { _process: Process },
    Borrowed,
}

impl Server {
    /// The bundled one, never initialised.
    pub(crate) async fn bundled() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path(), Clock::system()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, vault.router()).await });
        Self::at(base, State::Bundled { _dir: dir })
    }

    /// A real one, never initialised; `None` where there is none, which is said.
    pub(crate) async fn real() -> Option<Self> {
        let process = tokio::task::spawn_blocking(Process::start).await.unwrap()?;
        Some(Self::of(process))
    }

    /// The one that a process is.
    pub(crate) fn of(process: Process) -> Self {
        Self::at(process.base.clone(), State::Real { _process: process })
    }

    fn at(base: String, state: State) -> Self {
        Self {
            base,
            keys: Vec::new(),
            token: String::new(),
            http: reqwest::Client::new(),
            _state: state,
        }
    }

    /// The same server, called with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            base: self.base.clone(),
            keys: Vec::new(),
            token: token.to_owned(),
            http: self.http.clone(),
            _state: State::Borrowed,
        }
    }

    /// Initialised with five shares of which three open it; sealed.
    pub(crate) async fn initialised(mut self) -> Self {
        let shape = json!({"secret_shares": 5, "secret_threshold": 3});
        let (status, made) = self.put("sys/init", shape).await;
        assert_eq!(status, 200, "{made}");
        self.keys = serde_json::from_value(made["keys_base64"].clone()).unwrap();
        self.token = made["root_token"].as_str().unwrap().to_owned();
        self
    }

    /// Initialised and open, with nothing mounted.
    pub(crate) async fn open(self) -> Self {
        let server = self.initialised().await;
        server.unseal().await;
        server
    }

    /// Open, with a CA and a role.
    pub(crate) async fn with_ca(self) -> Self {
        let server = self.open().await;
        server.found(MOUNT).await;
        server
    }

    /// Mounts a CA and its role at `mount`.
    pub(crate) async fn found(&self, mount: &str) {
        let role = json!({
            "allowed_domains": "example.com", "allow_subdomains": true, "max_ttl": "720h", "key_type": "any",
        });
        for (path, body) in [
            (
                format!("sys/mounts/{mount}"),
                json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}}),
            ),
            (
                format!("{mount}/root/generate/internal"),
                json!({"common_name": "test root", "ttl": "8760h", "key_type": "ec"}),
            ),
            (format!("{mount}/roles/{ROLE}"), role),
        ] {
            self.must(&path, body).await;
        }
    }

    /// Any call.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let is_patch = method == Method::PATCH;
        let mut request = self.http.request(method, format!("{}/v1/{path}", self.base));
        if !self.token.is_empty() {
            request = request.header("X-Vault-Token", &self.token);
        }
        if is_patch {
            request = request.header("Content-Type", "application/merge-patch+json");
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn list(&self, path: &str) -> (u16, Value) {
        self.call(Method::from_bytes(b"LIST").unwrap(), path, Value::Null)
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::PUT, path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.call(Method::DELETE, path, Value::Null).await
    }

    /// A `POST` that has to be done; its answer.
    pub(crate) async fn must(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!(status == 200 || status == 204, "{path}: {status} {answer}");
        answer
    }

    /// A body as it is, with its status and its media type.
    pub(crate) async fn raw(&self, path: &str) -> (u16, String, Vec<u8>) {
        let url = format!("{}/v1/{path}", self.base);
        let response = self.http.get(url).send().await.unwrap();
        let kind = response.headers().get("content-type");
        let kind = kind.map(|kind| kind.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap().to_vec();
        (status, kind.unwrap_or_default(), body)
    }

    /// A body as text.
    pub(crate) async fn text(&self, path: &str) -> String {
        String::from_utf8(self.raw(path).await.2).unwrap()
    }

    /// Three of the five shares.
    pub(crate) async fn unseal(&self) {
        for key in &self.keys[..3] {
            let (status, answer) = self.put("sys/unseal", json!({"key": key})).await;
            assert_eq!(status, 200, "{answer}");
        }
    }

    /// Has a CSR for `name` signed for an hour.
    pub(crate) async fn sign(&self, name: &str, sans: &[&str]) -> (u16, Value) {
        let body = json!({"csr": csr(name, sans), "common_name": name, "ttl": "1h"});
        self.post(&format!("{MOUNT}/sign/{ROLE}"), body).await
    }
}

/// A CSR with a key of its own.
pub(crate) fn csr(name: &str, sans: &[&str]) -> String {
    csr_of(&rcgen::KeyPair::generate().unwrap(), name, sans)
}

/// A CSR with this key.
pub(crate) fn csr_of(key: &rcgen::KeyPair, name: &str, sans: &[&str]) -> String {
    let sans: Vec<String> = sans.iter().map(|san| (*san).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(sans).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.serialize_request(key).unwrap().pem().unwrap()
}

/// The words of a refusal.
pub(crate) fn errors(answer: &Value) -> String {
    let errors = answer["errors"].as_array().into_iter().flatten();
    errors.filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
}

/// The words of the warnings.
pub(crate) fn warnings(answer: &Value) -> String {
    let warnings = answer["warnings"].as_array().into_iter().flatten();
    warnings.filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
}
