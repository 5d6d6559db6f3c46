//! Answers of a CA against what was asked of it: what it signs otherwise, beside it, or too late.

use super::bench::{Bench, Mood};
use crate::domain::certificate::CertificateStatus;
use crate::domain::request::{RequestStatus, WaitingOn};
use crate::store::{certificates, requests};

#[tokio::test]
async fn what_the_ca_signs_otherwise_than_asked_is_revoked_there_and_on_record() {
    for (mood, words) in [
        (Mood::SignsFor("evil.example.com"), "evil.example.com"),
        (Mood::SignsAnotherKey, "another key"),
        (Mood::SignsACa, "that of a CA"),
        (Mood::SignsFrom(300, 400), "valid only from 2027-11-11"),
        (Mood::SignsFrom(-1, 20_000), "valid until 2081-10-18"),
        (Mood::SignsASubject, "`O=Evil Bank`"),
        (Mood::SignsForAll, "keyCertSign, anyExtendedKeyUsage, codeSigning"),
    ] {
        let bench = Bench::new().await;
        let request = bench.request().await;
        bench.ca.be(mood);
        bench.round().await;
        let failed = bench.now(&request).await;
        assert_eq!(failed.status, RequestStatus::Failed);
        let error = failed.error_message.unwrap();
        assert!(error.contains(words), "{error}");
        // Revoked in the same round or in the next one.
        bench.round().await;
        let withdrawn = bench.ca.withdrawn.lock().unwrap().clone();
        assert_eq!((withdrawn.len(), bench.ca.n_signed()), (1, 1), "{words}");
        let mut conn = bench.store.read().await.unwrap();
        let id = failed.certificate_id.unwrap();
        let kept = certificates::existing(&mut conn, &id).await.unwrap();
        assert_eq!(
            (kept.status, &kept.serial),
            (CertificateStatus::Revoked, &withdrawn[0].serial)
        );
        assert_eq!(kept.n_installations, 0);
        assert!(error.contains(&id), "{error}");
        drop(conn);
        // Tried again, it gets what it asked for.
        bench.ca.be(Mood::Signs);
        let mut tx = bench.store.begin().await.unwrap();
        let again = requests::retry(&mut tx, &request.id).await.unwrap();
        tx.commit().await.unwrap();
        if again.waiting_on == Some(WaitingOn::Ca) {
            bench.round().await;
            let issued = bench.now(&request).await;
            assert_eq!(issued.status, RequestStatus::Issued);
            assert_ne!(issued.certificate_id, Some(id));
        } else {
            assert_eq!(
                again.waiting_on,
                Some(WaitingOn::Key),
                "the key is in a certificate that was taken back"
            );
        }
    }
}

/// Whoever answers in the CA's place can give any certificate of it: those that were not signed for the request stay good.
#[tokio::test]
async fn what_the_ca_had_signed_for_somebody_else_before_is_on_record_and_not_revoked() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::GivesAnothers);
    bench.round().await;
    bench.round().await;
    let failed = bench.now(&request).await;
    assert_eq!(failed.status, RequestStatus::Failed);
    let error = failed.error_message.unwrap();
    assert!(
        error.contains("another key") && error.contains("somebody else's"),
        "{error}"
    );
    assert!(!error.contains("is asked to revoke it"), "{error}");
    assert!(bench.ca.withdrawn.lock().unwrap().is_empty());
    let mut conn = bench.store.read().await.unwrap();
    let id = failed.certificate_id.unwrap();
    let kept = certificates::existing(&mut conn, &id).await.unwrap();
    assert_eq!((kept.status, kept.revocation), (CertificateStatus::Active, None));
    assert!(error.contains(&id), "{error}");
}

/// A reissue changes nothing of what it was to replace, unless what came is what was asked for.
#[tokio::test]
async fn a_reissue_that_comes_back_wrong_leaves_its_predecessor_active_and_in_place() {
    for mood in [
        Mood::SignsFor("evil.example.com"),
        Mood::SignsAnotherKey,
        Mood::SignsACa,
    ] {
        let bench = Bench::new().await;
        let first = bench.request().await;
        bench.round().await;
        let old = bench.now(&first).await.certificate_id.unwrap();
        let before = bench.places().await;
        assert_eq!(before.len(), 1);
        assert_eq!(before[0].certificate_id, old);

        let again = bench.reissue(&old).await;
        bench.ca.be(mood);
        bench.round().await;
        let failed = bench.now(&again).await;
        assert_eq!(failed.status, RequestStatus::Failed, "{mood:?}");
        let wrong = failed.certificate_id.unwrap();
        let mut conn = bench.store.read().await.unwrap();
        let kept = certificates::existing(&mut conn, &old).await.unwrap();
        let refused = certificates::existing(&mut conn, &wrong).await.unwrap();
        drop(conn);
        assert_eq!(
            (kept.status, kept.replaced_by, kept.n_installations),
            (CertificateStatus::Active, None, 1),
            "{mood:?}"
        );
        assert_eq!((refused.replaces, refused.n_installations), (None, 0), "{mood:?}");
        assert_eq!(bench.places().await, before, "{mood:?}: its host is told nothing");

        // The next one is as asked, and takes its place.
        bench.ca.be(Mood::Signs);
        let good = bench.reissue(&old).await;
        bench.round().await;
        let new = bench.now(&good).await.certificate_id.unwrap();
        let mut conn = bench.store.read().await.unwrap();
        let kept = certificates::existing(&mut conn, &old).await.unwrap();
        drop(conn);
        assert_eq!(kept.replaced_by.as_deref(), Some(new.as_str()));
        assert_eq!(bench.places().await[0].certificate_id, new);
    }
}

#[tokio::test]
async fn what_has_ended_when_it_comes_is_on_record_and_not_issued() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::SignsFrom(-60, -30));
    bench.round().await;
    let failed = bench.now(&request).await;
    assert_eq!(failed.status, RequestStatus::Failed);
    let error = failed.error_message.unwrap();
    assert!(
        error.contains("it ended at 2026-12-16") && error.contains("nothing to revoke"),
        "{error}"
    );
    bench.round().await;
    assert!(bench.ca.withdrawn.lock().unwrap().is_empty());
    let mut conn = bench.store.read().await.unwrap();
    let kept = certificates::existing(&mut conn, &failed.certificate_id.unwrap())
        .await
        .unwrap();
    assert!(kept.not_after < bench.clock.now() && kept.n_installations == 0);
}

#[tokio::test]
async fn nothing_but_certificates_of_an_answer_is_kept() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::SignsAndSpills);
    bench.round().await;
    let issued = bench.now(&request).await;
    assert_eq!(issued.status, RequestStatus::Issued, "{:?}", issued.error_message);
    let mut conn = bench.store.read().await.unwrap();
    let kept = certificates::existing(&mut conn, &issued.certificate_id.unwrap())
        .await
        .unwrap();
    for text in [kept.pem.unwrap(), kept.chain_pem.unwrap()] {
        assert!(text.starts_with("-----BEGIN CERTIFICATE-----\n"), "{text:?}");
        assert!(text.ends_with("\n-----END CERTIFICATE-----\n"), "{text:?}");
        assert_eq!(text.matches("-----BEGIN").count(), 1, "{text:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_certificate_says_nothing_of_what_was_signed() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::SignsAndBabbles);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
    assert_eq!(bench.ca.n_signed(), 1);
}

#[tokio::test]
async fn a_csr_that_is_not_taken_any_more_is_never_sent() {
    let bench = Bench::new().await;
    let request = bench.request_for("b.example.com").await;
    bench.round().await;
    let failed = bench.now(&request).await;
    assert_eq!((failed.status, bench.ca.n_signed()), (RequestStatus::Failed, 0));
    assert!(
        failed
            .error_message
            .unwrap()
            .contains("names are not the request's")
    );
}
