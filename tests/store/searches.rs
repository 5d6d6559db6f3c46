//! Searches find a thing in each notation that people have it in, and not by its former name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cmp_console::store::{Store, certificates, checkin, installations};
use cmp_console::wire::agents::Report;
use cmp_console::wire::page::PageQuery;

use super::fixture::{Fixture, certificate};

async fn found(store: &Store, query: &PageQuery) -> Vec<String> {
    let mut conn = store.read().await.unwrap();
    let page = certificates::page(&mut conn, query).await.unwrap();
    assert_eq!(page.total, page.items.len() as i64, "{query:?}");
    assert!(!page.total_is_lower_bound);
    page.items.into_iter().map(|it| it.id).collect()
}

fn q(text: &str) -> PageQuery {
    PageQuery {
        q: Some(text.to_owned()),
        ..PageQuery::default()
    }
}

fn filter(text: &str) -> PageQuery {
    PageQuery {
        filter: Some(text.to_owned()),
        ..PageQuery::default()
    }
}

#[tokio::test]
async fn a_certificate_is_found_in_every_notation() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    for n in 0..8 {
        let mut other = certificate(n);
        other.serial = format!("0{n}:00:00:0a");
        certificates::insert(&mut tx, &other).await.unwrap();
    }
    let mut new = certificate(9);
    new.subject = "O=Example Corp, CN=pay-01.zone-qx.example.com".to_owned();
    new.sans = vec!["pay-01.zone-qx.example.com".to_owned()];
    new.serial = "4f:2a:00:9c:1d:ee:b0:07:57:80:2e:dd".to_owned();
    new.fingerprint_sha256 = "ab".repeat(32);
    new.spki_sha256 = "0c".repeat(32);
    let id = certificates::insert(&mut tx, &new).await.unwrap().id;
    tx.commit().await.unwrap();
    let decimal = u128::from_str_radix(&new.serial.replace(':', ""), 16).unwrap();
    for text in [
        id.as_str(),
        &id[..20],
        &id[4..],
        &new.serial,
        &new.serial.to_uppercase(),
        &new.serial.replace(':', ""),
        &new.serial.replace(':', "-"),
        &format!("0x{}", new.serial.replace(':', "")),
        &decimal.to_string(),
        // As screens shorten it, and from its middle.
        "57:80:2e:dd",
        "9c1dee",
        &new.fingerprint_sha256,
        &new.fingerprint_sha256.to_uppercase(),
        &new.fingerprint_sha256[..16],
        &["AB"; 32].join(":"),
        // In base64, as pins are written.
        &STANDARD.encode([0xab; 32]),
        &STANDARD.encode([0x0c; 32]),
        &new.spki_sha256,
        "pay-01",
        "PAY-01.ZONE",
        "y-01.z",
        // Too short to be looked for in the middle of a part.
        "qx",
        "pa",
        "p",
    ] {
        assert_eq!(found(&it.store, &q(text)).await, [id.as_str()], "{text}");
        assert_eq!(
            found(&it.store, &filter(text)).await,
            [id.as_str()],
            "filter {text}"
        );
        let not = found(&it.store, &filter(&format!("!{text}"))).await;
        assert!(not.len() == 8 && !not.contains(&id), "!{text}");
    }
    for text in [
        "4f:2a:00:9c:1d:ee:b0:07:57:80:2e:de",
        "x-01",
        "ay",
        "x",
        "\"",
        "pay_01",
        "p%1",
        "nothing",
    ] {
        assert!(found(&it.store, &q(text)).await.is_empty(), "{text}");
        assert_eq!(
            found(&it.store, &filter(&format!("!{text}"))).await.len(),
            9,
            "{text}"
        );
    }
    for text in [
        format!("serial:{}", new.serial),
        "serial:57802edd".to_owned(),
        format!("key:{}", &new.spki_sha256[..12]),
        format!("pay example key:ecdsa {}", &new.serial[..5]),
        format!("nothing|{}", &new.fingerprint_sha256[..16]),
        "|pay-01".to_owned(),
        "~pyzn".to_owned(),
    ] {
        assert_eq!(found(&it.store, &filter(&text)).await, [id.as_str()], "{text}");
    }
}

#[tokio::test]
async fn a_host_is_found_by_what_it_says_now() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let there = certificates::insert(&mut tx, &certificate(1)).await.unwrap();
    certificates::insert(&mut tx, &certificate(2)).await.unwrap();
    installations::expect(&mut tx, &it.agent.id, "/srv/tls/1.pem", &there)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for (owner, edge, before) in [
        ("team-blue", "edge-aa", None),
        ("team-red", "edge-bb", Some(("team-blue", "edge-aa"))),
    ] {
        let report = Report {
            agent_version: "1".to_owned(),
            owner: Some(owner.to_owned()),
            identity_csr_pem: None,
            address: "http://127.0.0.1:1".to_owned(),
            tls_address: Some(format!("{edge}.example.com:443")),
            install_dirs: vec!["/srv/tls".to_owned()],
            layout: None,
            installations: Vec::new(),
            keys: Vec::new(),
            proofs: Vec::new(),
        };
        let mut tx = it.store.begin().await.unwrap();
        checkin::check_in(&mut tx, &it.agent.id, &report).await.unwrap();
        tx.commit().await.unwrap();
        let host = format!("agent:{}", it.agent.hostname);
        // Its letters in their order.
        let letters = format!("~{}", &edge[1..]);
        for text in [
            &letters,
            &format!("owner:{owner}"),
            &edge.to_owned(),
            &it.agent.hostname,
            &host,
        ] {
            assert_eq!(
                found(&it.store, &filter(text)).await,
                [there.id.as_str()],
                "{text}"
            );
        }
        // An owner is no word of a certificate.
        assert!(found(&it.store, &q(owner)).await.is_empty());
        if let Some((owner, edge)) = before {
            let letters = format!("~{}", &edge[1..]);
            for text in [&format!("owner:{owner}"), edge, &letters] {
                assert!(found(&it.store, &filter(text)).await.is_empty(), "{text}");
            }
        }
    }
}

/// Ids that all words were read for are kept: what comes, and what has changed, is found all the same.
#[tokio::test]
async fn what_is_asked_for_again_is_as_it_is_now() {
    let Some(it) = Fixture::new().await else { return };
    let make = async |n: u32, name: &str| {
        let mut tx = it.store.begin().await.unwrap();
        let mut new = certificate(n);
        new.subject = format!("CN={name}");
        new.sans = vec![name.to_owned()];
        let id = certificates::insert(&mut tx, &new).await.unwrap().id;
        tx.commit().await.unwrap();
        id
    };
    let lacks = filter("!shop");
    let letters = filter("~qxz");
    assert!(found(&it.store, &lacks).await.is_empty());
    assert!(found(&it.store, &letters).await.is_empty());
    let with = make(1, "quux-zone.shop.example.com").await;
    assert!(found(&it.store, &lacks).await.is_empty());
    assert_eq!(found(&it.store, &letters).await, [with.as_str()]);
    let without = make(2, "q-x-z.example.com").await;
    assert_eq!(found(&it.store, &lacks).await, [without.as_str()]);
    assert_eq!(found(&it.store, &letters).await.len(), 2);
    // More than are kept.
    let mut tx = it.store.begin().await.unwrap();
    for n in 3..260 {
        let mut new = certificate(n);
        new.subject = format!("CN=qxz{n}.example.com");
        new.sans = Vec::new();
        certificates::insert(&mut tx, &new).await.unwrap();
    }
    tx.commit().await.unwrap();
    for (query, n) in [(&lacks, 258), (&letters, 259), (&filter("!qxz25"), 248)] {
        let mut conn = it.store.read().await.unwrap();
        let page = certificates::page(&mut conn, query).await.unwrap();
        assert_eq!((page.total, page.total_is_lower_bound), (n, false), "{query:?}");
    }
}
