//! The contract of the bundled Vault server, over real HTTP: what a client of Vault relies on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic"
)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use cmp_console::clock::Clock;
use cmp_console::services::vault::Vault;
use rcgen::{CertificateParams, DnType, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};

struct Server {
    base: String,
    http: reqwest::Client,
    keys: Vec<String>,
    token: String,
    _dir: tempfile::TempDir,
}

impl Server {
    /// A server with its CA and role, sealed.
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path(), Clock::system()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, vault.router()).await });
        let mut server = Self {
            base,
            http: reqwest::Client::new(),
            keys: Vec::new(),
            token: String::new(),
            _dir: dir,
        };
        let (status, health) = server.call(Method::GET, "sys/health", Value::Null).await;
        assert_eq!((status, &health["initialized"]), (501, &json!(false)));
        let (status, made) = server
            .call(
                Method::PUT,
                "sys/init",
                json!({"secret_shares": 5, "secret_threshold": 3}),
            )
            .await;
        assert_eq!(status, 200, "{made}");
        server.keys = serde_json::from_value(made["keys_base64"].clone()).unwrap();
        server.token = made["root_token"].as_str().unwrap().to_owned();
        server.unseal().await;
        for (path, body) in [
            ("sys/mounts/cmp-pki", json!({"type": "pki"})),
            (
                "cmp-pki/root/generate/internal",
                json!({"common_name": "test root", "ttl": "8760h"}),
            ),
            (
                "cmp-pki/roles/cmp-role",
                json!({"allowed_domains": "example.com", "allow_subdomains": true, "max_ttl": "720h", "key_type": "any"}),
            ),
        ] {
            let (status, answer) = server.call(Method::POST, path, body).await;
            assert!(status == 200 || status == 204, "{path}: {answer}");
        }
        let (status, _) = server.call(Method::PUT, "sys/seal", Value::Null).await;
        assert_eq!(status, 204);
        server
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}/v1/{path}", self.base));
        if !self.token.is_empty() {
            request = request.header("X-Vault-Token", &self.token);
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null),
        )
    }

    async fn unseal(&self) {
        for key in &self.keys[..3] {
            assert_eq!(
                self.call(Method::PUT, "sys/unseal", json!({"key": key})).await.0,
                200
            );
        }
    }

    async fn sign(&self, name: &str, sans: &[&str]) -> (u16, Value) {
        let body = json!({"csr": csr(name, sans), "common_name": name, "ttl": "1h"});
        self.call(Method::POST, "cmp-pki/sign/cmp-role", body).await
    }

    async fn text(&self, path: &str) -> String {
        self.http
            .get(format!("{}/v1/{path}", self.base))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }
}

fn csr(name: &str, sans: &[&str]) -> String {
    let sans: Vec<String> = sans.iter().map(|san| (*san).to_owned()).collect();
    let mut params = CertificateParams::new(sans).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
        .unwrap()
}

fn errors(answer: &Value) -> String {
    let errors = answer["errors"].as_array().into_iter().flatten();
    errors.filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
}

/// An outside program is there, or its absence is named; in CI absence is a failure.
fn has(what: &str, probe: &mut Command) -> bool {
    let there = probe
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{what} is not installed");
        eprintln!("skipped: {what} is not installed");
    }
    there
}

#[tokio::test]
async fn the_ceremony_follows_vaults_rules() {
    let server = Server::start().await;
    let (status, answer) = server
        .call(Method::GET, "cmp-pki/roles/cmp-role", Value::Null)
        .await;
    assert_eq!((status, errors(&answer)), (503, r#"Vault is sealed"#.to_owned()));
    let enter = |key: String| server.call(Method::PUT, "sys/unseal", json!({"key": key}));
    let (_, one) = enter(server.keys[0].clone()).await;
    assert_eq!((&one["progress"], &one["sealed"]), (&json!(1), &json!(true)));
    let (_, same) = enter(server.keys[0].clone()).await;
    assert_eq!((&same["progress"], &same["nonce"]), (&json!(1), &one["nonce"]));
    let wrong = {
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::STANDARD;
        let mut bytes = engine.decode(&server.keys[1]).unwrap();
        bytes[9] ^= 1;
        engine.encode(bytes)
    };
    assert_eq!(enter(wrong).await.0, 200);
    let (status, refused) = enter(server.keys[2].clone()).await;
    assert_eq!(status, 400, "{refused}");
    let (_, status) = server.call(Method::GET, "sys/seal-status", Value::Null).await;
    assert_eq!((&status["progress"], &status["nonce"]), (&json!(0), &json!("")));
    let (status, _) = enter("not a share".to_owned()).await;
    assert_eq!(status, 400);
    server.unseal().await;
    let (status, answer) = server
        .call(Method::PUT, "sys/unseal", json!({"reset": true}))
        .await;
    assert_eq!(
        (status, errors(&answer)),
        (400, r#"vault is unsealed"#.to_owned())
    );
    assert_eq!(server.call(Method::GET, "sys/health", Value::Null).await.0, 200);
    assert_eq!(
        server
            .call(Method::PUT, "sys/init", json!({"secret_shares": 1}))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn refusals_are_vaults() {
    let server = Server::start().await;
    server.unseal().await;
    let (status, answer) = server
        .call(
            Method::POST,
            "cmp-pki/sign/cmp-role",
            json!({"common_name": "a.example.com"}),
        )
        .await;
    assert_eq!((status, errors(&answer)), (400, r#""csr" is empty"#.to_owned()));
    let (status, answer) = server.sign("evil.example.org", &[]).await;
    assert_eq!(status, 400);
    assert!(
        errors(&answer).contains("common name evil.example.org not allowed by this role"),
        "{answer}"
    );
    let (_, answer) = server.sign("a.example.com", &["db.internal"]).await;
    assert!(
        errors(&answer).contains("subject alternate name db.internal not allowed by this role"),
        "{answer}"
    );
    let (status, answer) = server.call(Method::GET, "nothing/here", Value::Null).await;
    assert_eq!(status, 404);
    assert!(errors(&answer).contains("no handler for route"), "{answer}");
    let (status, answer) = server
        .call(Method::POST, "cmp-pki/revoke", json!({"serial_number": "aa:bb"}))
        .await;
    assert_eq!(status, 400, "{answer}");
    let stranger = Server {
        token: "hvs.nobody".to_owned(),
        http: server.http.clone(),
        base: server.base.clone(),
        keys: Vec::new(),
        _dir: tempfile::tempdir().unwrap(),
    };
    let (status, answer) = stranger.call(Method::GET, "sys/mounts", Value::Null).await;
    assert_eq!(
        (status, errors(&answer)),
        (403, r#"permission denied"#.to_owned())
    );
}

#[tokio::test]
async fn a_token_may_do_what_its_policy_says_and_only_while_it_lives() {
    let mut server = Server::start().await;
    server.unseal().await;
    let policy = "path \"cmp-pki/sign/cmp-role\" { capabilities = [\"update\"] }";
    assert_eq!(
        server
            .call(Method::PUT, "sys/policies/acl/signer", json!({"policy": policy}))
            .await
            .0,
        204
    );
    let body = json!({"policies": ["signer"], "ttl": "1h"});
    let (_, made) = server.call(Method::POST, "auth/token/create", body).await;
    server.token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(server.sign("a.example.com", &[]).await.0, 200);
    assert_eq!(server.call(Method::GET, "sys/mounts", Value::Null).await.0, 403);
    let (status, own) = server
        .call(Method::GET, "auth/token/lookup-self", Value::Null)
        .await;
    assert_eq!(status, 200);
    assert!(own["data"]["ttl"].as_i64().is_some_and(|ttl| ttl > 3500));
    assert_eq!(
        server
            .call(Method::POST, "auth/token/revoke-self", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(server.sign("a.example.com", &[]).await.0, 403);
}

#[tokio::test]
async fn kv_keeps_versions() {
    let server = Server::start().await;
    server.unseal().await;
    server
        .call(
            Method::POST,
            "sys/mounts/secret",
            json!({"type": "kv", "options": {"version": "2"}}),
        )
        .await;
    let put = |data: Value, cas: u64| {
        server.call(
            Method::POST,
            "secret/data/app/x",
            json!({"data": data, "options": {"cas": cas}}),
        )
    };
    assert_eq!(put(json!({"a": 1}), 0).await.0, 200);
    assert_eq!(put(json!({"a": 2}), 0).await.0, 400);
    assert_eq!(put(json!({"a": 2}), 1).await.0, 200);
    let (_, read) = server.call(Method::GET, "secret/data/app/x", Value::Null).await;
    assert_eq!(read["data"]["data"], json!({"a": 2}));
    let (_, old) = server
        .call(Method::GET, "secret/data/app/x?version=1", Value::Null)
        .await;
    assert_eq!(old["data"]["data"], json!({"a": 1}));
    let (_, keys) = server
        .call(Method::GET, "secret/metadata/app?list=true", Value::Null)
        .await;
    assert_eq!(keys["data"]["keys"], json!(["x"]));
    assert_eq!(
        server
            .call(Method::DELETE, "secret/data/app/x", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        server.call(Method::GET, "secret/data/app/x", Value::Null).await.0,
        404
    );
}

#[tokio::test]
async fn times_that_can_not_be_are_refused_and_nothing_falls_over() {
    let server = Server::start().await;
    server.unseal().await;
    let csr = csr("a.example.com", &["a.example.com"]);
    for ttl in [
        json!("99999999999h"),
        json!(i64::MAX),
        json!(-5),
        json!("1x"),
        json!([]),
    ] {
        for (path, body) in [
            ("auth/token/create", json!({"policies": ["x"], "ttl": ttl})),
            (
                "auth/token/create",
                json!({"policies": ["x"], "explicit_max_ttl": ttl}),
            ),
            ("cmp-pki/sign/cmp-role", json!({"csr": csr, "ttl": ttl})),
            ("cmp-pki/roles/odd", json!({"ttl": ttl})),
            ("cmp-pki/roles/odd", json!({"not_before_duration": ttl})),
        ] {
            let (status, answer) = server.call(Method::POST, path, body).await;
            assert_eq!(status, 400, "{path} with {ttl}: {answer}");
        }
    }
    for end in [
        "0000-00-00",
        "+99999-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "1969-01-01T00:00:00Z",
    ] {
        let body = json!({"csr": csr, "not_after": end});
        let (status, answer) = server.call(Method::POST, "cmp-pki/sign/cmp-role", body).await;
        assert_eq!(status, 400, "{end}: {answer}");
    }
    let (status, _) = server.call(Method::GET, "sys/health", Value::Null).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_role_holds_keys_to_its_type_and_size() {
    let server = Server::start().await;
    server.unseal().await;
    let csr = csr("a.example.com", &["a.example.com"]);
    for (role, words) in [
        (json!({"key_type": "rsa"}), "role requires keys of type rsa"),
        (
            json!({"key_type": "ec", "key_bits": 384}),
            "role requires a minimum of a 384-bit key, but CSR's key is 256 bits",
        ),
    ] {
        let mut body = json!({"allowed_domains": "example.com", "allow_subdomains": true});
        body.as_object_mut()
            .unwrap()
            .extend(role.as_object().unwrap().clone());
        server.call(Method::POST, "cmp-pki/roles/strict", body).await;
        let (status, answer) = server
            .call(Method::POST, "cmp-pki/sign/strict", json!({"csr": csr}))
            .await;
        assert_eq!((status, errors(&answer).as_str()), (400, words));
    }
    let body = json!({"common_name": "a.example.com"});
    let (status, answer) = server.call(Method::POST, "cmp-pki/issue/cmp-role", body).await;
    assert_eq!(status, 400);
    assert!(errors(&answer).contains("only signing"), "{answer}");
}

#[tokio::test]
async fn a_periodic_token_lives_on_and_another_ends_for_good() {
    let server = Server::start().await;
    server.unseal().await;
    let made =
        async |body: Value| server.call(Method::POST, "auth/token/create", body).await.1["auth"].clone();
    let periodic = made(json!({"policies": ["x"], "period": "1h"})).await;
    assert_eq!(
        (&periodic["lease_duration"], &periodic["renewable"]),
        (&json!(3600), &json!(true))
    );
    assert_eq!(periodic["policies"], json!(["default", "x"]));
    let token = periodic["client_token"].as_str().unwrap();
    let (_, itself) = server
        .call(Method::POST, "auth/token/lookup", json!({"token": token}))
        .await;
    assert_eq!(
        (&itself["data"]["id"], &itself["data"]["period"]),
        (&json!(token), &json!(3600))
    );
    let short = made(json!({"policies": ["x"], "ttl": "2h", "explicit_max_ttl": "1h"})).await;
    let (_, itself) = server
        .call(
            Method::POST,
            "auth/token/lookup",
            json!({"token": short["client_token"]}),
        )
        .await;
    assert_eq!(itself["data"]["explicit_max_ttl"], 3600);
    assert!(itself["data"]["ttl"].as_i64().unwrap() <= 3600, "{itself}");
    let (status, _) = server
        .call(Method::POST, "auth/token/create", json!({"num_uses": 3}))
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn what_is_unmounted_is_gone_and_the_system_stays() {
    let server = Server::start().await;
    server.unseal().await;
    let kv = || server.call(Method::POST, "sys/mounts/box", json!({"type": "kv-v2"}));
    assert_eq!(kv().await.0, 204);
    server
        .call(Method::POST, "box/data/a", json!({"data": {"x": 1}}))
        .await;
    assert_eq!(
        server.call(Method::DELETE, "sys/mounts/box", Value::Null).await.0,
        204
    );
    assert_eq!(kv().await.0, 204);
    assert_eq!(server.call(Method::GET, "box/data/a", Value::Null).await.0, 404);
    let (status, answer) = server.call(Method::DELETE, "sys/mounts/sys", Value::Null).await;
    assert_eq!(
        (status, errors(&answer).as_str()),
        (400, "cannot unmount \"sys/\"")
    );
    let (status, _) = server
        .call(Method::POST, "sys/mounts/one", json!({"type": "kv"}))
        .await;
    assert_eq!(status, 400, "version 1 isn't spoken");
}

#[tokio::test]
async fn kv_merges_patches_and_takes_a_number_as_text() {
    let server = Server::start().await;
    server.unseal().await;
    server
        .call(Method::POST, "sys/mounts/box", json!({"type": "kv-v2"}))
        .await;
    let patch = |body: Value| server.call(Method::PATCH, "box/data/a", body);
    assert_eq!(patch(json!({"data": {"x": 1}})).await.0, 404);
    server
        .call(Method::POST, "box/data/a", json!({"data": {"x": 1, "y": 2}}))
        .await;
    assert_eq!(
        patch(json!({"data": {"x": null, "z": 3}, "options": {"cas": "1"}}))
            .await
            .0,
        200
    );
    let (_, read) = server.call(Method::GET, "box/data/a", Value::Null).await;
    assert_eq!(read["data"]["data"], json!({"y": 2, "z": 3}));
    assert_eq!(
        patch(json!({"data": {"x": 1}, "options": {"cas": "1"}})).await.0,
        400
    );
    assert_eq!(
        patch(json!({"data": {"x": 1}, "options": {"cas": "one"}}))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_leaf_says_where_its_issuer_and_its_list_are() {
    let server = Server::start().await;
    server.unseal().await;
    let urls = json!({"crl_distribution_points": "http://v/crl", "issuing_certificates": ["http://v/ca"]});
    server.call(Method::POST, "cmp-pki/config/urls", urls).await;
    let body = json!({"csr": csr("a.example.com", &["a.example.com"])});
    let (_, signed) = server.call(Method::POST, "cmp-pki/sign/cmp-role", body).await;
    let pem = pem::parse(signed["data"]["certificate"].as_str().unwrap()).unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(pem.contents()).unwrap();
    let words = format!("{:?}", leaf.extensions());
    assert!(
        words.contains("http://v/crl") && words.contains("http://v/ca"),
        "{words}"
    );
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_answered_as_vault_does() {
    let server = Server::start().await;
    server.unseal().await;
    for (method, path, status, words) in [
        (
            Method::GET,
            "nowhere/x",
            404,
            "no handler for route \"nowhere/x\". route entry not found.",
        ),
        (Method::GET, "cmp-pki/nothing/here", 404, "unsupported path"),
        (Method::GET, "cmp-pki/sign/cmp-role", 405, "unsupported operation"),
    ] {
        let (got, answer) = server.call(method, path, Value::Null).await;
        assert_eq!(got, status, "{path}: {answer}");
        assert!(errors(&answer).contains(words), "{path}: {answer}");
    }
}

fn verifies(dir: &Path, certificate: &str, ca: &str, crl: &str) -> bool {
    for (name, text) in [("cert.pem", certificate), ("ca.pem", ca), ("crl.pem", crl)] {
        fs::write(dir.join(name), text).unwrap();
    }
    let output = Command::new("openssl")
        .args([
            "verify",
            "-crl_check",
            "-x509_strict",
            "-CAfile",
            "ca.pem",
            "-CRLfile",
            "crl.pem",
            "cert.pem",
        ])
        .current_dir(dir)
        .output()
        .unwrap();
    output.status.success()
}

#[tokio::test]
async fn openssl_accepts_before_the_revocation_and_refuses_after() {
    if !has("openssl", Command::new("openssl").arg("version")) {
        return;
    }
    let server = Server::start().await;
    server.unseal().await;
    let (status, signed) = server
        .sign("web.example.com", &["web.example.com", "www.example.com"])
        .await;
    assert_eq!(status, 200, "{signed}");
    let certificate = signed["data"]["certificate"].as_str().unwrap().to_owned();
    let dir = tempfile::tempdir().unwrap();
    let ca = server.text("cmp-pki/ca/pem").await;
    assert!(verifies(
        dir.path(),
        &certificate,
        &ca,
        &server.text("cmp-pki/crl/pem").await
    ));
    let serial = json!({"serial_number": signed["data"]["serial_number"]});
    let (status, revoked) = server.call(Method::POST, "cmp-pki/revoke", serial.clone()).await;
    assert_eq!((status, &revoked["data"]["state"]), (200, &json!("revoked")));
    assert!(!verifies(
        dir.path(),
        &certificate,
        &ca,
        &server.text("cmp-pki/crl/pem").await
    ));
    let (_, again) = server.call(Method::POST, "cmp-pki/revoke", serial).await;
    assert_eq!(
        again["data"]["revocation_time"],
        revoked["data"]["revocation_time"]
    );
}

#[tokio::test]
async fn hvac_does_status_unseal_sign_revoke_and_crl() {
    if !has("hvac", Command::new("python3").args(["-c", "import hvac"])) {
        return;
    }
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("csr.pem");
    fs::write(&file, csr("web.example.com", &["web.example.com"])).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/vault_hvac.py");
    let secrets = json!({"keys": server.keys, "token": server.token}).to_string();
    let base = server.base.clone();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = Command::new("python3")
            .args([script.as_os_str(), base.as_ref(), file.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(secrets.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success() && out.trim() == "ok", "{out}{error}");
}
