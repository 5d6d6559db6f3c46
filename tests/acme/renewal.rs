//! When the CA suggests to renew (ARI, RFC 9773), against a `pebble` that says so; with one that doesn't, such
//! as Debian's, that nothing is asked.

use chrono::{Duration, SubsecRound};
use cmp_console::clients::vault::Login;
use cmp_console::clock::Clock;
use cmp_console::services::issuer::Issuer;
use cmp_console::services::issuer::adapters::{Acme, Adapter, AdapterError, Begun, Order, Step};
use cmp_console::store::{Store, certificates};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::pebble::{self, Pebble};
use super::world::{World, eventually};
use super::{ALL, config, settled};
use crate::port::free_port;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_adapter_knows_whether_its_ca_says_when_to_renew() {
    if !pebble::is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pebble = Pebble::start(dir.path(), free_port(), false).await;
    let adapter = Acme::new(config(&pebble, dir.path().join("account.json")), None);
    settled(&adapter).await.unwrap();
    let says = pebble.has_renewal_info().await;
    assert_eq!(adapter.capabilities().await.unwrap().renewal_info, says);
    // A certificate of another CA: the one is never asked, the other doesn't know it.
    let foreign = pebble.root().await;
    let words = match adapter.renewal_info(&foreign).await {
        Err(AdapterError::Refused(words)) => words,
        other => panic!("{other:?}"),
    };
    assert_eq!(words.contains("doesn't say when to renew"), !says, "{words}");
}

/// A certificate on a host, and a CA that says when to renew; `None` where the CA doesn't, which is said.
async fn issued() -> Option<(World, Value)> {
    if !pebble::is_there() {
        return None;
    }
    let mut world = World::start(ALL).await;
    if !world.pebble.has_renewal_info().await {
        eprintln!("skipped: this `pebble` doesn't say when to renew; CMP_TEST_PEBBLE may name a newer one");
        return None;
    }
    let agent = world.start_agent(true).await;
    let id = world.request(&agent, &["shop.example.test"], "shop.pem").await;
    let request = world.until(&id, "issued", None).await;
    let certificate = world.until_installed(&request).await;
    Some((world, certificate))
}

impl World {
    /// What the CA said of this certificate, as soon as it was asked.
    async fn until_asked(&self, id: &str) -> Value {
        eventually("the CA was asked when to renew", async || {
            let detail = self.get(&format!("/api/v1/certs/{id}")).await;
            let renewal = detail["certificate"]["renewal"].clone();
            (!renewal.is_null()).then_some(renewal)
        })
        .await
    }

    async fn asked_for(&self) -> Vec<Value> {
        let reply = self.get("/api/v1/findings").await;
        let findings = reply["findings"].as_array().unwrap().iter();
        findings
            .filter(|it| it["kind"] == "renewal_asked")
            .cloned()
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_is_moved_to_now_is_found_and_its_order_says_what_it_replaces() {
    let Some((mut world, certificate)) = issued().await else {
        return;
    };
    let id = certificate["id"].as_str().unwrap();
    let pem = certificate["pem"].as_str().unwrap();
    let first = world.until_asked(id).await;
    assert!(first["start"].as_str() > certificate["not_before"].as_str());
    assert!(first["end"].as_str() < certificate["not_after"].as_str());
    assert_eq!(world.asked_for().await, [] as [Value; 0]);

    // The CA is about to revoke it. It is asked again six hours later, by the platform's clock.
    let start = (Clock::system().now() - Duration::hours(2)).trunc_subsecs(0);
    let why = "https://ca.example.test/incident/7";
    let window = json!({ "start": start, "end": start + Duration::hours(1) });
    let answer = json!({ "suggestedWindow": window, "explanationURL": why });
    world.pebble.suggest(pem, &answer.to_string()).await;
    world.kill_server();
    later(&world, id).await;
    world.start_server(ALL).await;
    let renewal = world.until_asked(id).await;
    assert_eq!(renewal["moved_from"], first["start"]);
    assert_eq!(renewal["explanation_url"], why);
    let found = world.asked_for().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["severity"], &found[0]["entity_id"]),
        (&json!("critical"), &json!(id))
    );
    assert!(found[0]["what"].as_str().unwrap().ends_with(why), "{found:?}");

    // What answers it tells the CA that this one is replaced; then nobody has to do anything.
    let reply = world
        .post(&format!("/api/v1/certs/{id}/reissue"), json!({}))
        .await;
    let request = reply["requests"][0]["id"].as_str().unwrap();
    let request = world.until(request, "issued", None).await;
    world.until_installed(&request).await;
    assert_eq!(world.pebble.n_replacing(), 1);
    assert_eq!(world.asked_for().await, [] as [Value; 0]);

    // Replaced once, it can't be replaced again, says the CA: then the order doesn't say so.
    let adapter = Acme::new(config(&world.pebble, world.account_file()), None);
    let order = Order {
        csr_pem: String::new(),
        common_name: "shop.example.test".to_owned(),
        sans: vec!["shop.example.test".to_owned()],
        replaces: Some(pem.to_owned()),
    };
    let begun = Begun {
        order: &order,
        ca_order: None,
        answered: &[],
    };
    eventually("the CA takes an order", async || {
        match adapter.drive(begun).await {
            Ok(Step::Ordered(_)) => Some(()),
            Err(AdapterError::Busy(..)) => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
    assert_eq!(world.pebble.n_replacing(), 1);

    // Nonsense is no answer.
    world.pebble.suggest(pem, r#"{"suggestedWindow": "soon"}"#).await;
    let nonsense = adapter.renewal_info(pem).await;
    assert!(matches!(nonsense, Err(AdapterError::Retry(_))), "{nonsense:?}");
}

/// An issuer of the same platform, seven hours later, until the CA has said something new.
async fn later(world: &World, id: &str) {
    let clock = Clock::fixed(Clock::system().now() + Duration::hours(7));
    let store = Store::open(&world.database(), clock).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let issuer = Issuer::new(store.clone(), "seven hours later", Login::Nobody);
    let running = tokio::spawn(issuer.run(stopped));
    eventually("the CA has moved the renewal", async || {
        let mut conn = store.read().await.unwrap();
        let certificate = certificates::existing(&mut conn, id).await.unwrap();
        certificate.renewal?.moved_from
    })
    .await;
    stop.send(true).unwrap();
    running.await.unwrap();
    store.close().await;
}
