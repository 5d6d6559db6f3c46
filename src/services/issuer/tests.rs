//! The issuer against a CA that can be told to misbehave: what is signed is signed once, whatever
//! answer got lost, and a CA that is away burns nothing.

use std::sync::Arc;

use chrono::Duration;
use tokio::sync::Semaphore;

use super::adapters::{Published, TakesBack};
use super::bench::{Bench, FakeCa, Mood, Watches, start};
use super::way::Ways;
use super::{AT_ONCE, Issuer, LEASE, SETTLES};
use crate::clients::vault::Login;
use crate::domain::adapter::{AdapterStatus, PauseKind};
use crate::domain::audit::AuditOutcome;
use crate::domain::certificate::CertificateStatus;
use crate::domain::reason::Reason;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::store::{adapters as rows, audit, certificates, revocation};

#[tokio::test]
async fn told_to_stop_it_claims_nothing_more_and_leaves_it_to_others() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    let (_sender, stop) = tokio::sync::watch::channel(true);
    let mut watches = Watches::default();
    bench.issuer.round(&mut watches, &stop).await.unwrap();
    let left = bench.now(&request).await;
    assert_eq!(left.status, RequestStatus::Pending);
    assert_eq!(left.version, request.version, "not even touched");
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

#[tokio::test]
async fn a_request_gets_its_certificate_and_the_agent_its_job() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.round().await;
    let request = bench.now(&request).await;
    assert_eq!(request.status, RequestStatus::Issued);
    let mut conn = bench.store.read().await.unwrap();
    let id = request.certificate_id.unwrap();
    let certificate = certificates::existing(&mut conn, &id).await.unwrap();
    assert_eq!(Some(certificate.spki_sha256), request.spki_sha256);
    assert_eq!(certificate.n_installations, 1);
    let jobs = crate::store::jobs::for_agent(&mut conn, &bench.agent_id)
        .await
        .unwrap();
    assert_eq!(jobs.len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_found_and_nothing_is_signed_twice() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::SignsAndFallsSilent);
    bench.round().await;
    let request = bench.now(&request).await;
    assert_eq!(request.status, RequestStatus::Issued, "it was looked for at once");
    assert_eq!(bench.ca.n_signed(), 1);
}

#[tokio::test]
async fn a_crash_after_the_signature_is_driven_on_even_through_a_seal() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    // What a SIGKILL between the CA's signature and our commit leaves behind.
    let mut tx = bench.store.begin().await.unwrap();
    let issuing = crate::store::claims::begin_issue(&mut tx, &request.id, "issuer", Duration::seconds(30))
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    bench.ca.make(&issuing.csr_pem);
    bench.ca.be(Mood::Sealed);
    bench.issuer.release_earlier_claims().await;
    bench.pass(SETTLES);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issuing);
    assert_eq!(bench.adapter_status().await, AdapterStatus::Paused);
    bench.ca.be(Mood::Signs);
    bench.round().await;
    assert_eq!(bench.adapter_status().await, AdapterStatus::Active);
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
    assert_eq!(bench.ca.n_signed(), 1);
}

/// Claimed by `owner`, who is then cut off before the CA says anything.
async fn cut_off(bench: &Bench, owner: &str) -> (Request, String) {
    let request = bench.request().await;
    let mut tx = bench.store.begin().await.unwrap();
    let issuing = crate::store::claims::begin_issue(&mut tx, &request.id, owner, LEASE).await;
    tx.commit().await.unwrap();
    (request, issuing.unwrap().unwrap().csr_pem)
}

async fn ban(bench: &Bench) -> crate::store::ban::Stopped {
    let mut tx = bench.store.begin().await.unwrap();
    let stopped = crate::store::ban::ban(&mut tx, &bench.agent_id, "ops").await;
    tx.commit().await.unwrap();
    stopped.unwrap().unwrap()
}

#[tokio::test]
async fn nothing_is_signed_for_a_banned_agent_when_its_ca_comes_back() {
    let bench = Bench::new().await;
    bench.ca.be(Mood::Sealed);
    let request = bench.request().await;
    bench.round().await;
    assert_eq!(ban(&bench).await.cancelled.len(), 1);
    bench.ca.be(Mood::Signs);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Cancelled);
    assert_eq!(bench.ca.n_signed(), 0);
}

#[tokio::test]
async fn what_a_ca_may_have_signed_for_a_banned_agent_is_looked_for_and_taken_back() {
    for is_signed in [false, true] {
        let bench = Bench::new().await;
        let (request, csr) = cut_off(&bench, "gone").await;
        if is_signed {
            bench.ca.make(&csr);
        }
        assert_eq!(ban(&bench).await.looked_for.len(), 1);
        bench.pass(LEASE);
        bench.round().await;
        let request = bench.now(&request).await;
        assert_eq!(request.status, RequestStatus::Failed);
        assert_eq!(
            bench.ca.n_signed(),
            usize::from(is_signed),
            "nothing more is signed"
        );
        let error = request.error_message.unwrap();
        assert!(error.contains("banned"), "{error}");
        let mut conn = bench.store.read().await.unwrap();
        assert_eq!(request.certificate_id.is_some(), is_signed);
        if let Some(id) = request.certificate_id {
            let taken_back = certificates::existing(&mut conn, &id).await.unwrap();
            assert_ne!(taken_back.status, CertificateStatus::Active);
            assert_eq!(taken_back.n_installations, 0);
        }
    }
}

#[tokio::test]
async fn a_ca_that_is_still_at_it_after_a_crash_is_given_the_time() {
    let bench = Bench::new().await;
    let (request, csr) = cut_off(&bench, "issuer").await;
    // Started again at once, while the CA has the call of the one before in its hands.
    bench.issuer.release_earlier_claims().await;
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issuing);
    bench.ca.make(&csr);
    bench.pass(SETTLES);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
    assert_eq!(bench.ca.n_signed(), 1);
}

#[tokio::test]
async fn who_looks_so_long_that_another_one_has_it_signs_nothing() {
    let bench = Bench::new().await;
    let (request, _) = cut_off(&bench, "gone").await;
    bench.pass(LEASE);
    let (store, clock, id) = (bench.store.clone(), bench.clock.clone(), request.id.clone());
    *bench.ca.meanwhile.lock().unwrap() = Some(Box::pin(async move {
        clock.set(clock.now() + LEASE);
        let mut tx = store.begin().await.unwrap();
        let taken = crate::store::claims::begin_issue(&mut tx, &id, "another", LEASE).await;
        assert!(taken.unwrap().is_some());
        tx.commit().await.unwrap();
    }));
    bench.round().await;
    assert_eq!(bench.ca.n_signed(), 0);
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issuing);

    // Nobody has it: then the claim lasts as long again, and it is signed.
    bench.pass(LEASE);
    let clock = bench.clock.clone();
    *bench.ca.meanwhile.lock().unwrap() = Some(Box::pin(async move { clock.set(clock.now() + LEASE) }));
    bench.round().await;
    assert_eq!(bench.ca.n_signed(), 1);
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

#[tokio::test]
async fn a_sealed_ca_pauses_and_burns_no_attempt() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::Sealed);
    bench.round().await;
    bench.round().await;
    let waiting = bench.now(&request).await;
    assert_eq!(
        (waiting.status, waiting.waiting_on),
        (RequestStatus::Pending, Some(WaitingOn::Ca))
    );
    assert_eq!(waiting.attempt, 0);
    assert_eq!(waiting.error_message.as_deref(), Some("Vault is sealed"));
    bench.ca.be(Mood::Signs);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

#[tokio::test]
async fn a_busy_ca_is_asked_again_later_and_a_refusal_is_final() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::Busy);
    bench.round().await;
    let waiting = bench.now(&request).await;
    assert_eq!((waiting.status, waiting.attempt), (RequestStatus::Pending, 1));
    assert!(waiting.next_attempt_at.unwrap() > bench.clock.now());
    bench.ca.be(Mood::Refuses);
    bench.round().await;
    assert_eq!(bench.now(&request).await.attempt, 1, "not before it is due");
    bench.pass(Duration::seconds(10));
    bench.round().await;
    let failed = bench.now(&request).await;
    assert_eq!(failed.status, RequestStatus::Failed);
    assert_eq!(
        failed.error_message.as_deref(),
        Some("the CA says `common name not allowed by this role`")
    );
    assert_eq!(bench.ca.n_signed(), 0);
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_burns_no_attempt() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::Limits);
    bench.round().await;
    let waiting = bench.now(&request).await;
    assert_eq!((waiting.status, waiting.attempt), (RequestStatus::Pending, 0));
    assert_eq!(waiting.next_attempt_at, Some(start() + Duration::seconds(90)));
    assert!(
        waiting.why().contains("too many certificates"),
        "{}",
        waiting.why()
    );
    bench.ca.be(Mood::Signs);
    bench.pass(Duration::seconds(89));
    bench.round().await;
    assert_eq!(bench.ca.n_signed(), 0, "not before it is due");
    bench.pass(Duration::seconds(1));
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

#[tokio::test]
async fn a_revocation_waits_for_the_seal_and_is_proven_by_the_crl() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.round().await;
    let id = bench.now(&request).await.certificate_id.unwrap();
    let mut tx = bench.store.begin().await.unwrap();
    revocation::ask(&mut tx, &id, Reason::KeyCompromise)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    bench.ca.be(Mood::Sealed);
    bench.round().await;
    let read = async || {
        let mut conn = bench.store.read().await.unwrap();
        certificates::existing(&mut conn, &id).await.unwrap()
    };
    assert_eq!(read().await.status, CertificateStatus::RevocationPending);
    bench.ca.be(Mood::Signs);
    bench.round().await;
    bench.round().await;
    let revoked = read().await;
    assert_eq!(revoked.status, CertificateStatus::Revoked);
    let revocation = revoked.revocation.unwrap();
    assert!(revocation.accepted_at.is_some() && revocation.in_crl_at.is_some());
    audit::verify(&bench.store).await.unwrap();
    let mut conn = bench.store.read().await.unwrap();
    let rows = audit::rows_after(&mut conn, 0, 100).await.unwrap();
    assert!(
        rows.iter()
            .any(|row| row.action == "revoke" && row.outcome == AuditOutcome::Done)
    );
}

#[tokio::test]
async fn a_ca_that_only_cannot_sign_goes_on_revoking() {
    let bench = Bench::new().await;
    let id = asked_back(&bench, Reason::Superseded).await;
    bench.ca.be(Mood::Unsigned);
    let request = bench.request().await;
    let looked = bench.issuer.look_at_ways(&mut Ways::default()).await;
    looked.unwrap();
    for _ in 0..3 {
        bench.round().await;
    }
    let waits = bench.now(&request).await;
    assert_eq!((waits.status, waits.attempt), (RequestStatus::Pending, 0));
    // It counts from the moment after it was asked for.
    bench.clock.set(bench.clock.now() + Duration::seconds(1));
    let mut conn = bench.store.read().await.unwrap();
    let paused = rows::all(&mut conn).await.unwrap().remove(0);
    assert_eq!(paused.status, AdapterStatus::Paused);
    assert_eq!(paused.paused_kind, Some(PauseKind::Unsigned));
    assert_eq!(paused.paused_reason.as_deref(), Some("Vault has no role `web`"));
    let revoked = certificates::existing(&mut conn, &id).await.unwrap();
    assert_eq!(revoked.status, CertificateStatus::Revoked);
    assert!(
        revoked.revocation.unwrap().in_crl_at.is_some(),
        "and the list is looked into"
    );
    // What waits is told without a revocation, which doesn't.
    let (waiting, of_requests) = crate::store::read::findings(&mut conn)
        .await
        .unwrap()
        .findings
        .into_iter()
        .find(|it| it.entity_id == paused.id)
        .map(|it| (it.n_takes_down, it.what))
        .unwrap();
    assert_eq!(waiting, 1);
    assert!(
        of_requests.contains(
            "can't sign: Vault has no role `web`; nothing is issued, 1 request waiting; revocations go on"
        ),
        "{of_requests}"
    );
    drop(conn);
    // A seal stops the rest too.
    bench.ca.be(Mood::Sealed);
    bench.round().await;
    let mut conn = bench.store.read().await.unwrap();
    let reason = rows::all(&mut conn).await.unwrap().remove(0).paused_reason;
    assert_eq!(reason.as_deref(), Some("Vault is sealed"));
    drop(conn);
    bench.ca.be(Mood::Signs);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

/// A certificate whose revocation was asked for.
async fn asked_back(bench: &Bench, reason: Reason) -> String {
    let request = bench.request().await;
    bench.round().await;
    let id = bench.now(&request).await.certificate_id.unwrap();
    let mut tx = bench.store.begin().await.unwrap();
    revocation::ask(&mut tx, &id, reason).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn details(bench: &Bench) -> String {
    let mut conn = bench.store.read().await.unwrap();
    let rows = audit::rows_after(&mut conn, 0, 100).await.unwrap();
    rows.into_iter()
        .filter(|row| row.action == "revoke")
        .map(|row| {
            format!(
                "{} {}\n",
                row.detail.unwrap_or_default(),
                row.reason.unwrap_or_default()
            )
        })
        .collect()
}

#[tokio::test]
async fn a_ca_that_makes_its_list_by_itself_is_waited_for_and_until_when_is_said() {
    let bench = Bench::new().await;
    bench.ca.can.lock().unwrap().crl = Published::Within(std::time::Duration::from_secs(3600));
    let id = asked_back(&bench, Reason::Superseded).await;
    bench.round().await;
    let words = details(&bench).await;
    assert!(words.contains("by 2027-01-15T09:00:00"), "{words}");
    let withdrawn = bench.ca.withdrawn.lock().unwrap().clone();
    assert!(withdrawn[0].pem.contains("BEGIN CERTIFICATE") && withdrawn[0].reason == Reason::Superseded);
    let mut conn = bench.store.read().await.unwrap();
    let now = certificates::existing(&mut conn, &id).await.unwrap();
    assert_eq!(now.status, CertificateStatus::Revoked);
}

#[tokio::test]
async fn what_a_ca_can_not_do_is_refused_before_it_is_asked() {
    let bench = Bench::new().await;
    asked_back(&bench, Reason::CertificateHold).await;
    bench.round().await;
    assert!(details(&bench).await.contains("puts nothing on hold"));
    bench.ca.can.lock().unwrap().revoke = TakesBack::Never;
    asked_back(&bench, Reason::Superseded).await;
    bench.round().await;
    assert!(details(&bench).await.contains("takes nothing back"));
    assert!(bench.ca.withdrawn.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_ca_that_keeps_nothing_is_asked_again_after_a_lost_answer() {
    let bench = Bench::new().await;
    bench.ca.can.lock().unwrap().list = false;
    let request = bench.request().await;
    bench.ca.be(Mood::SignsAndFallsSilent);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Pending);
    bench.ca.be(Mood::Signs);
    bench.pass(Duration::seconds(10));
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

/// Until `what` is so.
async fn until(mut what: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !what().await {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), waiting)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_slow_queue_of_revocations_holds_up_no_certificate_and_no_proof() {
    let bench = Bench::new().await;
    let slow = Arc::new(Semaphore::new(0));
    *bench.ca.slow.lock().unwrap() = Some(Arc::clone(&slow));
    let mut requests = Vec::new();
    for _ in 0..20 {
        requests.push(bench.request().await);
    }
    bench.round().await;
    let mut tx = bench.store.begin().await.unwrap();
    for request in &requests {
        let id = bench.now(request).await.certificate_id.unwrap();
        revocation::ask(&mut tx, &id, Reason::Superseded).await.unwrap();
    }
    tx.commit().await.unwrap();

    let mut issuer = Issuer::new(bench.store.clone(), "beside", Login::Nobody);
    issuer.roster.instead.insert("fake".to_owned(), bench.ca.clone());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(issuer.run(stopped));
    // The CA is at the first and doesn't answer; what is to be signed is signed.
    until(async || bench.ca.revoking.lock().unwrap().0 == 1).await;
    let replacement = bench.request().await;
    until(async || bench.now(&replacement).await.status == RequestStatus::Issued).await;
    assert!(bench.ca.withdrawn.lock().unwrap().is_empty());

    // Those that the CA has taken are proven while the others still wait.
    slow.add_permits(5);
    let proven = async || {
        let mut conn = bench.store.read().await.unwrap();
        let mut n = 0;
        for request in &requests {
            let id = bench.now(request).await.certificate_id.unwrap();
            let certificate = certificates::existing(&mut conn, &id).await.unwrap();
            n += usize::from(certificate.revocation.is_some_and(|it| it.in_crl_at.is_some()));
        }
        n
    };
    until(async || proven().await == 5).await;
    assert_eq!(*bench.ca.revoking.lock().unwrap(), (AT_ONCE, AT_ONCE));
    slow.add_permits(100);
    until(async || proven().await == requests.len()).await;
    stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test]
async fn a_ca_that_hangs_holds_up_nothing_of_another() {
    let bench = Bench::new().await;
    let hangs = Arc::new(FakeCa::called("slow"));
    let mut tx = bench.store.begin().await.unwrap();
    let slow = rows::upsert(&mut tx, "slow", "fake", &serde_json::json!({}))
        .await
        .unwrap()
        .id;
    tx.commit().await.unwrap();
    let mut issuer = Issuer::new(bench.store.clone(), "beside", Login::Nobody);
    issuer.roster.instead.insert("fake".to_owned(), bench.ca.clone());
    issuer.roster.instead.insert("slow".to_owned(), hangs.clone());
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let issued = async |request: &Request| bench.now(request).await.status == RequestStatus::Issued;
    let revoke = async |request: &Request| {
        let id = bench.now(request).await.certificate_id.unwrap();
        let mut tx = bench.store.begin().await.unwrap();
        revocation::ask(&mut tx, &id, Reason::Superseded).await.unwrap();
        tx.commit().await.unwrap();
        id
    };
    let running = tokio::spawn(issuer.run(stopped));
    let (there, here) = (
        bench.request_at(&slow, "a.example.com").await,
        bench.request().await,
    );
    until(async || issued(&there).await && issued(&here).await).await;

    // More than a batch, and older than what is asked of the other one.
    hangs.be(Mood::Hangs);
    revoke(&there).await;
    for _ in 0..40 {
        bench.request_at(&slow, "a.example.com").await;
    }
    let id = revoke(&here).await;
    let next = bench.request().await;
    until(async || issued(&next).await).await;
    until(async || {
        let mut conn = bench.store.read().await.unwrap();
        let certificate = certificates::existing(&mut conn, &id).await.unwrap();
        certificate.revocation.is_some_and(|it| it.in_crl_at.is_some())
    })
    .await;
    running.abort();
}

/// The audit's rows about a revocation: outcome and reason.
async fn audited(bench: &Bench) -> Vec<(AuditOutcome, Option<String>)> {
    let mut conn = bench.store.read().await.unwrap();
    let rows = audit::rows_after(&mut conn, 0, 100).await.unwrap();
    let rows = rows.into_iter().filter(|row| row.action == "revoke");
    rows.map(|row| (row.outcome, row.reason)).collect()
}

#[tokio::test]
async fn a_revocation_that_is_tried_again_is_on_record_once_until_it_is_done() {
    let bench = Bench::new().await;
    asked_back(&bench, Reason::Superseded).await;
    bench.ca.be(Mood::Unreachable);
    for _ in 0..4 {
        bench.round().await;
        bench.pass(Duration::seconds(60));
    }
    let waits = (AuditOutcome::Unknown, Some("connection refused".to_owned()));
    assert_eq!(audited(&bench).await, std::slice::from_ref(&waits));
    bench.ca.be(Mood::Signs);
    bench.round().await;
    bench.round().await;
    let rows = audited(&bench).await;
    assert_eq!(rows[0], waits);
    assert!(
        rows.len() > 1
            && rows[1..]
                .iter()
                .all(|(outcome, _)| *outcome == AuditOutcome::Done),
        "{rows:?}"
    );
}

#[tokio::test]
async fn a_ca_that_gives_no_answer_is_told_before_anybody_waits_for_it() {
    let bench = Bench::new().await;
    let mut ways = Ways::default();
    bench.ca.be(Mood::Unreachable);
    bench.issuer.look_at_ways(&mut ways).await.unwrap();
    assert_eq!(
        bench.adapter_status().await,
        AdapterStatus::Active,
        "it may be a restart"
    );
    bench.issuer.look_at_ways(&mut ways).await.unwrap();
    let paused = async || {
        let mut conn = bench.store.read().await.unwrap();
        let row = rows::all(&mut conn).await.unwrap().remove(0);
        (row.version, row.paused_reason)
    };
    let (version, reason) = paused().await;
    assert_eq!(
        reason.as_deref(),
        Some("issuer gets no answer from the CA of `fake`: connection refused")
    );
    // No attempt is burnt on it, and the pause is not told twice.
    let request = bench.request().await;
    bench.round().await;
    bench.round().await;
    assert_eq!(bench.now(&request).await.attempt, 0);
    assert_eq!(paused().await, (version, reason));
    // Another issuer, whose way is there, lets it work again: this one doesn't stop it at once.
    let mut tx = bench.store.begin().await.unwrap();
    let id = rows::all(&mut tx).await.unwrap().remove(0).id;
    crate::store::issuance::resume_adapter(&mut tx, &id)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for _ in 0..3 {
        bench.issuer.look_at_ways(&mut ways).await.unwrap();
    }
    assert_eq!(bench.adapter_status().await, AdapterStatus::Active);
    bench.ca.be(Mood::Signs);
    bench.issuer.look_at_ways(&mut ways).await.unwrap();
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}
