//! What a filter looks for, and where: in the columns that the console names, and by what things are known.

use chrono::Duration;
use cmp_console::domain::audit::AuditEntry;
use cmp_console::domain::id::EntityKind;
use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::store::{
    Conn, Store, StoreError, agents, audit, certificates, installations, issuance, keys, requests, tokens,
};
use cmp_console::wire::agents::EnrolBody;
use cmp_console::wire::page::PageQuery;

use super::fixture::{Fixture, certificate, enrol, entry};

fn filter(text: &str) -> PageQuery {
    PageQuery {
        filter: Some(text.to_owned()),
        ..PageQuery::default()
    }
}

/// How many rows of a list pass.
async fn n(conn: &mut Conn, list: &str, query: &PageQuery) -> Result<i64, StoreError> {
    Ok(match list {
        "certificates" => certificates::page(conn, query).await?.total,
        "agents" => agents::page(conn, query).await?.total,
        "requests" => requests::page(conn, query).await?.total,
        "audit" => audit::page(conn, query).await?.total,
        "keys" => keys::page(conn, query).await?.total,
        _ => tokens::page(conn, query).await?.total,
    })
}

async fn found(store: &Store, list: &str, text: &str) -> i64 {
    let mut conn = store.read().await.unwrap();
    n(&mut conn, list, &filter(text)).await.unwrap()
}

async fn refused(store: &Store, list: &str, query: &PageQuery) -> String {
    let mut conn = store.read().await.unwrap();
    let problem: Problem = match n(&mut conn, list, query).await {
        Err(error) => error.into(),
        Ok(n) => panic!("{list} has {n} for {query:?}"),
    };
    assert_eq!(problem.kind, ProblemKind::BadInput, "{list} {query:?}");
    problem.what
}

/// An agent with an owner, a certificate there that came out of a request, and rows of the trail about them.
async fn filled(it: &Fixture) -> (String, String, String) {
    let mut tx = it.store.begin().await.unwrap();
    let host = EnrolBody {
        owner: Some("team-blue".to_owned()),
        address: "http://10.20.30.40:8084".to_owned(),
        ..enrol("cdn-07")
    };
    let agent = agents::insert(&mut tx, &host, 60).await.unwrap();
    let mut new = certificate(1);
    new.subject = "CN=press.example.com".to_owned();
    new.sans = vec!["press.example.com".to_owned()];
    new.serial = "4f:2a:00:9c:1d:ee:b0:07".to_owned();
    new.not_after = it.clock.now() + Duration::days(90);
    let mut wish = it.request("press.example.com");
    wish.agent_id.clone_from(&agent.id);
    wish.requested_by = "dana".to_owned();
    let request = requests::insert(&mut tx, &wish).await.unwrap();
    requests::set_csr(&mut tx, &request.id, "csr", &new.spki_sha256, &new.key_algorithm)
        .await
        .unwrap();
    cmp_console::store::claims::begin_issue(&mut tx, &request.id, "w", Duration::seconds(30))
        .await
        .unwrap();
    issuance::complete_issue(&mut tx, &request.id, &new)
        .await
        .unwrap();
    let request = requests::existing(&mut tx, &request.id).await.unwrap();
    let id = request.certificate_id.unwrap();
    let there = certificates::existing(&mut tx, &id).await.unwrap();
    installations::expect(&mut tx, &agent.id, "/srv/tls/1.pem", &there)
        .await
        .unwrap();
    let other = certificates::insert(&mut tx, &certificate(2)).await.unwrap();
    let row = AuditEntry {
        entity_id: other.id,
        ..entry("install")
    };
    audit::append(&mut tx, row).await.unwrap();
    let failed = requests::insert(&mut tx, &it.request("mail.example.org"))
        .await
        .unwrap();
    requests::deny(&mut tx, &failed.id, "kim", Some("no-such-role"))
        .await
        .unwrap();
    let row = AuditEntry {
        actor: "dana".to_owned(),
        entity_id: id.clone(),
        reason: None,
        ticket: Some("INC-77".to_owned()),
        detail: Some("in the CRL fetched from the CA".to_owned()),
        ..entry("revoke")
    };
    audit::append(&mut tx, row).await.unwrap();
    let row = AuditEntry {
        entity_type: EntityKind::Vault,
        entity_id: "https://vault-3.example.net:8200".to_owned(),
        reason: Some("a drill".to_owned()),
        ..entry("unseal")
    };
    audit::append(&mut tx, row).await.unwrap();
    tx.commit().await.unwrap();
    (agent.id, id, request.id)
}

/// As `wire/filter.rs` (`looked_into`) has it, which the console says where nothing is found.
#[tokio::test]
async fn a_word_is_looked_for_in_the_columns_that_are_told() {
    let Some(it) = Fixture::new().await else { return };
    filled(&it).await;
    for (list, column, word, is_looked_into) in [
        ("certificates", "certificate", "press", true),
        ("certificates", "host", "cdn-07", true),
        ("certificates", "serial", "9c:1d:ee", true),
        ("certificates", "status", "active", false),
        ("certificates", "key", "ecdsa", false),
        ("certificates", "owner", "team-blue", false),
        ("agents", "agent", "cdn-07", true),
        ("agents", "owner", "team-blue", true),
        ("agents", "address", "10.20.30", true),
        ("agents", "health", "never", false),
        ("requests", "request", "press", true),
        ("requests", "what went wrong", "no-such-role", true),
        ("requests", "status", "issued", false),
        ("requests", "by", "dana", false),
        ("requests", "why", "waits", false),
        ("audit", "who", "dana", true),
        ("audit", "what", "unseal", true),
        ("audit", "outcome", "done", true),
        ("audit", "why", "drill", true),
        ("audit", "why", "CRL", true),
        ("audit", "ticket", "inc-77", true),
        ("audit", "names", "host-2.example.com", false),
    ] {
        let n = found(&it.store, list, word).await;
        assert_eq!(n > 0, is_looked_into, "{column} of {list}: {word} finds {n}");
    }
}

#[tokio::test]
async fn a_thing_is_found_by_its_name_its_serial_and_its_id() {
    let Some(it) = Fixture::new().await else { return };
    let (agent, certificate, request) = filled(&it).await;
    let serial = "4f:2a:00:9c:1d:ee:b0:07";
    let decimal = u64::from_str_radix(&serial.replace(':', ""), 16)
        .unwrap()
        .to_string();
    for known_by in [
        "press.example.com",
        "PRESS",
        "press.example.org|press.example.com",
        serial,
        &serial.replace(':', ""),
        &decimal,
        &certificate,
        &certificate[..20],
        "~prscom",
    ] {
        for list in ["agents", "requests"] {
            let of = found(&it.store, list, &format!("cert:{known_by}")).await;
            assert_eq!(of, 1, "{list} cert:{known_by}");
        }
        let others = found(&it.store, "agents", &format!("!cert:{known_by}")).await;
        assert_eq!(others, 1, "!cert:{known_by}");
    }
    assert_eq!(found(&it.store, "agents", "cert:host-2.example.com").await, 0);
    // A certificate and its request have one name.
    let all = found(&it.store, "audit", "").await;
    let of_id = found(&it.store, "audit", &format!("entity:{certificate}")).await;
    let of_request = found(&it.store, "audit", &format!("entity:{request}")).await;
    assert!(of_id >= 1 && of_request >= 1 && of_id + of_request < all);
    for (text, wanted) in [
        ("entity:press.example.com", of_id + of_request),
        ("!entity:press.example.com", all - of_id - of_request),
        ("entity:host-2.example.com", 1),
        ("entity:vault-3", 1),
        ("entity:VAULT", 1),
        ("entity:nothing.example.com", 0),
        ("on:press action:revoke", 1),
    ] {
        assert_eq!(found(&it.store, "audit", text).await, wanted, "{text}");
    }
    for (list, text) in [
        ("agents", format!("host:{agent}")),
        ("agents", format!("agent:{}", &agent[..20])),
        ("requests", format!("agent:{agent}")),
        ("certificates", format!("agent:{agent}")),
    ] {
        assert_eq!(found(&it.store, list, &text).await, 1, "{list} {text}");
    }
}

/// An empty list would say that nobody has it.
#[tokio::test]
async fn what_can_be_no_such_thing_is_refused() {
    let Some(it) = Fixture::new().await else { return };
    let (agent, certificate, request) = filled(&it).await;
    for (list, text, wanted) in [
        ("agents", format!("cert:{agent}"), "a certificate's name"),
        ("agents", format!("!cert:press|{request}"), "the id of a request"),
        ("agents", format!("host:{certificate}"), "the id of a certificate"),
        ("requests", format!("cert:{agent}"), "the id of an agent"),
        ("requests", format!("agent:{certificate}"), "a host's name"),
        ("certificates", format!("agent:{certificate}"), "a host's name"),
        ("certificates", "key:press.example.com".to_owned(), "a key's hash"),
        ("certificates", format!("key:{certificate}"), "a key's hash"),
        ("certificates", "serial:press".to_owned(), "a serial"),
        ("audit", "run:press.example.com".to_owned(), "run_…"),
        ("audit", format!("run:{certificate}"), "the id of a certificate"),
        ("tokens", "parent:kim".to_owned(), "tok_…"),
    ] {
        let said = refused(&it.store, list, &filter(&text)).await;
        assert!(said.contains(wanted), "{list} {text}: {said}");
    }
    let of_agent = PageQuery {
        agent: Some(certificate.clone()),
        ..PageQuery::default()
    };
    for list in ["certificates", "requests", "keys"] {
        let said = refused(&it.store, list, &of_agent).await;
        assert!(said.contains("the id of a certificate"), "{list}: {said}");
    }
    let of_key = PageQuery {
        spki: Some("press.example.com".to_owned()),
        ..PageQuery::default()
    };
    refused(&it.store, "certificates", &of_key).await;
    // What can be one and isn't there is none.
    for (list, text) in [
        ("agents", "cert:crt_01k9"),
        ("certificates", "key:rsa"),
        ("certificates", "key:1.3.101.112"),
        ("certificates", "serial:0xffff"),
        ("certificates", "agent:nobody"),
        ("audit", "run:run_1"),
        ("tokens", "parent:tok_01k9"),
    ] {
        assert_eq!(found(&it.store, list, text).await, 0, "{list} {text}");
    }
}
