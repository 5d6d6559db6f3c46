//! A CA, or who stands before it, that says yes to revocations and lists nothing.

use std::io::Write;
use std::sync::{Arc, Mutex};

use chrono::Duration;

use super::adapters::Published;
use super::bench::{Bench, Mood};
use crate::domain::audit::AuditRow;
use crate::domain::certificate::{Certificate, CertificateStatus};
use crate::domain::finding::{Finding, FindingKind, NAMED, Severity};
use crate::domain::reason::Reason;
use crate::store::{audit, certificates, read, revocation};
use crate::wire::page::PageQuery;

/// Lines that were logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

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
    assert_eq!(told.answer.as_deref(), Some("revoke"));
    // Asked again in the round after, and then not at once.
    for _ in 0..3 {
        bench.round().await;
    }
    assert_eq!(n_asked(), 2);
    // Nor does a person have to wait.
    let ask = async || {
        let mut tx = bench.store.begin().await.unwrap();
        let asked = revocation::ask(&mut tx, &id, Reason::Superseded).await;
        tx.commit().await.unwrap();
        asked.map(|_| ())
    };
    ask().await.unwrap();
    assert!(ask().await.is_err(), "it is under way");
    bench.round().await;
    assert_eq!(n_asked(), 3);
    bench.pass(Duration::minutes(6));
    for _ in 0..3 {
        bench.round().await;
    }
    assert_eq!(n_asked(), 4);
    assert!(finding(&bench).await.is_some());

    bench.ca.be(Mood::Signs);
    bench.pass(Duration::minutes(20));
    bench.round().await;
    bench.round().await;
    assert!(is_listed(&bench, &id).await);
    assert_eq!((n_asked(), finding(&bench).await), (5, None));
}

#[tokio::test]
async fn a_ca_that_lists_by_its_own_time_is_given_that_time() {
    let bench = Bench::new().await;
    let hour = std::time::Duration::from_secs(3600);
    bench.ca.can.lock().unwrap().crl = Published::Within(hour);
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

#[tokio::test]
async fn a_list_that_proves_nothing_is_logged_once_a_look_however_many_are_on_it() {
    let bench = Bench::new().await;
    let all = asked_back(&bench, 5).await;
    bench.ca.be(Mood::ForgesLists);
    let logged = Logged::default();
    let to = logged.clone();
    let listens = tracing_subscriber::fmt().with_writer(move || to.clone()).finish();
    let listening = tracing::subscriber::set_default(listens);
    bench.round().await;
    drop(listening);

    let text = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("proves nothing"))
        .collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(
        lines[0].contains("n=5") && lines[0].contains("signed by somebody else"),
        "{text}"
    );
    for id in &all {
        assert!(!is_listed(&bench, id).await);
    }
}

#[tokio::test]
async fn a_revocation_that_no_list_can_be_read_for_is_asked_for_again_at_the_time_that_is_told() {
    let bench = Bench::new().await;
    let id = asked_back(&bench, 1).await.remove(0);
    let n_asked = || bench.ca.withdrawn.lock().unwrap().len();
    bench.ca.be(Mood::HidesLists);
    bench.round().await;
    bench.pass(Duration::minutes(6));
    let told = finding(&bench).await.unwrap().what;
    assert!(told.contains("due since 08:05Z"), "{told}");
    for _ in 0..3 {
        bench.round().await;
    }
    assert_eq!((n_asked(), is_listed(&bench, &id).await), (2, false));
    let told = finding(&bench).await.unwrap().what;
    assert!(told.contains("asks again by itself, next 08:11Z"), "{told}");

    bench.ca.be(Mood::Signs);
    bench.pass(Duration::minutes(20));
    bench.round().await;
    bench.round().await;
    assert!(is_listed(&bench, &id).await);
}

#[tokio::test]
async fn that_a_certificate_has_expired_is_believed_after_its_end() {
    let bench = Bench::new().await;
    let id = asked_back(&bench, 1).await.remove(0);
    let n_asked = || bench.ca.withdrawn.lock().unwrap().len();
    let status = async || certificate(&bench, &id).await.status;
    bench.ca.be(Mood::SaysExpired);
    for n in 1..=3 {
        bench.round().await;
        assert_eq!(
            (n_asked(), status().await),
            (n, CertificateStatus::RevocationPending)
        );
        bench.pass(Duration::minutes(12));
    }
    let mut conn = bench.store.read().await.unwrap();
    let rows = audit::rows_after(&mut conn, 0, 100).await.unwrap();
    let is_told = |why: &String| why.contains("that is no answer");
    assert!(
        rows.iter().any(|row| row.reason.as_ref().is_some_and(is_told)),
        "{rows:?}"
    );
    drop(conn);

    // Once it is revoked it is expected in the list as any other.
    bench.ca.be(Mood::SwallowsRevocations);
    bench.round().await;
    bench.pass(Duration::minutes(6));
    assert!(finding(&bench).await.is_some());
    // Asked again, that is no way out either.
    bench.ca.be(Mood::SaysExpired);
    bench.round().await;
    bench.round().await;
    assert!(finding(&bench).await.is_some());

    let over = asked_back(&bench, 1).await.remove(0);
    bench.pass(Duration::days(91));
    bench.round().await;
    let over = certificate(&bench, &over).await;
    assert_eq!(over.status, CertificateStatus::Revoked);
    assert_eq!(over.revocation.unwrap().accepted_at, None);
}

#[tokio::test]
async fn no_ca_puts_off_for_years_when_its_list_has_to_hold_a_revocation() {
    for hours in [87_600, u64::MAX / 3600] {
        let bench = Bench::new().await;
        let wait = std::time::Duration::from_secs(hours * 3600);
        bench.ca.can.lock().unwrap().crl = Published::Within(wait);
        asked_back(&bench, 1).await;
        bench.ca.be(Mood::SwallowsRevocations);
        bench.round().await;
        bench.pass(Duration::days(7));
        assert_eq!(finding(&bench).await, None);
        bench.pass(Duration::minutes(6));
        assert!(finding(&bench).await.is_some(), "{hours}");
    }
}

#[tokio::test]
async fn a_ca_that_had_a_list_is_not_believed_that_it_has_none() {
    let bench = Bench::new().await;
    // Before anything is revoked.
    bench.round().await;
    bench.ca.can.lock().unwrap().crl = Published::Never;
    bench.ca.be(Mood::SwallowsRevocations);
    let id = asked_back(&bench, 1).await.remove(0);
    bench.round().await;
    let revocation = certificate(&bench, &id).await.revocation.unwrap();
    assert_eq!(revocation.without_crl_at, None);
    bench.pass(Duration::minutes(6));
    assert!(finding(&bench).await.is_some());
    bench.ca.be(Mood::Signs);
    bench.round().await;
    bench.round().await;
    assert!(is_listed(&bench, &id).await);
    assert_eq!(finding(&bench).await, None);
}

#[tokio::test]
async fn what_is_expected_in_a_list_is_not_given_up_by_a_ca_that_has_none_but_by_the_configuration() {
    let bench = Bench::new().await;
    let id = asked_back(&bench, 1).await.remove(0);
    bench.ca.be(Mood::SwallowsRevocations);
    bench.round().await;
    bench.pass(Duration::minutes(6));
    for (says, is_over) in [(Published::Never, false), (Published::SwitchedOff, true)] {
        bench.ca.can.lock().unwrap().crl = says;
        bench.round().await;
        bench.round().await;
        let revocation = certificate(&bench, &id).await.revocation.unwrap();
        assert_eq!(revocation.without_crl_at.is_some(), is_over, "{says:?}");
        assert_eq!(finding(&bench).await.is_none(), is_over, "{says:?}");
        bench.pass(Duration::minutes(20));
    }
}

#[tokio::test]
async fn a_ca_that_never_had_a_list_says_the_last_word() {
    for says in [Published::Never, Published::SwitchedOff] {
        let bench = Bench::new().await;
        bench.ca.can.lock().unwrap().crl = says;
        bench.round().await;
        let id = asked_back(&bench, 1).await.remove(0);
        bench.round().await;
        let revocation = certificate(&bench, &id).await.revocation.unwrap();
        assert!(revocation.without_crl_at.is_some(), "{says:?}");
        bench.pass(Duration::days(8));
        bench.round().await;
        assert_eq!(finding(&bench).await, None, "{says:?}");
    }
}

#[tokio::test]
async fn what_falls_out_of_the_list_is_a_finding_and_asked_for_again() {
    let bench = Bench::new().await;
    let ids = asked_back(&bench, 2).await;
    let n_asked = || bench.ca.withdrawn.lock().unwrap().len();
    bench.round().await;
    bench.round().await;
    assert!(is_listed(&bench, &ids[0]).await && is_listed(&bench, &ids[1]).await);
    assert_eq!((n_asked(), finding(&bench).await), (2, None));

    bench.ca.put_back();
    bench.ca.be(Mood::SwallowsRevocations);
    bench.pass(Duration::minutes(6));
    bench.round().await;
    assert!(!is_listed(&bench, &ids[0]).await && !is_listed(&bench, &ids[1]).await);
    assert_eq!(finding(&bench).await.unwrap().severity, Severity::Critical);
    bench.round().await;
    assert_eq!(n_asked(), 4);

    bench.ca.be(Mood::Signs);
    bench.pass(Duration::minutes(20));
    bench.round().await;
    bench.round().await;
    assert!(is_listed(&bench, &ids[0]).await && is_listed(&bench, &ids[1]).await);
    assert_eq!(finding(&bench).await, None);
    // Once for each.
    let mut conn = bench.store.read().await.unwrap();
    let rows = audit::page(&mut conn, &PageQuery::default()).await.unwrap().items;
    let told = |row: &&AuditRow| {
        row.detail
            .as_deref()
            .is_some_and(|it| it.contains("one before did"))
    };
    assert_eq!(rows.iter().filter(told).count(), 2, "{rows:#?}");
}

async fn expired(bench: &Bench) -> Option<Finding> {
    let mut conn = bench.store.read().await.unwrap();
    let found = read::findings(&mut conn).await.unwrap().findings;
    found.into_iter().find(|it| it.kind == FindingKind::CrlExpired)
}

#[tokio::test]
async fn a_list_that_has_ended_is_a_finding_until_a_newer_one_is_read() {
    let bench = Bench::new().await;
    let end = |days| *bench.ca.lists_end.lock().unwrap() = super::bench::start() + Duration::days(days);
    end(1);
    let request = bench.request().await;
    // The CA is seen first, then its list.
    for _ in 0..3 {
        bench.round().await;
    }
    let id = bench.now(&request).await.certificate_id.unwrap();
    let ends_at = bench.adapter().await.crl_ends_at.unwrap();
    assert_eq!(ends_at, super::bench::start() + Duration::days(1));
    assert_eq!(expired(&bench).await, None);

    // One that somebody else made counts for nothing, whatever end it says.
    bench.pass(Duration::hours(25));
    end(90);
    bench.ca.be(Mood::ForgesLists);
    bench.round().await;
    let told = expired(&bench).await.unwrap();
    assert_eq!(told.severity, Severity::Warning, "{told:?}");

    bench.ca.be(Mood::Signs);
    end(1);
    let mut tx = bench.store.begin().await.unwrap();
    revocation::ask(&mut tx, &id, Reason::Superseded).await.unwrap();
    tx.commit().await.unwrap();
    bench.round().await;
    let told = expired(&bench).await.unwrap();
    assert_eq!(told.severity, Severity::Critical, "{told:?}");

    end(2);
    bench.round().await;
    assert_eq!(expired(&bench).await, None);
    // A list that an operator switched off is nobody's to renew.
    bench.ca.can.lock().unwrap().crl = Published::SwitchedOff;
    bench.round().await;
    bench.pass(Duration::days(3));
    assert_eq!(expired(&bench).await, None);
}

#[tokio::test]
async fn a_revocation_is_expected_before_the_list_ends_that_is_there() {
    let bench = Bench::new().await;
    bench.ca.can.lock().unwrap().crl = Published::Within(std::time::Duration::from_secs(6 * 86400));
    *bench.ca.lists_end.lock().unwrap() = super::bench::start() + Duration::hours(2);
    bench.request().await;
    for _ in 0..3 {
        bench.round().await;
    }
    assert!(bench.adapter().await.crl_ends_at.is_some());
    let id = asked_back(&bench, 1).await.remove(0);
    bench.ca.be(Mood::SwallowsRevocations);
    bench.round().await;
    let by = certificate(&bench, &id).await.revocation.unwrap().in_crl_by;
    assert_eq!(by, Some(super::bench::start() + Duration::minutes(125)));
}
