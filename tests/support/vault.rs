//! The bundled Vault-compatible server with a CA in it, in the test's own process.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::response::Response;
use chrono::TimeDelta;
use cmp_console::clock::Clock;
use cmp_console::domain::x509;
use cmp_console::services::vault::Vault;
use reqwest::Method;
use serde_json::{Value, json};

/// Open, with a CA at `cmp-pki` and the role `cmp-role`, which signs below example.com.
pub(crate) struct Ca {
    pub(crate) address: String,
    pub(crate) root_token: String,
    keys: Vec<String>,
    http: reqwest::Client,
    /// What its clock is ahead, in seconds, as far as others can see.
    pub(crate) ahead: Arc<AtomicI64>,
    _dir: tempfile::TempDir,
}

impl Ca {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path(), Clock::system()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let ahead = Arc::new(AtomicI64::new(0));
        let says = Arc::clone(&ahead);
        let dated = axum::middleware::map_response(move |mut response: Response| {
            let now = Clock::system().now() + TimeDelta::seconds(says.load(Ordering::Relaxed));
            let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            response.headers_mut().insert("date", date.parse().unwrap());
            std::future::ready(response)
        });
        let routes = vault.router().layer(dated);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let mut it = Self {
            address,
            root_token: String::new(),
            keys: Vec::new(),
            http: reqwest::Client::new(),
            ahead,
            _dir: dir,
        };
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let made = it.call("PUT", "sys/init", shares).await;
        it.keys = serde_json::from_value(made["keys_base64"].clone()).unwrap();
        it.root_token = made["root_token"].as_str().unwrap().to_owned();
        it.call("PUT", "sys/unseal", json!({"key": it.keys[0]})).await;
        let mount = json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}});
        it.call("POST", "sys/mounts/cmp-pki", mount).await;
        let root = json!({"common_name": "test root", "ttl": "8760h", "key_type": "ec"});
        it.call("POST", "cmp-pki/root/generate/internal", root).await;
        let role = json!({
            "allowed_domains": "example.com", "allow_subdomains": true, "max_ttl": "720h", "key_type": "any",
        });
        it.call("POST", "cmp-pki/roles/cmp-role", role).await;
        it
    }

    /// A call with the root token that has to be answered well.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/v1/{path}", self.address);
        let mut request = self.http.request(method, url);
        request = request.header("X-Vault-Token", &self.root_token);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The serials of all that it signed, its own certificate's left out.
    pub(crate) async fn serials(&self) -> BTreeSet<String> {
        let list = self.call("LIST", "cmp-pki/certs", Value::Null).await;
        let root = self.call("GET", "cmp-pki/cert/ca", Value::Null).await;
        let root = x509::read(root["data"]["certificate"].as_str().unwrap()).unwrap();
        let all: BTreeSet<String> = serde_json::from_value(list["data"]["keys"].clone()).unwrap();
        assert!(all.contains(&root.serial));
        all.into_iter().filter(|serial| *serial != root.serial).collect()
    }
}
