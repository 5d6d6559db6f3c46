//! SIGKILL in the middle of twenty reissues: after a restart and an unseal every request ends issued
//! exactly once, the audit chain verifies, and no certificate is on disk half written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's helper fails the test"
)]

mod demo;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use demo::{Demo, eventually};
use serde_json::{Value, json};

use cmp_console::domain::x509;

const N_REISSUES: usize = 20;

/// Requests of one demo, by id.
async fn requests(demo: &Demo) -> BTreeMap<String, Value> {
    let rows = demo.all("/api/v1/requests").await;
    rows.into_iter()
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row))
        .collect()
}

/// The same, once nothing will happen to any of them by itself.
async fn at_their_end(demo: &Demo) -> Option<BTreeMap<String, Value>> {
    let now = requests(demo).await;
    let open = |row: &Value| matches!(row["status"].as_str(), Some("pending" | "issuing"));
    (!now.values().any(open)).then_some(now)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_twenty_reissues() {
    let tmp = tempfile::tempdir().unwrap();
    let state = tmp.path().join("state");
    let first = Demo::start(tmp.path(), Some(&state));
    first.unseal().await;
    let before = eventually("what waited for the unseal is at its end", async || {
        at_their_end(&first).await
    })
    .await;
    let healthy = ["web-0", "api-01", "api-03", "db-0", "cdn-0", "mail-0"];
    let mut wanted = Vec::new();
    for agent in first.ready["agents"].as_array().unwrap() {
        let name = agent["hostname"].as_str().unwrap();
        if healthy.iter().any(|prefix| name.starts_with(prefix)) {
            let id = agent["id"].as_str().unwrap();
            let installed = first.read(&format!("/api/v1/agents/{id}")).await["installations"].clone();
            // The last two of each host: no trouble of the demo's own is on them.
            let installed = installed.as_array().unwrap().iter().rev().take(2).cloned();
            wanted.extend(installed.map(|it| it["certificate_id"].as_str().unwrap().to_owned()));
        }
    }
    wanted.truncate(N_REISSUES);
    assert_eq!(wanted.len(), N_REISSUES);
    for id in &wanted {
        let (status, reply) = first
            .post(&format!("/api/v1/certs/{id}/reissue"), json!({}))
            .await;
        assert!((200..300).contains(&status), "{reply}");
    }
    // In the middle: some are issued, some are not.
    let asked = eventually("some are issued", async || {
        let now = requests(&first).await;
        let new: Vec<&Value> = now
            .iter()
            .filter(|(id, _)| !before.contains_key(*id))
            .map(|it| it.1)
            .collect();
        let n_issued = new.iter().filter(|request| request["status"] == "issued").count();
        (new.len() >= N_REISSUES && n_issued >= 3)
            .then(|| (n_issued, now.keys().cloned().collect::<BTreeSet<String>>()))
    })
    .await;
    first.kill();
    println!("killed with {} of {N_REISSUES} issued", asked.0);

    let second = Demo::start(tmp.path(), Some(&state));
    println!("ready again after {:?}", second.took);
    let (_, seal) = second.vault("GET", "sys/seal-status", None).await;
    assert_eq!(seal["sealed"], json!(true), "as Vault comes up");
    second.unseal().await;
    let ended = eventually("every request is at its end", async || {
        at_their_end(&second).await
    })
    .await;
    for id in &asked.1 {
        let request = &ended[id];
        let failed_before = before.get(id).is_some_and(|before| before["status"] == "failed");
        assert!(request["status"] == "issued" || failed_before, "{request}");
    }
    nothing_is_signed_twice(&second, &ended).await;
    installed_and_whole(&second, &state).await;
    assert_eq!(second.read("/api/v1/audit/verify").await["whole"], json!(true));
    assert!(second.terminate().success());
}

/// The CA's list and the inventory are one: each serial once, each key of a request once.
async fn nothing_is_signed_twice(demo: &Demo, requests: &BTreeMap<String, Value>) {
    let (status, list) = demo.vault("LIST", "cmp-pki/certs", None).await;
    assert_eq!(status, 200);
    let (_, root) = demo.vault("GET", "cmp-pki/cert/ca", None).await;
    let root = x509::read(root["data"]["certificate"].as_str().unwrap())
        .unwrap()
        .serial;
    let at_ca: BTreeSet<String> = list["data"]["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|serial| serial.as_str().unwrap().to_owned())
        .filter(|serial| *serial != root)
        .collect();
    let rows = demo.all("/api/v1/certs").await;
    let ours: BTreeSet<String> = rows
        .iter()
        .map(|row| row["serial"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ours.len(), rows.len(), "no serial twice");
    assert_eq!(at_ca, ours, "no certificate at the CA that nobody owns");
    let mut of_requests = BTreeSet::new();
    for row in rows.iter().filter(|row| row["request_id"].is_string()) {
        let spki = row["spki_sha256"].as_str().unwrap();
        assert!(of_requests.insert(spki), "one key, one certificate: {row}");
        let request = &requests[row["request_id"].as_str().unwrap()];
        assert_eq!(request["certificate_id"], row["id"]);
    }
}

/// Every expectation is on disk, whole, with its key.
async fn installed_and_whole(demo: &Demo, state: &Path) {
    for agent in demo.ready["agents"].as_array().unwrap() {
        if agent["hostname"] == "vpn-01" {
            continue;
        }
        let id = agent["id"].as_str().unwrap();
        let installed = demo.read(&format!("/api/v1/agents/{id}")).await["installations"].clone();
        for it in installed.as_array().unwrap() {
            let path = it["path"].as_str().unwrap();
            assert!(
                path.starts_with(state.canonicalize().unwrap().to_str().unwrap()),
                "{path}"
            );
            let expected = it["expected_sha256"].as_str().unwrap();
            eventually("what is expected is on disk, with its key", async || {
                let pem = std::fs::read_to_string(path).ok()?;
                let found = x509::read(&pem).expect("never half a certificate");
                // A swap may come between reading the two files, so they are compared at the end only.
                (found.fingerprint_sha256 == expected).then(|| {
                    let key = spki_of_key(&Path::new(path).with_extension("key"));
                    assert_eq!(key, found.spki_sha256, "{path} pairs with its key");
                })
            })
            .await;
        }
    }
}

/// The key's SPKI hash.
fn spki_of_key(path: &Path) -> String {
    let pem = std::fs::read_to_string(path).unwrap();
    let key = rcgen::KeyPair::from_pem(&pem).expect("never half a key");
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki))
}

/// Killed at any moment of its first start, the next one fills the state anew and is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_fills_an_empty_state() {
    let tmp = tempfile::tempdir().unwrap();
    let state = tmp.path().join("state");
    // Each run gets a little further than the one before; how far depends on the machine.
    for n_entries in 1..=5 {
        let mut child = demo::command(tmp.path(), Some(&state))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        eventually("it has begun", async || {
            let n = std::fs::read_dir(&state).map_or(0, Iterator::count);
            (n >= n_entries).then_some(())
        })
        .await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let whole = Demo::start(tmp.path(), Some(&state));
    assert!(whole.all("/api/v1/certs").await.len() >= 64);
    assert_eq!(whole.read("/api/v1/audit/verify").await["whole"], json!(true));
    assert!(whole.terminate().success());
}
