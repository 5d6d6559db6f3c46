//! CSRs of all sorts against the real thing: API, issuer and the bundled Vault. What is accepted is certified exactly
//! as it was read, as two other programs read it, and what is refused leaves nothing at the CA. And one of each kind
//! of what is signed, under a linter.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot get its fixture has failed, and says what it passes over"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cmp_console::clients::vault::Login;
use cmp_console::clock::Clock;
use cmp_console::domain::request::{Request, RequestStatus};
use cmp_console::domain::role::Role;
use cmp_console::domain::secret::Secret;
use cmp_console::services::api::{ApiState, IdentityCa, router};
use cmp_console::services::issuer::Issuer;
use cmp_console::services::wake::OverHttp;
use cmp_console::store::requests::NewRequest;
use cmp_console::store::tokens::{self, NewToken, Purpose};
use cmp_console::store::{Store, adapters, agents, certificates, requests};
use cmp_console::wire::agents::EnrolBody;
use futures::StreamExt;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

#[path = "support/vault.rs"]
mod vault;

/// So many of the ten thousand are really signed.
const N_CASES: usize = 10_000;
const AT_ONCE: usize = 4;
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Clone, Deserialize)]
struct Case {
    change: String,
    accepted: bool,
    names: Vec<String>,
    spelt: Vec<String>,
    key_algorithm: String,
    csr: String,
}

/// An API with its issuer and its CA, and one agent.
struct Site {
    dir: tempfile::TempDir,
    ca: vault::Ca,
    /// The certificate of the CA for agents.
    agents_ca: String,
    store: Store,
    base: String,
    http: reqwest::Client,
    operator: String,
    agent: String,
    agent_token: String,
    adapter: String,
    _stop: watch::Sender<bool>,
}

fn host(name: &str) -> EnrolBody {
    EnrolBody {
        hostname: name.to_owned(),
        address: "http://127.0.0.1:9".to_owned(),
        tls_address: None,
        install_dirs: Vec::new(),
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
    }
}

impl Site {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = vault::Ca::start().await;
        let role = json!({
            "allow_any_name": true, "key_type": "any", "require_cn": false, "max_ttl": "720h",
        });
        ca.call("POST", "cmp-pki/roles/any", role).await;
        let url = format!("sqlite://{}", dir.path().join("cmp.db").display());
        let store = Store::open(&url, Clock::system()).await.unwrap();
        let config = json!({"address": ca.address, "mount": "cmp-pki", "role": "any", "ttl": "24h"});
        let mut tx = store.begin().await.unwrap();
        let adapter = adapters::upsert(&mut tx, "vault", "vault_pki", &config)
            .await
            .unwrap();
        let agent = agents::insert(&mut tx, &host("web-01"), 30).await.unwrap();
        let mut secrets = Vec::new();
        for (role, agent_id) in [(Role::Operator, None), (Role::Agent, Some(agent.id.clone()))] {
            let secret = tokens::mint().unwrap();
            let new = NewToken {
                name: format!("{role:?}"),
                purpose: Purpose::Bearer,
                role,
                agent_id,
                expires_at: None,
                parent: None,
            };
            tokens::create(&mut tx, &new, &secret).await.unwrap();
            secrets.push(secret.expose().to_owned());
        }
        tx.commit().await.unwrap();
        let (agents_ca, key) = ca_for_agents();
        let file = dir.path().join("agents.pem");
        std::fs::write(&file, &agents_ca).unwrap();
        let identity_ca = Arc::new(IdentityCa::load(&file, &Secret::new(key)).unwrap());
        let state =
            ApiState::new(store.clone(), Arc::new(OverHttp::default())).identity_ca(Some(identity_ca));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router(state)).await });
        let (stop, stopped) = watch::channel(false);
        let login = Login::Token(Secret::new(ca.root_token.clone()));
        tokio::spawn(Issuer::new(store.clone(), "issuer", login).run(stopped));
        Self {
            dir,
            ca,
            agents_ca,
            store,
            base,
            http: reqwest::Client::new(),
            operator: secrets[0].clone(),
            agent: agent.id,
            agent_token: secrets[1].clone(),
            adapter: adapter.id,
            _stop: stop,
        }
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = self.http.post(url).bearer_auth(token).body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_str(&response.text().await.unwrap()).unwrap(),
        )
    }

    /// What is asked for through the API, in whatever spelling.
    async fn ask(&self, names: &[String], key_algorithm: &str) -> Request {
        let body = json!({
            "common_name": names[0], "sans": names, "agent_id": self.agent, "key_algorithm": key_algorithm,
        });
        let (status, reply) = self.post("certs", &self.operator, &body).await;
        assert_eq!(status, 202, "{names:?}: {reply}");
        serde_json::from_value(reply["requests"][0].clone()).unwrap()
    }

    async fn hand_in(&self, request: &str, csr_pem: &str) -> (u16, Value) {
        let body = json!({"csr_pem": csr_pem});
        self.post(&format!("requests/{request}/csr"), &self.agent_token, &body)
            .await
    }

    /// The end of a request, in the inventory.
    async fn issued(&self, id: &str) -> String {
        let waiting = async {
            loop {
                let mut conn = self.store.read().await.unwrap();
                let request = requests::existing(&mut conn, id).await.unwrap();
                match (request.status, request.certificate_id) {
                    (RequestStatus::Issued, Some(id)) => {
                        let certificate = certificates::read(&mut conn, &id).await.unwrap().unwrap();
                        return certificate.pem.unwrap();
                    }
                    (RequestStatus::Failed, _) => panic!("{:?}: {:?}", request.sans, request.error_message),
                    _ => {}
                }
                drop(conn);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.unwrap()
    }
}

/// As docs/server.md makes it; its key too.
fn ca_for_agents() -> (String, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "CMP agents");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2045, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn pem_of(base64: &str) -> String {
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        lines.join("\n")
    )
}

/// Python with a module is there, or its absence is named; in CI absence is a failure.
fn has(module: &str) -> bool {
    let there = Command::new("python3")
        .args(["-c", &format!("import {module}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        assert!(
            std::env::var_os("CI").is_none(),
            "python's {module} is not installed"
        );
        eprintln!("skipped: python's {module} is not installed");
    }
    there
}

fn python(script: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/csr")
        .join(script);
    let done = Command::new("python3")
        .arg(script)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let error = String::from_utf8_lossy(&done.stderr);
    let tail: String = said
        .chars()
        .rev()
        .take(4000)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    assert!(done.status.success(), "{tail}\n{error}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_is_what_is_certified() {
    if !has("cryptography") {
        return;
    }
    let made = python("cases.py", &["make", &N_CASES.to_string()]);
    let cases: Vec<Case> = made
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(cases.len(), N_CASES);
    let site = Site::start().await;

    // Half of what is accepted is asked for as people type it, the rest as it is recorded.
    let mut ids = vec![String::new(); cases.len()];
    let typed: Vec<usize> = (0..cases.len())
        .filter(|i| cases[*i].accepted && i % 2 == 0)
        .collect();
    for i in &typed {
        let request = site.ask(&cases[*i].names, &cases[*i].key_algorithm).await;
        assert_eq!(request.sans, cases[*i].spelt);
        ids[*i] = request.id;
    }
    let mut tx = site.store.begin().await.unwrap();
    for (id, case) in ids.iter_mut().zip(&cases).filter(|(id, _)| id.is_empty()) {
        let new = NewRequest {
            common_name: case.spelt[0].clone(),
            sans: case.spelt.clone(),
            key_algorithm: case.key_algorithm.clone(),
            adapter_id: site.adapter.clone(),
            agent_id: site.agent.clone(),
            install_path: None,
            replaces: None,
            requested_by: "ops".to_owned(),
            needs_approval: false,
        };
        *id = requests::insert(&mut tx, &new).await.unwrap().id;
    }
    tx.commit().await.unwrap();

    let wrong: Vec<String> = futures::stream::iter(cases.iter().zip(&ids))
        .map(async |(case, id)| {
            let (status, answer) = site.hand_in(id, &pem_of(&case.csr)).await;
            let fits = match case.accepted {
                true => status == 200,
                false => status == 400 || status == 422,
            };
            (!fits).then(|| format!("{}: {status} {answer}", case.change))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(
        wrong.is_empty(),
        "{} wrong, such as {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );

    let mut bundle = String::new();
    let mut lines = String::new();
    let accepted = made
        .lines()
        .zip(&cases)
        .zip(&ids)
        .filter(|((_, case), _)| case.accepted);
    for ((line, _), id) in accepted {
        bundle += &site.issued(id).await;
        lines += line;
        lines.push('\n');
    }
    let files = ["cases.json", "certificates.pem"].map(|name| site.dir.path().join(name));
    std::fs::write(&files[0], lines).unwrap();
    std::fs::write(&files[1], &bundle).unwrap();
    let n_read = python(
        "cases.py",
        &["read", files[0].to_str().unwrap(), files[1].to_str().unwrap()],
    );
    let n_accepted = cases.iter().filter(|case| case.accepted).count();
    assert_eq!(n_read.trim().parse(), Ok(n_accepted));

    // Everything that the CA has ever signed is one of those.
    let ours: BTreeSet<String> = cmp_console::domain::x509::read_all(&bundle)
        .unwrap()
        .into_iter()
        .map(|facts| facts.serial)
        .collect();
    assert_eq!(ours.len(), n_accepted);
    assert_eq!(site.ca.serials().await, ours);

    // Each change was made, so that none is passed over unseen.
    let mut n_by_change: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        *n_by_change.entry(&case.change).or_default() += 1;
    }
    assert!(
        n_by_change.len() > 60 && n_by_change.values().all(|n| *n > 20),
        "{n_by_change:?}"
    );
}

fn csr(key: &KeyPair, common_name: Option<&str>, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_each_kind_passes_the_linter() {
    if !has("pkilint") {
        return;
    }
    let site = Site::start().await;
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let long = format!("{}.example.com", "l".repeat(60));
    let rsa = || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let p384 = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();

    // No wildcards: RFC 5280 doesn't know them, and neither does its linter. They are among the ten thousand.
    // Three roots, each with a list that is not empty, and leaves of each kind below the first.
    for (mount, kind) in [
        ("cmp-pki", Value::Null),
        ("pki-384", json!({"key_type": "ec", "key_bits": 384})),
        ("pki-rsa", json!({"key_type": "rsa"})),
    ] {
        if mount != "cmp-pki" {
            let engine = json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}});
            site.ca.call("POST", &format!("sys/mounts/{mount}"), engine).await;
            let mut root = json!({"common_name": mount, "ttl": "8760h"});
            root.as_object_mut()
                .unwrap()
                .extend(kind.as_object().unwrap().clone());
            site.ca
                .call("POST", &format!("{mount}/root/generate/internal"), root)
                .await;
        }
        let urls = json!({
            "issuing_certificates": [format!("{}/v1/{mount}/ca", site.ca.address)],
            "crl_distribution_points": [format!("{}/v1/{mount}/crl", site.ca.address)],
        });
        site.ca.call("POST", &format!("{mount}/config/urls"), urls).await;
        let role = json!({"allow_any_name": true, "key_type": "any", "require_cn": false, "max_ttl": "720h"});
        site.ca.call("POST", &format!("{mount}/roles/any"), role).await;
        for (name, request) in [
            (
                "ec",
                csr(
                    &KeyPair::generate().unwrap(),
                    Some("a.example.com"),
                    &["a.example.com", "10.0.0.1"],
                ),
            ),
            (
                "p384",
                csr(
                    &p384(),
                    Some("a.example.com"),
                    &["a.example.com", "b.example.com"],
                ),
            ),
            (
                "rsa",
                csr(&rsa(), Some("a.example.com"), &["a.example.com", "2001:db8::1"]),
            ),
            ("long", csr(&KeyPair::generate().unwrap(), None, &[&long])),
        ] {
            let body = json!({"csr": request, "ttl": "24h"});
            let signed = site.ca.call("POST", &format!("{mount}/sign/any"), body).await;
            write(
                &format!("{mount}-{name}.crt"),
                signed["data"]["certificate"].as_str().unwrap(),
            );
            write(&format!("{mount}-{name}.root"), mount);
        }
        for key_type in ["ec", "rsa"] {
            let role = json!({"allow_any_name": true, "key_type": key_type, "max_ttl": "720h"});
            site.ca.call("POST", &format!("{mount}/roles/made"), role).await;
            let body = json!({"common_name": "made.example.com"});
            let made = site.ca.call("POST", &format!("{mount}/issue/made"), body).await;
            write(
                &format!("{mount}-made-{key_type}.crt"),
                made["data"]["certificate"].as_str().unwrap(),
            );
            let serial = json!({"serial_number": made["data"]["serial_number"]});
            site.ca.call("POST", &format!("{mount}/revoke"), serial).await;
        }
        for (file, path) in [("crt", "cert/ca"), ("crl", "cert/crl")] {
            let read = site.ca.call("GET", &format!("{mount}/{path}"), Value::Null).await;
            write(
                &format!("{mount}.{file}"),
                read["data"]["certificate"].as_str().unwrap(),
            );
        }
    }

    below_an_intermediate(&site, dir.path()).await;

    // What the issuer has signed, for a long name and a short one.
    for (i, name) in ["web.example.com", long.as_str(), "2001:db8::2"]
        .iter()
        .enumerate()
    {
        let request = site.ask(&[(*name).to_owned()], "ecdsa-p256").await;
        let common_name = (i == 0).then_some(*name);
        let (status, answer) = site
            .hand_in(
                &request.id,
                &csr(&KeyPair::generate().unwrap(), common_name, &[name]),
            )
            .await;
        assert_eq!(status, 200, "{answer}");
        write(&format!("issued-{i}.crt"), &site.issued(&request.id).await);
        write(&format!("issued-{i}.root"), "cmp-pki");
    }

    // What agents prove themselves with.
    write("agents.crt", &site.agents_ca);
    for (name, key) in [
        ("ec", KeyPair::generate().unwrap()),
        ("rsa", rsa()),
        ("p384", p384()),
    ] {
        let secret = tokens::mint().unwrap();
        let new = NewToken {
            name: name.to_owned(),
            purpose: Purpose::Enrol,
            role: Role::Agent,
            agent_id: None,
            expires_at: None,
            parent: None,
        };
        let mut tx = site.store.begin().await.unwrap();
        tokens::create(&mut tx, &new, &secret).await.unwrap();
        tx.commit().await.unwrap();
        let mut body = host(&format!("host-{name}"));
        body.identity_csr_pem = Some(csr(&key, Some("cmp-agent"), &[]));
        let (status, enrolled) = site.post("agents/enrol", secret.expose(), &json!(body)).await;
        assert_eq!(status, 201, "{enrolled}");
        write(
            &format!("agent-{name}.crt"),
            enrolled["identity_pem"].as_str().unwrap(),
        );
        write(&format!("agent-{name}.root"), "agents");
    }
    let said = python("lint.py", &[dir.path().to_str().unwrap()]);
    assert!(said.contains("34 linted"), "{said}");
}

/// An intermediate CA below `cmp-pki`, a leaf of its own and its list.
async fn below_an_intermediate(site: &Site, dir: &Path) {
    let ca = &site.ca;
    let engine = json!({"type": "pki", "config": {"max_lease_ttl": "8000h"}});
    ca.call("POST", "sys/mounts/pki-below", engine).await;
    let asked = json!({"common_name": "below", "key_type": "ec"});
    let made = ca
        .call("POST", "pki-below/intermediate/generate/internal", asked)
        .await;
    let asked = json!({"csr": made["data"]["csr"], "common_name": "below", "ttl": "4000h"});
    let signed = ca.call("POST", "cmp-pki/root/sign-intermediate", asked).await;
    let certificate = signed["data"]["certificate"].as_str().unwrap();
    let set = json!({"certificate": certificate});
    ca.call("POST", "pki-below/intermediate/set-signed", set).await;
    let role = json!({"allow_any_name": true, "key_type": "any", "max_ttl": "720h"});
    ca.call("POST", "pki-below/roles/any", role).await;
    let key = KeyPair::generate().unwrap();
    let body = json!({"csr": csr(&key, Some("a.example.com"), &["a.example.com"]), "ttl": "24h"});
    let leaf = ca.call("POST", "pki-below/sign/any", body).await;
    let list = ca.call("GET", "pki-below/cert/crl", Value::Null).await;
    for (file, text) in [
        ("pki-below.crt", certificate),
        ("pki-below.root", "cmp-pki"),
        (
            "pki-below-leaf.crt",
            leaf["data"]["certificate"].as_str().unwrap(),
        ),
        ("pki-below-leaf.root", "cmp-pki pki-below"),
        ("pki-below.crl", list["data"]["certificate"].as_str().unwrap()),
    ] {
        std::fs::write(dir.join(file), text).unwrap();
    }
}
