//! From the wish to the certificate, each transition once.

use chrono::Duration;
use cmp_console::domain::adapter::Pause;
use cmp_console::domain::certificate::CertificateStatus;
use cmp_console::domain::reason::Reason;
use cmp_console::domain::request::{Request, RequestStatus, WaitingOn};
use cmp_console::problem::Problem;
use cmp_console::store::claims::begin_issue;
use cmp_console::store::issuance::{
    NoSignature, complete_issue, fail_issue, pause_issue, resume_adapter, retry_issue_later,
};
use cmp_console::store::{
    audit, ban, certificates, claims, compromise, installations, jobs, keys, requests, revocation,
};
use cmp_console::wire::agents::AgentWork;

use super::fixture::{Fixture, certificate, noon};

/// Requests that can be claimed: the claim is taken back.
async fn due(it: &Fixture) -> usize {
    let mut tx = it.store.begin().await.unwrap();
    let lease = Duration::seconds(30);
    let claimed = claims::claim(&mut tx, &it.adapter.id, "nobody", lease, 10)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    claimed.len()
}

async fn with_csr(it: &Fixture, n: u32) -> String {
    let mut tx = it.store.begin().await.unwrap();
    let request = requests::insert(&mut tx, &it.request("a.example.com"))
        .await
        .unwrap();
    let spki = certificate(n).spki_sha256;
    let request = requests::set_csr(&mut tx, &request.id, "csr", &spki, "ecdsa-p256")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(request.waiting_on, Some(WaitingOn::Ca));
    request.id
}

#[tokio::test]
async fn issued_exactly_once_and_installed() {
    let Some(it) = Fixture::new().await else { return };
    let mut changes = it.store.changes();
    let id = with_csr(&it, 1).await;
    assert!(changes.try_recv().is_ok());
    let mut tx = it.store.begin().await.unwrap();
    assert!(jobs::for_agent(&mut tx, &it.agent.id).await.unwrap().is_empty());
    let lease = Duration::seconds(30);
    let issuing = begin_issue(&mut tx, &id, "w1", lease).await.unwrap().unwrap();
    assert!(!issuing.may_be_signed && issuing.no_signature.is_none());
    assert!(begin_issue(&mut tx, &id, "w2", lease).await.unwrap().is_none());
    tx.commit().await.unwrap();

    // The first worker is gone; its lease runs out.
    it.clock.set(noon() + Duration::seconds(31));
    assert_eq!(due(&it).await, 1);
    let mut tx = it.store.begin().await.unwrap();
    let issuing = begin_issue(&mut tx, &id, "w2", lease).await.unwrap().unwrap();
    assert!(issuing.may_be_signed && issuing.no_signature.is_none());
    let wrong_key = complete_issue(&mut tx, &id, &certificate(2)).await;
    assert!(wrong_key.is_err());
    let issued = complete_issue(&mut tx, &id, &certificate(1)).await.unwrap();
    assert_eq!(issued.n_installations, 1);
    assert!(complete_issue(&mut tx, &id, &certificate(1)).await.is_err());
    tx.commit().await.unwrap();

    let mut conn = it.store.read().await.unwrap();
    let work = jobs::for_agent(&mut conn, &it.agent.id).await.unwrap();
    assert!(
        matches!(&work[0].work, AgentWork::Install { certificate_id, .. } if *certificate_id == issued.id)
    );
    let expected = installations::by_agent(&mut conn, &it.agent.id).await.unwrap();
    assert_eq!(expected[0].certificate_id, issued.id);
    assert_eq!(audit::verify(&it.store).await.unwrap().0, 3);
}

#[tokio::test]
async fn a_sealed_vault_burns_no_attempt_and_a_busy_one_does() {
    let Some(it) = Fixture::new().await else { return };
    let id = with_csr(&it, 1).await;
    let waiting = with_csr(&it, 2).await;
    let lease = Duration::seconds(30);
    let mut tx = it.store.begin().await.unwrap();
    begin_issue(&mut tx, &id, "w", lease).await.unwrap().unwrap();
    pause_issue(&mut tx, &id, &Pause::sealed()).await.unwrap();
    tx.commit().await.unwrap();
    let mut conn = it.store.read().await.unwrap();
    assert_eq!(due(&it).await, 0);
    for id in [&id, &waiting] {
        let request = requests::existing(&mut conn, id).await.unwrap();
        assert_eq!(request.attempt, 0);
        assert_eq!(request.why(), "waits for the CA: Vault is sealed");
    }
    drop(conn);

    let mut tx = it.store.begin().await.unwrap();
    resume_adapter(&mut tx, &it.adapter.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(&it).await, 2);
    let mut tx = it.store.begin().await.unwrap();
    begin_issue(&mut tx, &id, "w", lease).await.unwrap().unwrap();
    retry_issue_later(&mut tx, &id, "429", noon() + Duration::seconds(5))
        .await
        .unwrap();
    assert!(begin_issue(&mut tx, &id, "w", lease).await.unwrap().is_none());
    assert_eq!(requests::existing(&mut tx, &id).await.unwrap().attempt, 1);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_failed_request_is_tried_again_with_its_key() {
    let Some(it) = Fixture::new().await else { return };
    let id = with_csr(&it, 1).await;
    let mut tx = it.store.begin().await.unwrap();
    begin_issue(&mut tx, &id, "w", Duration::seconds(30))
        .await
        .unwrap();
    fail_issue(&mut tx, &id, "role refuses it").await.unwrap();
    let request = requests::existing(&mut tx, &id).await.unwrap();
    assert_eq!(request.status, RequestStatus::Failed);
    assert_eq!(request.why(), "role refuses it");
    let request = requests::retry(&mut tx, &id).await.unwrap();
    assert_eq!(request.waiting_on, Some(WaitingOn::Ca));
    let request = requests::cancel(&mut tx, &id, "ops", None).await.unwrap();
    assert_eq!(request.status, RequestStatus::Cancelled);
    assert!(requests::retry(&mut tx, &id).await.is_err());
}

#[tokio::test]
async fn a_compromised_or_used_key_is_not_certified() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let used = certificates::insert(&mut tx, &certificate(1)).await.unwrap();
    keys::upsert(&mut tx, "bad", "ecdsa-p256").await.unwrap();
    assert!(compromise::mark(&mut tx, "bad").await.unwrap());
    assert!(!compromise::mark(&mut tx, "bad").await.unwrap());
    assert!(compromise::mark(&mut tx, "unknown").await.is_err());
    let request = requests::insert(&mut tx, &it.request("a")).await.unwrap();
    for spki in ["bad", &used.spki_sha256] {
        let problem: Problem = requests::set_csr(&mut tx, &request.id, "csr", spki, "ecdsa-p256")
            .await
            .unwrap_err()
            .into();
        assert_eq!(problem.kind.status(), 422, "{problem}");
    }
}

#[tokio::test]
async fn what_waits_with_a_compromised_key_is_ended_and_tried_again_with_a_fresh_one() {
    let Some(it) = Fixture::new().await else { return };
    let id = with_csr(&it, 1).await;
    let mut tx = it.store.begin().await.unwrap();
    compromise::mark(&mut tx, &certificate(1).spki_sha256)
        .await
        .unwrap();
    let request = requests::existing(&mut tx, &id).await.unwrap();
    assert_eq!(request.status, RequestStatus::Failed);
    assert!(request.why().contains("compromised"), "{}", request.why());
    assert!(!claims::is_due(&mut tx, &it.adapter.id).await.unwrap());
    let request = requests::retry(&mut tx, &id).await.unwrap();
    assert_eq!(request.waiting_on, Some(WaitingOn::Key));
    assert_eq!(request.spki_sha256, None);
}

#[tokio::test]
async fn a_key_compromised_while_the_ca_signs_is_recorded_revoked_and_installed_nowhere() {
    let Some(it) = Fixture::new().await else { return };
    let id = with_csr(&it, 1).await;
    let spki = certificate(1).spki_sha256;
    let lease = Duration::seconds(30);
    let mut tx = it.store.begin().await.unwrap();
    begin_issue(&mut tx, &id, "w1", lease).await.unwrap().unwrap();
    compromise::mark(&mut tx, &spki).await.unwrap();
    tx.commit().await.unwrap();

    // Driven on after a crash: nothing is signed any more, what is signed is looked for.
    it.clock.set(noon() + Duration::seconds(31));
    let mut tx = it.store.begin().await.unwrap();
    let issuing = begin_issue(&mut tx, &id, "w2", lease).await.unwrap().unwrap();
    assert!(issuing.may_be_signed && issuing.no_signature.is_some());
    let issued = complete_issue(&mut tx, &id, &certificate(1)).await.unwrap();
    assert_eq!(issued.n_installations, 0);
    revocation::take_back(&mut tx, &issued.id, Reason::KeyCompromise, "its key is blocked")
        .await
        .unwrap();
    let issued = certificates::existing(&mut tx, &issued.id).await.unwrap();
    assert_eq!(issued.status, CertificateStatus::RevocationPending);
    assert!(jobs::for_agent(&mut tx, &it.agent.id).await.unwrap().is_empty());
    assert!(keys::is_compromised(&mut tx, &spki, "csr").await.unwrap());
}

#[tokio::test]
async fn a_ban_cancels_what_no_ca_was_asked_and_lets_nothing_else_be_signed() {
    let Some(it) = Fixture::new().await else { return };
    let (waiting, asked) = (with_csr(&it, 1).await, with_csr(&it, 2).await);
    let lease = Duration::seconds(30);
    let mut tx = it.store.begin().await.unwrap();
    begin_issue(&mut tx, &asked, "w1", lease).await.unwrap().unwrap();
    retry_issue_later(&mut tx, &asked, "502", noon()).await.unwrap();
    let stopped = ban::ban(&mut tx, &it.agent.id, "ops").await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let ids = |requests: Vec<Request>| requests.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(stopped.cancelled), [waiting.as_str()]);
    assert_eq!(ids(stopped.looked_for), [asked.as_str()]);

    let mut tx = it.store.begin().await.unwrap();
    let left = requests::existing(&mut tx, &waiting).await.unwrap();
    assert_eq!(left.status, RequestStatus::Cancelled);
    assert_eq!(left.why(), "cancelled by ops (ban of web-01)");
    assert!(
        begin_issue(&mut tx, &waiting, "w1", lease)
            .await
            .unwrap()
            .is_none()
    );
    let issuing = begin_issue(&mut tx, &asked, "w1", lease).await.unwrap().unwrap();
    assert_eq!(issuing.no_signature, Some(NoSignature::Banned));
    fail_issue(&mut tx, &asked, "its agent is banned").await.unwrap();
    let problem = requests::retry(&mut tx, &asked).await.unwrap_err().to_string();
    assert!(problem.contains("is banned"), "{problem}");
}

#[tokio::test]
async fn a_cancelled_request_keeps_its_attempts_and_the_sentence_of_the_ca() {
    let Some(it) = Fixture::new().await else { return };
    let id = with_csr(&it, 1).await;
    let mut tx = it.store.begin().await.unwrap();
    begin_issue(&mut tx, &id, "w", Duration::seconds(30))
        .await
        .unwrap()
        .unwrap();
    fail_issue(&mut tx, &id, "400: not allowed by this role")
        .await
        .unwrap();
    let request = requests::cancel(&mut tx, &id, "ops", Some("asked for by mistake"))
        .await
        .unwrap();
    assert_eq!((request.status, request.attempt), (RequestStatus::Cancelled, 1));
    assert_eq!(
        request.error_message.as_deref(),
        Some("400: not allowed by this role; cancelled by ops (asked for by mistake)")
    );
    assert_eq!(request.why(), "cancelled by ops (asked for by mistake)");
}

#[tokio::test]
async fn a_request_that_was_put_to_the_ca_is_looked_for_there_whatever_happened_since() {
    let Some(it) = Fixture::new().await else { return };
    let id = with_csr(&it, 1).await;
    let lease = Duration::seconds(30);
    let mut tx = it.store.begin().await.unwrap();
    begin_issue(&mut tx, &id, "w", lease).await.unwrap().unwrap();
    retry_issue_later(&mut tx, &id, "502", noon()).await.unwrap();
    // Somebody's retry is a new beginning for the attempts, not for what the CA may have done.
    requests::retry(&mut tx, &id).await.unwrap();
    assert_eq!(requests::existing(&mut tx, &id).await.unwrap().attempt, 0);
    assert!(
        begin_issue(&mut tx, &id, "w", lease)
            .await
            .unwrap()
            .unwrap()
            .may_be_signed
    );
    // A sealed CA signed nothing now, but it may have before.
    retry_issue_later(&mut tx, &id, "502", noon()).await.unwrap();
    begin_issue(&mut tx, &id, "w", lease).await.unwrap().unwrap();
    pause_issue(&mut tx, &id, &Pause::sealed()).await.unwrap();
    assert!(
        begin_issue(&mut tx, &id, "w", lease)
            .await
            .unwrap()
            .unwrap()
            .may_be_signed
    );
}
