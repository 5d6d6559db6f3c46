//! A CA, or who stands before it, that says yes to revocations and lists nothing.

use chrono::Duration;

use super::bench::{Bench, Mood};
use crate::domain::certificate::Certificate;
use crate::domain::finding::{Finding, FindingKind, NAMED, Severity};
use crate::domain::reason::Reason;
use crate::store::{certificates, read, revocation};

async fn finding(bench: &Bench) -> Option<Finding> {
    let mut conn = bench.store.read().await.unwrap();
    let found = read::findings(&mut conn).await.unwrap().findings;
    let mut found = found
        .into_iter()
        .filter(|it| it.kind == FindingKind::RevocationNotListed);
    let first = found.next();
    assert_eq!(found.next(), None, "one a CA");
    first
}

/// So many certificates whose revocation was asked for.
async fn asked_back(bench: &Bench, n: usize) -> Vec<String> {
    let mut requests = Vec::new();
    for _ in 0..n {
        requests.push(bench.request().await);
    }
    bench.round().await;
    let mut all = Vec::new();
    for request in &requests {
        all.push(bench.now(request).await.certificate_id.unwrap());
    }
    let mut tx = bench.store.begin().await.unwrap();
    for id in &all {
        revocation::ask(&mut tx, id, Reason::Superseded).await.unwrap();
    }
    tx.commit().await.unwrap();
    all
}

async fn certificate(bench: &Bench, id: &str) -> Certificate {
    let mut conn = bench.store.read().await.unwrap();
    certificates::existing(&mut conn, id).await.unwrap()
}

async fn is_listed(bench: &Bench, id: &str) -> bool {
    let revocation = certificate(bench, id).await.revocation.unwrap();
    assert!(revocation.accepted_at.is_some());
    revocation.in_crl_at.is_some()
}

#[tokio::test]
async fn a_yes_that_no_list_proves_is_a_finding_and_the_ca_is_asked_until_one_does() {
    let bench = Bench::new().await;
    let id = asked_back(&bench, 1).await.remove(0);
    let n_asked = || bench.ca.withdrawn.lock().unwrap().len();
    bench.ca.be(Mood::SwallowsRevocations);
    bench.round().await;
    assert_eq!((n_asked(), is_listed(&bench, &id).await), (1, false));
    assert_eq!(finding(&bench).await, None, "its time has not come");
    bench.pass(Duration::minutes(4));
    bench.round().await;
    assert_eq!((n_asked(), finding(&bench).await), (1, None));

    bench.pass(Duration::minutes(2));
    bench.round().await;
    let told = finding(&bench).await.unwrap();
    assert_eq!((told.severity, &told.entity_id), (Severity::Critical, &id));
    let serial = certificate(&bench, &id).await.serial;
    assert!(
        told.what.contains(&format!("serial {serial} by 08:05Z")),
        "{told:?}"
    );
    // Asked again in the round after, and then not at once.
    for _ in 0..3 {
        bench.round().await;
    }
    assert_eq!(n_asked(), 2);
    bench.pass(Duration::minutes(6));
    for _ in 0..3 {
        bench.round().await;
    }
    assert_eq!(n_asked(), 3);
    assert!(finding(&bench).await.is_some());

    bench.ca.be(Mood::Signs);
    bench.pass(Duration::minutes(20));
    bench.round().await;
    bench.round().await;
    assert!(is_listed(&bench, &id).await);
    assert_eq!((n_asked(), finding(&bench).await), (4, None));
}

#[tokio::test]
async fn a_ca_that_lists_by_its_own_time_is_given_that_time() {
    let bench = Bench::new().await;
    let hour = std::time::Duration::from_secs(3600);
    bench.ca.can.lock().unwrap().crl = super::adapters::Published::Within(hour);
    asked_back(&bench, 1).await;
    bench.ca.be(Mood::SwallowsRevocations);
    bench.round().await;
    bench.pass(Duration::minutes(64));
    bench.round().await;
    assert_eq!(finding(&bench).await, None);
    bench.pass(Duration::minutes(2));
    assert!(finding(&bench).await.is_some());
}

#[tokio::test]
async fn many_are_one_finding_that_says_how_many() {
    let bench = Bench::new().await;
    let n = NAMED + 2;
    asked_back(&bench, n).await;
    bench.ca.be(Mood::SwallowsRevocations);
    bench.round().await;
    bench.pass(Duration::minutes(6));
    let told = finding(&bench).await.unwrap();
    assert!(told.what.contains(&format!("and {} more", n - 1)), "{told:?}");
    assert_eq!((told.takes_down.len(), told.n_takes_down), (NAMED, n as i64));
}

#[tokio::test]
async fn a_list_that_somebody_else_signed_proves_nothing_whatever_came_with_the_certificate() {
    let bench = Bench::new().await;
    bench.ca.be(Mood::SignsBesideAStranger);
    let id = asked_back(&bench, 1).await.remove(0);
    let kept = certificate(&bench, &id).await.chain_pem.unwrap();
    assert_eq!(kept.matches("BEGIN CERTIFICATE").count(), 1, "{kept}");

    bench.ca.be(Mood::ForgesLists);
    bench.round().await;
    assert!(!is_listed(&bench, &id).await);
    bench.pass(Duration::minutes(6));
    bench.round().await;
    assert!(!is_listed(&bench, &id).await);
    assert!(finding(&bench).await.is_some());
}
