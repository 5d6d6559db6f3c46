//! Rates of one issuer and of two over a filled database, beside those of the CA alone.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cmp_console::clock::Clock;
use cmp_console::services::issuer::adapters::vault_pki::KIND;
use cmp_console::store::{Store, adapters, agents, requests};
use cmp_console::wire::page::PageQuery;
use futures::StreamExt;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::report::Rate;
use crate::server::Server;
use crate::vault_process::Vault;

/// Certificates for each measurement.
const N: usize = 2_000;
/// Calls to the CA at once, where it is alone: it answers no more with more of them.
const AT_ONCE: usize = 16;
/// Shares of what it is held against: one issuer's of the CA alone, two issuers' of one.
const OF_THE_CA: f64 = 0.25;
const OF_ONE: f64 = 1.3;
/// Upper bound for the time until all are issued.
const PATIENCE: Duration = Duration::from_secs(300);

/// What was measured, with its goal.
pub(crate) async fn measure(url: &str) -> [(&'static str, Rate, f64); 2] {
    let mut part = Command::new(std::env::current_exe().unwrap());
    part.arg("vault").stdin(Stdio::piped()).stdout(Stdio::piped());
    let vault = Vault::of(part.spawn().unwrap());
    let keys: Vec<(String, String)> = (0..2 * N).map(csr).collect();
    let alone = alone(&vault, &keys[..N]).await;
    let one = issued(url, &vault, &keys[..N], 1).await;
    let two = issued(url, &vault, &keys[N..], 2).await;
    let rate = |per_second, beside| Rate { per_second, beside };
    [
        ("one issuer, beside the CA alone", rate(one, alone), OF_THE_CA),
        ("two issuers, beside one", rate(two, one), OF_ONE),
    ]
}

/// The name and the CSR of a certificate to be.
fn csr(n: usize) -> (String, String) {
    let name = format!("new-{n}.example.com");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.clone()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name.as_str());
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    (name, csr)
}

/// Certificates that the CA signs in a second.
async fn alone(vault: &Vault, keys: &[(String, String)]) -> f64 {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/cmp-pki/sign/cmp-role", vault.address);
    let began = Instant::now();
    let signed = futures::stream::iter(keys.iter().cloned())
        .map(|(name, csr)| {
            let body = json!({"csr": csr, "common_name": name, "ttl": "240h"});
            let asked = http
                .post(&url)
                .header("X-Vault-Token", &vault.token)
                .body(body.to_string());
            tokio::spawn(async move {
                let answer: Value =
                    serde_json::from_str(&asked.send().await.unwrap().text().await.unwrap()).unwrap();
                assert!(answer["data"]["certificate"].is_string(), "{answer}");
            })
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    assert!(signed.iter().all(Result::is_ok));
    keys.len() as f64 / began.elapsed().as_secs_f64()
}

/// Certificates that as many issuers, each in a process of its own, issue in a second.
async fn issued(url: &str, vault: &Vault, keys: &[(String, String)], n_issuers: usize) -> f64 {
    ask(url, vault, keys).await;
    let mut conn = PgConnection::connect(url).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let issuers: Vec<Server> = (0..n_issuers)
        .map(|n| {
            Server::start(
                &dir.path().join(format!("log{n}")),
                &["--database", url, "--roles", "issuer"],
                &[("CMP_VAULT_TOKEN", &vault.token)],
            )
        })
        .collect();
    // From the first that is issued: until then the issuers were starting.
    let mut first: Option<(Instant, i64)> = None;
    loop {
        let left: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM issuance_requests WHERE status IN ('pending', 'issuing') AND requested_by = 'scale'",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        let n = i64::try_from(keys.len()).unwrap();
        let (since, n_before) = match first {
            None if left < n => *first.insert((Instant::now(), left)),
            None => (began, n),
            Some(first) => first,
        };
        if left == 0 {
            for issuer in issuers {
                issuer.stop();
            }
            return n_before as f64 / since.elapsed().as_secs_f64();
        }
        assert!(began.elapsed() < PATIENCE, "{left} are not issued");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Makes the requests, which wait for the CA.
async fn ask(url: &str, vault: &Vault, keys: &[(String, String)]) {
    let store = Store::open(url, Clock::system()).await.unwrap();
    let active = PageQuery {
        filter: Some("status:active".to_owned()),
        limit: Some(500),
        ..PageQuery::default()
    };
    let agents = agents::page(&mut store.read().await.unwrap(), &active)
        .await
        .unwrap()
        .items;
    let mut tx = store.begin().await.unwrap();
    let config = json!({"address": vault.address, "mount": "cmp-pki", "role": "cmp-role"});
    let adapter = adapters::upsert(&mut tx, "scale", KIND, &config).await.unwrap();
    for (n, (name, csr)) in keys.iter().enumerate() {
        let new = requests::NewRequest {
            common_name: name.clone(),
            sans: vec![name.clone()],
            key_algorithm: "ecdsa-p256".to_owned(),
            adapter_id: adapter.id.clone(),
            agent_id: agents[n % agents.len()].id.clone(),
            install_path: Some(format!("/srv/scale/{name}.pem")),
            replaces: None,
            requested_by: "scale".to_owned(),
            needs_approval: false,
        };
        let request = requests::insert(&mut tx, &new).await.unwrap();
        let read = cmp_console::domain::csr::Csr::read(csr).unwrap();
        requests::set_csr(&mut tx, &request.id, csr, &read.key.spki_sha256(), "ecdsa-p256")
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    store.close().await;
}
