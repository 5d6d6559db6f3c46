//! The embedded platform as scripts and people use it: the headless program, spoken to over its
//! sockets, with the runbook's own lines, checked by handshakes and by `openssl`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's helper fails the test"
)]

mod demo;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use demo::{Demo, command, eventually, has, leftovers};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use cmp_console::clients::tls_probe::probe;
use cmp_console::clients::vault::{Login, Place, VaultError, VaultWriter};
use cmp_console::domain::secret::Secret;
use cmp_console::domain::x509;
use cmp_console::services::platform::{Options, Platform, Ports};

/// What is served at `address` for `name`.
async fn served(address: &str, name: &str) -> String {
    let limit = Duration::from_secs(5);
    probe(address, Some(name), limit)
        .await
        .unwrap()
        .fingerprint_sha256
}

fn name_of(certificate: &Value) -> String {
    certificate["sans"][0].as_str().unwrap().to_owned()
}

async fn certificate_named(demo: &Demo, name: &str) -> Value {
    let rows = demo.all(&format!("/api/v1/certs?q={name}")).await;
    rows.into_iter()
        .rfind(|row| name_of(row) == name && row["replaced_by"].is_null())
        .unwrap_or_else(|| panic!("there is a certificate for {name}"))
}

/// The runbook's line, with host, id and token filled in and nothing else changed.
fn curl(line: &str) -> (bool, String) {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "{} -sS -w '\\n%{{http_code}}'",
            line.replace("\\\n", " ")
        ))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = text.lines().last().unwrap_or_default().to_owned();
    (output.status.success() && code.starts_with('2'), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_of_trouble_and_its_cures() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    println!("ready after {:?}", demo.took);
    assert_eq!(demo.ready["ready"], json!(true));
    let agents = demo.ready["agents"].as_array().unwrap();
    assert!(agents.len() >= 14, "{} agents", agents.len());
    let certificates = demo.all("/api/v1/certs").await;
    assert!(certificates.len() >= 64, "{} certificates", certificates.len());

    // Who issues and who schedules say that they are at work.
    eventually("both are seen", async || {
        let ready = demo.read("/readyz").await;
        let workers = ready["workers"].as_array()?.iter();
        let there = workers
            .filter(|it| it["is_there"] == true)
            .map(|it| it["duty"].as_str());
        let there: Vec<Option<&str>> = there.collect();
        (there == [Some("issuer"), Some("scheduler")]).then_some(())
    })
    .await;

    // Sealed, with requests waiting on it.
    let (_, seal) = demo.vault("GET", "sys/seal-status", None).await;
    assert_eq!(seal["sealed"], json!(true));
    let waiting = demo.all("/api/v1/requests?status=pending").await;
    assert!(waiting.len() >= 3, "{waiting:?}");
    assert!(waiting.iter().all(|request| request["waiting_on"] == "ca"));

    // The person who asked for each is in its own history.
    for request in &waiting {
        let id = request["id"].as_str().unwrap();
        let rows = demo.all(&format!("/api/v1/audit?entity={id}")).await;
        let asked = rows.iter().find(|row| row["outcome"] == "asked");
        let asked = asked.unwrap_or_else(|| panic!("no audit row for {request}"));
        assert_eq!(asked["actor"], request["requested_by"], "{asked}");
    }

    // Unsealed, they are issued and installed, and a handshake shows it.
    demo.unseal().await;
    for request in &waiting {
        let id = request["id"].as_str().unwrap();
        let issued = eventually("the waiting request is issued", async || {
            let request = demo.read(&format!("/api/v1/requests/{id}")).await;
            (request["status"] == "issued").then_some(request)
        })
        .await;
        let certificate = issued["certificate_id"].as_str().unwrap();
        let detail = demo.read(&format!("/api/v1/certs/{certificate}")).await;
        let fingerprint = detail["certificate"]["fingerprint_sha256"]
            .as_str()
            .unwrap()
            .to_owned();
        let address = detail["installations"][0]["tls_address"]
            .as_str()
            .unwrap()
            .to_owned();
        let name = issued["common_name"].as_str().unwrap().to_owned();
        eventually("the new certificate is served", async || {
            (served(&address, &name).await == fingerprint).then_some(())
        })
        .await;
    }
    idle_connections_make_room(&demo).await;
    refused_request_is_cured(&demo).await;
    runbook_lines(&demo, tmp.path()).await;
    assert_eq!(demo.read("/api/v1/audit/verify").await["whole"], json!(true));
    assert!(demo.terminate().success());
    assert!(leftovers(tmp.path()).is_empty(), "{:?}", leftovers(tmp.path()));
}

/// Each listener of the demo holds 256 connections; beyond, the longest idle ones go.
async fn idle_connections_make_room(demo: &Demo) {
    for (place, path) in [("/vault", "v1/sys/seal-status"), ("/api", "healthz")] {
        let base = demo.text(place);
        let address = base.trim_start_matches("http://");
        let mut idle = Vec::new();
        for _ in 0..300 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(
            reqwest::get(format!("{base}/{path}"))
                .await
                .unwrap()
                .status()
                .is_success()
        );
        for mut stream in idle.into_iter().take(44) {
            let mut byte = [0];
            let n = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await;
            assert_eq!(n.expect("it is closed").unwrap_or(0), 0, "{place}");
        }
    }
}

/// A request that failed at the CA says so in the CA's words, and a plain reissue succeeds.
async fn refused_request_is_cured(demo: &Demo) {
    let failed = demo.all("/api/v1/requests?status=failed").await;
    assert_eq!(failed.len(), 1);
    let words = failed[0]["error_message"].as_str().unwrap();
    assert!(words.contains("not allowed by this role"), "{words}");
    let old = failed[0]["replaces"].as_str().unwrap();
    let (status, reply) = demo
        .post(&format!("/api/v1/certs/{old}/reissue"), json!({}))
        .await;
    assert!((200..300).contains(&status), "{reply}");
    let id = reply["requests"][0]["id"].as_str().unwrap();
    eventually("the plain reissue is issued", async || {
        let request = demo.read(&format!("/api/v1/requests/{id}")).await;
        (request["status"] == "issued").then_some(())
    })
    .await;
}

/// The three lines of the runbook, and what `openssl` says before and after.
async fn runbook_lines(demo: &Demo, tmp: &Path) {
    if !has("curl") {
        return;
    }
    let token = demo.text("/operator_token");
    let api = demo.text("/api");
    let agent = demo.agent("web-02");
    let (agent_id, dir) = (
        agent["id"].as_str().unwrap(),
        agent["install_dir"].as_str().unwrap(),
    );
    let certificate = certificate_named(demo, "careers.example.com").await;
    let id = certificate["id"].as_str().unwrap();

    let (ok, text) = curl(&format!(
        "curl -X POST {api}/api/v1/agents/{agent_id}/install \\\n  -H \"Authorization: Bearer {token}\" \\\n  \
         -d '{{\"cert_id\": \"{id}\", \"path\": \"{dir}/copy.pem\"}}'"
    ));
    assert!(ok, "{text}");
    eventually("the copy is installed", async || {
        fs::read_to_string(format!("{dir}/copy.pem")).ok()
    })
    .await;

    let before = demo.read(&format!("/api/v1/agents/{agent_id}")).await["agent"]["last_checkin"].clone();
    let checkin = agent["checkin"].as_str().unwrap();
    let (ok, text) = curl(&format!("curl -X POST {checkin}/checkin"));
    assert!(ok, "{text}");
    let after = demo.read(&format!("/api/v1/agents/{agent_id}")).await["agent"]["last_checkin"].clone();
    assert!(after.as_str() > before.as_str(), "{before} then {after}");

    let verifies = async || verified_by_openssl(demo, tmp, &format!("{dir}/copy.pem")).await;
    let before = verifies().await;
    let (ok, text) = curl(&format!(
        "curl -X POST {api}/api/v1/certs/{id}/revoke \\\n  -H \"Authorization: Bearer {token}\" \\\n  \
         -d '{{\"reason\":\"keyCompromise\"}}'"
    ));
    assert!(ok, "{text}");
    eventually("the serial is in the CRL", async || {
        let detail = demo.read(&format!("/api/v1/certs/{id}")).await;
        detail["certificate"]["revocation"]["in_crl_at"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    if let (Some(before), Some(after)) = (before, verifies().await) {
        assert!(before.0, "accepted before: {}", before.1);
        assert!(
            !after.0 && after.1.contains("revoked"),
            "refused after: {}",
            after.1
        );
    }
}

/// `None` without openssl.
async fn verified_by_openssl(demo: &Demo, tmp: &Path, path: &str) -> Option<(bool, String)> {
    if !has("openssl") {
        return None;
    }
    let (crl, leaf) = (tmp.join("crl.pem"), tmp.join("leaf.pem"));
    fs::write(&crl, demo.vault_text("cmp-pki/crl/pem").await).unwrap();
    fs::copy(path, &leaf).unwrap();
    let output = Command::new("openssl")
        .args(["verify", "-crl_check", "-x509_strict", "-CAfile"])
        .arg(demo.text("/ca_chain"))
        .arg("-CRLfile")
        .args([&crl, &leaf])
        .output()
        .unwrap();
    let words = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&words).into_owned(),
    ))
}

#[test]
fn what_a_killed_run_left_is_swept_by_the_next() {
    let tmp = tempfile::tempdir().unwrap();
    Demo::start(tmp.path(), None).kill();
    assert_eq!(leftovers(tmp.path()).len(), 1);
    let next = Demo::start(tmp.path(), None);
    assert_eq!(leftovers(tmp.path()).len(), 1, "only its own");
    assert!(next.terminate().success());
    assert!(leftovers(tmp.path()).is_empty());
}

#[test]
fn two_on_one_state_are_one_too_many() {
    let tmp = tempfile::tempdir().unwrap();
    let state = tmp.path().join("state");
    let first = Demo::start(tmp.path(), Some(&state));
    let second = command(tmp.path(), Some(&state)).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(words.contains("in use by another demo"), "{words}");
    assert!(first.terminate().success());
}

#[test]
fn a_port_in_use_is_named_with_a_way_out() {
    let tmp = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(demo::PROGRAM)
        .args(["demo", "--headless", "--vault-port", &port])
        .args(["--api-port", "0", "--agent-port", "0", "--tls-port", "0"])
        .env("TMPDIR", tmp.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in [
        port.as_str(),
        "Vault",
        "--vault-port",
        &std::process::id().to_string(),
    ] {
        assert!(words.contains(part), "{words}");
    }
    assert!(leftovers(tmp.path()).is_empty());
}

#[test]
fn wrong_usage_ends_with_two() {
    for arguments in [
        &["demo", "--frobnicate"][..],
        &["nonsense"],
        &["demo", "--api-port", "70000"],
    ] {
        let output = Command::new(demo::PROGRAM).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

/// In one process with its user, as under the console: its token at Vault is enough for what the
/// unseal proves, and for no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consoles_token_is_enough_and_no_more() {
    let tmp = tempfile::tempdir().unwrap();
    let options = Options {
        state: Some(tmp.path().join("state")),
        ports: Ports::FREE,
        program: demo::PROGRAM.into(),
    };
    let platform = Platform::bind(&options).unwrap().start().await.unwrap();
    let access = platform.access().clone();
    let writer = VaultWriter::new(
        &Place::at(&access.vault),
        Login::Token(access.vault_token.clone()),
    )
    .unwrap();
    let reader = writer.reader();
    assert_eq!(reader.health().await.unwrap().status, 503);
    assert_eq!(reader.mounts().await, Err(VaultError::Sealed));
    let line: Value = serde_json::from_str(platform.ready_line().expose()).unwrap();
    let shares = line["unseal_keys"].as_array().unwrap();
    let share = |i: usize| Secret::new(shares[i].as_str().unwrap().to_owned());
    let one = writer.unseal(&share(0)).await.unwrap();
    assert_eq!((one.progress, one.t, one.sealed), (1, 3, true));
    assert!(!one.nonce.is_empty());
    assert_eq!(writer.reset_unseal().await.unwrap().progress, 0);
    for i in [0, 1, 2] {
        writer.unseal(&share(i)).await.unwrap();
    }
    let status = reader.seal_status().await.unwrap();
    assert!(!status.sealed && status.kind == "shamir");
    let mounts = reader.mounts().await.unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount.path == access.pki_mount && mount.kind == "pki")
    );
    let key = rcgen::KeyPair::generate().unwrap();
    let sign = async |role: &str, name: &str| {
        // Vault takes the common name from the CSR where that has one.
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        writer
            .sign(&access.pki_mount, role, &csr, name, &[], Some("1h"))
            .await
    };
    let signed = sign(&access.pki_test_role, "test.example.com").await.unwrap();
    let read = x509::read(&signed.certificate_pem).unwrap();
    assert_eq!(read.subject, "CN=test.example.com");
    let chain: Vec<_> = signed.chain.iter().map(|pem| x509::read(pem).unwrap()).collect();
    let subjects: Vec<&str> = chain.iter().map(|it| it.subject.as_str()).collect();
    assert_eq!(subjects, ["CN=CMP Demo Issuing CA", "CN=CMP Demo Root CA"]);
    // A console's token has the test's name signed and no other, and that by its own role only.
    for name in [
        "web.example.com",
        "a.test.example.com",
        "test.example.org",
        "10.0.0.1",
    ] {
        let refused = sign(&access.pki_test_role, name).await.unwrap_err();
        assert!(
            matches!(&refused, VaultError::Refused(words) if words.contains("not allowed by this role")),
            "{name}: {refused}"
        );
    }
    let denied = sign(&access.pki_role, "test.example.com").await.unwrap_err();
    assert!(matches!(denied, VaultError::Denied(_)), "{denied}");
    let denied = writer.revoke(&access.pki_mount, &read.serial).await.unwrap_err();
    assert!(matches!(denied, VaultError::Denied(_)), "{denied}");
    assert!(
        reader
            .ca_chain(&access.pki_mount)
            .await
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
    assert!(
        reader
            .crl(&access.pki_mount)
            .await
            .unwrap()
            .contains("BEGIN X509 CRL")
    );
    writer.keep_alive().await.unwrap();
    platform.shutdown().await;
}
