//! Independent programs over the contract: openssl verifies what is signed and revoked, hvac drives a whole
//! night's work.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::server::{Server, csr};

contracts!(
    openssl_accepts_before_the_revocation_and_refuses_after,
    hvac_does_status_unseal_sign_revoke_and_crl,
);

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

fn verifies(dir: &Path, certificate: &str, ca: &str, crl: &str) -> bool {
    for (name, text) in [("cert.pem", certificate), ("ca.pem", ca), ("crl.pem", crl)] {
        fs::write(dir.join(name), text).unwrap();
    }
    let arguments = "verify -crl_check -x509_strict -CAfile ca.pem -CRLfile crl.pem cert.pem";
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    output.status.success()
}

async fn openssl_accepts_before_the_revocation_and_refuses_after(server: Server) {
    if !has("openssl", Command::new("openssl").arg("version")) {
        return;
    }
    let server = server.with_ca().await;
    let (status, signed) = server
        .sign("web.example.com", &["web.example.com", "www.example.com"])
        .await;
    assert_eq!(status, 200, "{signed}");
    let certificate = signed["data"]["certificate"].as_str().unwrap().to_owned();
    let dir = tempfile::tempdir().unwrap();
    let ca = server.text("cmp-pki/ca/pem").await;
    let crl = server.text("cmp-pki/crl/pem").await;
    assert!(verifies(dir.path(), &certificate, &ca, &crl));
    let serial = json!({"serial_number": signed["data"]["serial_number"]});
    server.must("cmp-pki/revoke", serial).await;
    let crl = server.text("cmp-pki/crl/pem").await;
    assert!(!verifies(dir.path(), &certificate, &ca, &crl));
}

async fn hvac_does_status_unseal_sign_revoke_and_crl(server: Server) {
    if !has("hvac", Command::new("python3").args(["-c", "import hvac"])) {
        return;
    }
    let server = server.with_ca().await;
    assert_eq!(server.put("sys/seal", serde_json::Value::Null).await.0, 204);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("csr.pem");
    fs::write(&file, csr("web.example.com", &["web.example.com"])).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract_vault/with_hvac.py");
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
