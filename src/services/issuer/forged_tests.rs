//! Signatures that lead to no key that is known: whoever made them stands before the CA.

use super::bench::{Bench, Mood};
use crate::domain::adapter::{AdapterStatus, PauseKind, StrangeCa};
use crate::domain::audit::AuditOutcome;
use crate::domain::certificate::CertificateStatus;
use crate::domain::request::{Request, RequestStatus};
use crate::problem::{Problem, ProblemKind};
use crate::store::cas::{self, Decided};
use crate::store::{audit, certificates};

/// A bench whose CA is known; its first certificate.
async fn known() -> (Bench, String) {
    let bench = Bench::new().await;
    let first = bench.request().await;
    bench.round().await;
    let id = bench.now(&first).await.certificate_id.unwrap();
    (bench, id)
}

/// One more request, which fails; and who is on record for that.
async fn fails(bench: &Bench, mood: Mood) -> (Request, StrangeCa) {
    let request = bench.request().await;
    bench.ca.be(mood);
    bench.round().await;
    let failed = bench.now(&request).await;
    assert_eq!(failed.status, RequestStatus::Failed, "{mood:?}");
    let adapter = bench.adapter().await;
    assert!(
        adapter.is_paused_as(PauseKind::AnotherCa),
        "{mood:?}: {adapter:?}"
    );
    let strange = adapter.strange_ca.unwrap();
    assert!(strange.signed && strange.ca.is_none(), "{strange:?}");
    // That the known one is shown again is no reason to go on.
    bench.ca.be(Mood::Signs);
    bench.round().await;
    assert_eq!(bench.adapter_status().await, AdapterStatus::Paused);
    (failed, strange)
}

#[tokio::test]
async fn a_signature_of_nobody_that_is_known_stops_the_adapter_until_it_is_dismissed() {
    for (mood, why) in [
        (Mood::SignsForged, "not signed by"),
        (Mood::SignsWithoutChain, "can't be verified"),
    ] {
        let (bench, _) = known().await;
        let (failed, strange) = fails(&bench, mood).await;
        let words = failed.error_message.unwrap();
        assert!(words.contains(why) && words.contains("none of those"), "{words}");
        assert!(!words.contains("is asked to revoke it"), "{words}");
        let sha256 = strange.certificate_sha256.unwrap();
        let adapter = bench.adapter().await;
        let reason = adapter.paused_reason.unwrap();
        assert!(
            reason.contains("/dismiss-ca`") && reason.contains(&sha256),
            "{reason}"
        );
        assert!(!reason.contains("accept-ca"), "{reason}");

        let mut tx = bench.store.begin().await.unwrap();
        let refused = cas::accept(&mut tx, &adapter.id, Decided::Certificate(&sha256))
            .await
            .unwrap_err();
        let refused = Problem::from(refused);
        assert_eq!(refused.kind, ProblemKind::Conflict);
        assert!(
            refused.what.contains("no key that could be accepted"),
            "{refused:?}"
        );
        let (_, n) = cas::dismiss(&mut tx, &adapter.id, Decided::Certificate(&sha256))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(n, 1);
        let next = bench.request().await;
        bench.round().await;
        bench.round().await;
        assert_eq!(bench.now(&next).await.status, RequestStatus::Issued);
        // The CA has not signed it, and isn't asked to revoke it.
        assert!(bench.ca.withdrawn.lock().unwrap().is_empty());
        let mut conn = bench.store.read().await.unwrap();
        let id = failed.certificate_id.unwrap();
        let over = certificates::existing(&mut conn, &id).await.unwrap();
        assert_eq!(
            (over.status, over.n_installations),
            (CertificateStatus::Revoked, 0)
        );
    }
}

#[tokio::test]
async fn a_forgery_with_the_serial_of_a_good_one_changes_nothing_for_that_one_and_is_on_record() {
    let (bench, good) = known().await;
    let read = async || {
        let mut conn = bench.store.read().await.unwrap();
        certificates::existing(&mut conn, &good).await.unwrap()
    };
    let before = read().await;
    let (failed, strange) = fails(&bench, Mood::ForgesTheFirst).await;
    assert_eq!(failed.certificate_id, None);
    let words = failed.error_message.unwrap();
    assert!(!words.contains(&good), "{words}");
    assert!(words.contains("the serial of another certificate"), "{words}");
    assert_eq!(read().await, before);
    let mut conn = bench.store.read().await.unwrap();
    let rows = audit::rows_after(&mut conn, 0, 100).await.unwrap();
    let sha256 = strange.certificate_sha256.unwrap();
    let is_on_record = rows.iter().any(|row| {
        row.entity_id == failed.id
            && row.outcome == AuditOutcome::Failed
            && row.detail.as_ref().is_some_and(|detail| detail.contains(&sha256))
    });
    assert!(is_on_record, "{rows:?}");
}
