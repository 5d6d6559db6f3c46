//! `/openapi.json` against the real server, by a program that reads the one and tries everything on the
//! other: no defect, no answer that isn't declared, with and without a token.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot get its fixture has failed"
)]
#![allow(dead_code, reason = "each test uses its part of the fixture")]

#[path = "support/daemon.rs"]
mod daemon;

use std::path::Path;
use std::process::Command;

use cmp_console::store::certificates::NewCertificate;
use cmp_console::store::{adapters, agents, certificates, holders};
use cmp_console::wire::agents::EnrolBody;
use daemon::{Daemon, TOKEN};

/// The event stream has no end to wait for.
const ARGUMENTS: [&str; 15] = [
    "--exclude-path",
    "/api/v1/events",
    "--checks",
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
     response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,\
     missing_required_header,ignored_auth",
    "--phases",
    "examples,coverage,fuzzing,stateful",
    "--max-examples",
    "12",
    "--max-time",
    "40",
    "--seed",
    "4",
    "--generation-deterministic",
    "--no-shrink",
    "--no-color",
];

/// Made-up ids alone would only ever be unknown: it is told some that are there.
async fn real_ids(it: &Daemon, dir: &Path) {
    let store = it.store().await;
    let mut tx = store.begin().await.unwrap();
    let body = EnrolBody {
        hostname: "web-01".to_owned(),
        address: "http://127.0.0.1:9".to_owned(),
        tls_address: None,
        install_dirs: vec!["/srv/tls".to_owned()],
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
    };
    let agent = agents::insert(&mut tx, &body, 60).await.unwrap();
    let config = serde_json::json!({"address": "http://127.0.0.1:9"});
    let adapter = adapters::upsert(&mut tx, "vault", "vault_pki", &config)
        .await
        .unwrap();
    let new = NewCertificate {
        subject: "CN=web-01.example.com".to_owned(),
        sans: vec!["web-01.example.com".to_owned()],
        issuer: "CN=CMP".to_owned(),
        serial: "00:01".to_owned(),
        fingerprint_sha256: "a".repeat(64),
        spki_sha256: "b".repeat(64),
        key_algorithm: "ecdsa-p256".to_owned(),
        not_before: store.clock().now(),
        not_after: store.clock().now() + chrono::Duration::days(9),
        adapter_id: Some(adapter.id),
        pem: "pem".to_owned(),
        chain_pem: "chain".to_owned(),
    };
    let certificate = certificates::insert(&mut tx, &new).await.unwrap();
    holders::add(&mut tx, &agent.id, &certificate.spki_sha256)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let operations = [
        ("certs", "id", &certificate.id),
        ("agents", "id", &agent.id),
        ("keys", "spki", &certificate.spki_sha256),
    ];
    let config: String = operations
        .iter()
        .map(|(tag, name, id)| {
            // A banned agent, a blocked key would have no further answers.
            format!(
                "[[operations]]\ninclude-tag = \"{tag}\"\nexclude-path-regex = \"/(ban|compromise)$\"\n\
                 parameters = {{ \"path.{name}\" = \"{id}\" }}\n"
            )
        })
        .collect();
    std::fs::write(dir.join("schemathesis.toml"), config).unwrap();
}

#[tokio::test]
async fn nothing_undeclared_is_answered() {
    let program = std::env::var("CMP_SCHEMATHESIS").unwrap_or_else(|_| "schemathesis".to_owned());
    if Command::new(&program).arg("--version").output().is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "schemathesis is missing: pip install schemathesis"
        );
        println!("skipped nothing_undeclared_is_answered: there is no schemathesis here (pip install it)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let it = Daemon::start(dir.path(), &[]).await;
    real_ids(&it, dir.path()).await;
    let url = format!("http://{}/openapi.json", it.address);
    for header in [None, Some(format!("Authorization: Bearer {TOKEN}"))] {
        let mut command = Command::new(&program);
        command
            .arg("run")
            .arg(&url)
            .args(ARGUMENTS)
            .current_dir(dir.path());
        if let Some(header) = &header {
            command.args(["--header", header]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let token = if header.is_some() { "with" } else { "without" };
        assert!(
            output.status.success(),
            "{token} a token:\n{said}\n{errors}\n{}",
            it.log()
        );
    }
}
