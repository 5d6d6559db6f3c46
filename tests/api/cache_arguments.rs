//! `cmp-server --cache`: the real program, over TLS and with a password.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::redis::until;
use crate::server::port::free_port;

const PASSWORD: &str = "correct-horse-battery";

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server(dir: &Path, port: u16, cache: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmp-server"));
    command
        .args(["--roles", "api", "--database"])
        .arg(format!("sqlite://{}/cmp.db", dir.display()))
        .args(["--listen", &format!("127.0.0.1:{port}"), "--cache", cache])
        .env_remove("CMP_CACHE_URL")
        .env_remove("CMP_CACHE_PASSWORD")
        .stdin(Stdio::null());
    command
}

#[test]
fn a_password_in_the_argument_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("redis://:{PASSWORD}@127.0.0.1:1");
    let output = server(dir.path(), 0, &url).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("put the new one into CMP_CACHE_PASSWORD"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
}

/// What `/readyz` says about the cache.
async fn told(port: u16) -> Option<Value> {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/readyz"))
        .await
        .ok()?;
    let ready: Value = answer.json().await.ok()?;
    let backends = ready["backends"].as_array()?;
    backends.iter().find(|it| it["backend"] == "cache").cloned()
}

#[tokio::test]
async fn over_tls_with_a_password_of_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let (redis_port, port) = (free_port(), free_port());
    let redis = Command::new("redis-server")
        .args([
            "--port",
            "0",
            "--tls-port",
            &redis_port.to_string(),
            "--bind",
            "127.0.0.1",
        ])
        .args([
            "--tls-cert-file",
            "cert.pem",
            "--tls-key-file",
            "key.pem",
            "--tls-auth-clients",
            "no",
        ])
        .args([
            "--requirepass",
            PASSWORD,
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            ".",
        ])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .spawn();
    let _redis = match redis {
        Ok(child) => Ended(child),
        Err(_) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: `redis-server` is not installed");
            return;
        }
        Err(error) => panic!("`redis-server` can't be started: {error}"),
    };
    let url = format!("rediss://localhost:{redis_port}");
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut command = server(dir.path(), port, &url);
    command
        .env("SSL_CERT_FILE", dir.path().join("cert.pem"))
        .stderr(log);
    let said = || std::fs::read_to_string(dir.path().join("log")).unwrap();

    let without = Ended(command.spawn().unwrap());
    until("the cause is told", async || {
        said().contains("CMP_CACHE_PASSWORD")
    })
    .await;
    assert_eq!(told(port).await.unwrap()["state"], "degraded", "{}", said());
    drop(without);

    let _with = Ended(command.env("CMP_CACHE_PASSWORD", PASSWORD).spawn().unwrap());
    until("redis is in use", async || {
        told(port)
            .await
            .is_some_and(|told| told["state"] == "up" && told["note"] == "redis")
    })
    .await;
    assert!(!said().contains(PASSWORD), "{}", said());
}
