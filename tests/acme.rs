//! Certificates from an external CA: the programs as they are installed, against `pebble`,
//! which refuses good nonces and believes in no name before it has looked. Nothing is faked in between.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's helpers stop at the first surprise and name what is skipped"
)]

#[path = "acme/console.rs"]
mod console;
#[path = "support/hands.rs"]
mod hands;
#[path = "acme/pebble.rs"]
mod pebble;
#[path = "support/port.rs"]
mod port;
#[path = "acme/renewal.rs"]
mod renewal;
#[path = "acme/world.rs"]
mod world;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use chrono::Duration;
use cmp_console::clients::acme::ExternalAccount;
use cmp_console::clock::Clock;
use cmp_console::domain::secret::Secret;
use cmp_console::services::issuer::adapters::{Acme, Adapter, AdapterError, Begun, Order, Step, acme};
use cmp_console::store::{Store, audit, claims, requests};
use cmp_console::wire::agents::ChallengeAnswer;
use pebble::{BLOCKED, EAB_HMAC, EAB_KEY_ID, Pebble};
use port::free_port;
use serde_json::json;
use world::{World, eventually};

const ALL: &str = "api,issuer,scheduler";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_request_to_the_disk_and_out_again_by_a_revocation() {
    if !pebble::is_there() {
        return;
    }
    let mut world = World::start(ALL).await;
    let agent = world.start_agent(true).await;
    let names = ["shop.example.test", "www.shop.example.test"];
    let id = world.request(&agent, &names, "shop.pem").await;
    let request = world.until(&id, "issued", None).await;
    let certificate = world.until_installed(&request).await;
    let mut sans: Vec<&str> = certificate["sans"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it.as_str())
        .collect();
    sans.sort_unstable();
    assert_eq!(sans, names);
    assert_eq!(request["attempt"], 0);

    // What is on the disk leads to the CA's root, says another program.
    let root = world.dir.path().join("root.pem");
    std::fs::write(&root, world.pebble.root().await).unwrap();
    let [leaf, chain] = ["shop.pem", "shop.chain.pem"].map(|name| world.path(name));
    let verified = Command::new("openssl")
        .args([
            "verify",
            "-purpose",
            "sslserver",
            "-verify_hostname",
            names[1],
            "-CAfile",
        ])
        .args([root.to_str().unwrap(), "-untrusted", &chain, &leaf])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");

    // The account's key is for the issuer alone, and not in the database.
    let mode = std::fs::metadata(world.account_file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let account = std::fs::read_to_string(world.account_file()).unwrap();
    let key = serde_json::from_str::<serde_json::Value>(&account).unwrap()["key_pkcs8"].to_string();
    for file in ["cmp.db", "cmp.db-wal"] {
        let bytes = std::fs::read(world.dir.path().join(file)).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&bytes).contains(key.trim_matches('"')),
            "{file}"
        );
    }

    let crt = certificate["id"].as_str().unwrap();
    // By a console whose context has no Vault: none of its CAs is one.
    let console = console::Console::over(&world);
    let proof = console.revoke(crt, "superseded").await;
    assert!(proof.contains("names no CRL"), "{proof}");
    let revoked = world.until_revoked(crt).await;
    assert_eq!(revoked["status"], "revoked");
    assert!(revoked["revocation"]["accepted_at"].is_string());
    assert!(revoked["revocation"]["in_crl_at"].is_null());
    let at_the_ca = world.pebble.status(certificate["serial"].as_str().unwrap()).await;
    assert_eq!(
        (&at_the_ca["Status"], &at_the_ca["Reason"]),
        (&json!("Revoked"), &json!(4))
    );
    let audit = world
        .get(&format!("/api/v1/audit?entity={crt}"))
        .await
        .to_string();
    assert!(audit.contains("names no CRL"), "{audit}");
    assert_eq!(world.get("/api/v1/audit/verify").await["whole"], json!(true));
    assert_eq!(world.pebble.n_issued(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_order_and_signature_it_is_signed_once() {
    if !pebble::is_there() {
        return;
    }
    // The host goes away as soon as it has made the key, so that the order waits for its answer.
    let mut world = World::start("api").await;
    let agent = world.start_agent(true).await;
    let id = world.request(&agent, &["night.example.test"], "night.pem").await;
    world.until(&id, "pending", Some("ca")).await;
    world.kill_agent();
    world.kill_server();
    world.start_server(ALL).await;
    world.until(&id, "pending", Some("challenge")).await;
    world.kill_server();
    let before = orders(&world, &id).await;
    assert_eq!(before.len(), 1);
    assert_eq!(world.pebble.n_issued(), 0);

    world.start_server(ALL).await;
    world.start_agent(true).await;
    let request = world.until(&id, "issued", None).await;
    world.until_installed(&request).await;
    assert_eq!(
        orders(&world, &id).await,
        before,
        "the order on record is the one that was signed"
    );
    assert_eq!(world.pebble.n_issued(), 1);
}

/// The orders that a request ever had, as they were written down.
async fn orders(world: &World, id: &str) -> Vec<String> {
    let store = Store::open(&world.database(), Clock::system()).await.unwrap();
    let mut conn = store.read().await.unwrap();
    let rows = audit::rows_after(&mut conn, 0, 1000).await.unwrap();
    drop(conn);
    store.close().await;
    rows.into_iter()
        .filter(|row| row.entity_id == id)
        .filter_map(|row| row.detail?.strip_prefix("ordered: ").map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_signature_and_record_the_signed_one_is_taken() {
    if !pebble::is_there() {
        return;
    }
    let mut world = World::start(ALL).await;
    let agent = world.start_agent(false).await;
    // An agent without a port for challenges says so, and what to do about it.
    let id = world.request(&agent, &["crash.example.test"], "crash.pem").await;
    let failed = world.until(&id, "failed", None).await;
    let words = failed["error_message"].as_str().unwrap();
    assert!(words.contains("acme_listen"), "{words}");

    // Tried again, it goes on with the same order, in the hands of an issuer that dies.
    world.kill_server();
    let store = Store::open(&world.database(), Clock::system()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    requests::retry(&mut tx, &id).await.unwrap();
    tx.commit().await.unwrap();
    let adapter = Acme::new(config(&world.pebble, world.account_file()), None);
    let signed = sign_and_die(&world, &store, &adapter, &id).await;
    store.close().await;
    world.start_server(ALL).await;
    let request = world.until(&id, "issued", None).await;
    let certificate = world.until_installed(&request).await;
    assert_eq!(certificate["pem"].as_str().unwrap(), signed);
    assert_eq!(world.pebble.n_issued(), 1);
}

/// Drives the request until the CA has signed, and records nothing of that: what a SIGKILL leaves.
async fn sign_and_die(world: &World, store: &Store, adapter: &Acme, id: &str) -> String {
    let mut tx = store.begin().await.unwrap();
    let lease = Duration::zero();
    let issuing = claims::begin_issue(&mut tx, id, "dies", lease)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    let order = Order {
        csr_pem: issuing.csr_pem,
        common_name: issuing.request.common_name,
        sans: issuing.request.sans,
        replaces: None,
    };
    let mut answered = Vec::new();
    eventually("the CA has signed", async || {
        let begun = Begun {
            order: &order,
            ca_order: issuing.ca_order.as_deref(),
            answered: &answered,
        };
        match adapter.drive(begun).await {
            Ok(Step::Signed(signed)) => Some(signed.pem),
            Ok(Step::Answer(answers)) => {
                answered = answers.iter().map(|it| it.token.clone()).collect();
                answer_by_hand(world.http_port, answers).await;
                None
            }
            Ok(Step::Wait(_) | Step::Signing(_)) | Err(AdapterError::Busy(..)) => None,
            other => panic!("{other:?}"),
        }
    })
    .await
}

/// Answers as an agent would.
async fn answer_by_hand(port: u16, answers: Vec<ChallengeAnswer>) {
    let mut routes = axum::Router::new();
    for it in answers {
        let path = format!("/.well-known/acme-challenge/{}", it.token);
        routes = routes.route(&path, axum::routing::get(|| async { it.key_authorization }));
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await });
}

fn config(pebble: &Pebble, account_file: std::path::PathBuf) -> acme::Config {
    acme::Config {
        directory: pebble.directory.clone(),
        ca_file: Some(pebble.ca_file.clone()),
        contact: Vec::new(),
        account_file,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_in_the_cas_own_words() {
    if !pebble::is_there() {
        return;
    }
    let mut world = World::start(ALL).await;
    let agent = world.start_agent(true).await;
    let blocked = world.request(&agent, &[BLOCKED], "blocked.pem").await;
    let failed = world.until(&blocked, "failed", None).await;
    let words = failed["error_message"].as_str().unwrap();
    assert!(
        words.contains("rejectedIdentifier") && words.contains(BLOCKED),
        "{words}"
    );

    // Nobody answers where this name leads to; once it leads to the agent, trying again is enough.
    world.pebble.point("moved.example.test", "127.0.0.9").await;
    let moved = world.request(&agent, &["moved.example.test"], "moved.pem").await;
    let failed = world.until(&moved, "failed", None).await;
    let words = failed["error_message"].as_str().unwrap();
    assert!(
        words.starts_with("the CA says `moved.example.test: ") && words.contains("connection"),
        "{words}"
    );
    world.pebble.point("moved.example.test", "127.0.0.1").await;
    world
        .post(&format!("/api/v1/requests/{moved}/retry"), json!({}))
        .await;
    let request = world.until(&moved, "issued", None).await;
    world.until_installed(&request).await;
    assert_eq!(world.pebble.n_issued(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_bound_to_one_that_the_ca_knows() {
    if !pebble::is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pebble = Pebble::start(dir.path(), free_port(), true).await;
    let file = dir.path().join("account.json");
    let without = Acme::new(config(&pebble, file.clone()), None);
    let words = settled(&without).await.unwrap_err();
    assert!(words.contains("externalAccountRequired"), "{words}");
    let external = ExternalAccount {
        key_id: EAB_KEY_ID.to_owned(),
        hmac: Secret::new(EAB_HMAC.to_owned()),
    };
    let bound = Acme::new(config(&pebble, file.clone()), Some(external));
    settled(&bound).await.unwrap();
    // Once there is one, it is used again and needs no binding.
    settled(&without).await.unwrap();
}

/// Whether it can work, once no good nonce was refused three times in a row.
async fn settled(adapter: &Acme) -> Result<(), String> {
    eventually("the CA takes a nonce", async || match adapter.ready().await {
        Ok(()) => Some(Ok(())),
        Err(AdapterError::Away(words)) if words.contains("badNonce") => None,
        Err(error) => Some(Err(error.to_string())),
    })
    .await
}
