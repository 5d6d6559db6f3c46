//! Signatures that lead to no key that is known: whoever made them stands before the CA.

use super::adapters::Adapter as _;
use super::bench::{Bench, Mood};
use super::way::Ways;
use crate::domain::adapter::{Adapter, AdapterStatus, Ca, PauseKind, StrangeCa};
use crate::domain::audit::AuditOutcome;
use crate::domain::certificate::{Certificate, CertificateStatus};
use crate::domain::request::{Request, RequestStatus};
use crate::domain::x509;
use crate::problem::{Problem, ProblemKind};
use crate::store::cas::{self, Decided};
use crate::store::certificates::NewCertificate;
use crate::store::issuance::{self, SignedBy};
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
    let (bench, _) = known().await;
    let (failed, strange) = fails(&bench, Mood::SignsForged).await;
    let words = failed.error_message.unwrap();
    assert!(
        words.contains("not signed by") && words.contains("none of those"),
        "{words}"
    );
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

/// Certificates that come along are for whoever answers to choose: the key of the known CA is tried before its signature is called a
/// stranger's.
#[tokio::test]
async fn what_the_known_ca_signed_is_revoked_there_whatever_came_along() {
    for mood in [Mood::SignsWithoutChain, Mood::SignsUnderAnotherChain] {
        let (bench, _) = known().await;
        let request = bench.request().await;
        bench.ca.be(mood);
        bench.round().await;
        let failed = bench.now(&request).await;
        assert_eq!(failed.status, RequestStatus::Failed, "{mood:?}");
        let words = failed.error_message.unwrap();
        assert!(
            words.contains("signed by the key of its adapter's CA")
                && words.contains("is asked to revoke it"),
            "{words}"
        );
        let adapter = bench.adapter().await;
        assert_eq!(
            (adapter.status, adapter.strange_ca),
            (AdapterStatus::Active, None)
        );
        bench.ca.be(Mood::Signs);
        bench.round().await;
        let mut conn = bench.store.read().await.unwrap();
        let id = failed.certificate_id.unwrap();
        let over = certificates::existing(&mut conn, &id).await.unwrap();
        assert_eq!(over.status, CertificateStatus::Revoked);
        let withdrawn = bench.ca.withdrawn.lock().unwrap().clone();
        assert_eq!((withdrawn.len(), &withdrawn[0].serial), (1, &over.serial));
    }
}

impl Bench {
    /// A certificate for a new request, kept as a stranger's, as what an older version called so.
    async fn kept_as_a_strangers(&self, mood: Mood) -> String {
        let request = self.request().await;
        self.ca.be(mood);
        let mut tx = self.store.begin().await.unwrap();
        let begun =
            crate::store::claims::begin_issue(&mut tx, &request.id, "issuer", chrono::Duration::seconds(30))
                .await;
        let signed = self.ca.make(&begun.unwrap().unwrap().csr_pem);
        let read = x509::read(&signed.pem).unwrap();
        let adapter = &request.adapter_id;
        let new = NewCertificate::of(read, &signed.pem, &signed.chain_pem, Some(adapter));
        let id = issuance::refuse_issue(&mut tx, &request.id, &new, "a stranger's", SignedBy::Stranger)
            .await
            .unwrap();
        let strange = StrangeCa::untraced(&new.fingerprint_sha256, tx.now());
        cas::stop_for(&mut tx, adapter, &strange).await.unwrap();
        tx.commit().await.unwrap();
        self.ca.be(Mood::Signs);
        id.unwrap()
    }

    async fn kept(&self, id: &str) -> Certificate {
        let mut conn = self.store.read().await.unwrap();
        certificates::existing(&mut conn, id).await.unwrap()
    }

    async fn dismiss(&self, sha256: &str) -> (Adapter, usize) {
        let adapter = self.adapter().await;
        let mut tx = self.store.begin().await.unwrap();
        let dismissed = cas::dismiss(&mut tx, &adapter.id, Decided::Certificate(sha256))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        dismissed
    }
}

#[tokio::test]
async fn a_dismissal_ends_the_one_that_it_names_and_none_that_a_known_ca_signed() {
    let (bench, _) = known().await;
    let mut ids = Vec::new();
    for mood in [Mood::SignsForged, Mood::SignsWithoutChain, Mood::SignsForged] {
        ids.push(bench.kept_as_a_strangers(mood).await);
    }
    let [first, genuine, second] = ids.as_slice() else {
        panic!()
    };
    let (first, second) = (bench.kept(first).await, bench.kept(second).await);
    let (adapter, n) = bench.dismiss(&first.fingerprint_sha256).await;
    assert_eq!(n, 1);
    assert_eq!(bench.kept(&first.id).await.status, CertificateStatus::Revoked);
    let pending = CertificateStatus::RevocationPending;
    assert_eq!(bench.kept(&second.id).await.status, pending);
    // It has to be judged too, and until then the CA isn't asked about it.
    let next = adapter.strange_ca.clone().unwrap();
    assert_eq!(next.certificate_sha256.as_ref(), Some(&second.fingerprint_sha256));
    assert!(
        adapter
            .paused_reason
            .as_ref()
            .unwrap()
            .contains(&second.fingerprint_sha256),
        "{adapter:?}"
    );
    bench.round().await;
    assert!(bench.ca.withdrawn.lock().unwrap().is_empty());

    let (adapter, n) = bench.dismiss(&second.fingerprint_sha256).await;
    assert_eq!((n, adapter.strange_ca), (1, None));
    assert_eq!(bench.kept(genuine).await.status, pending);
    bench.round().await;
    bench.round().await;
    assert_eq!(bench.kept(genuine).await.status, CertificateStatus::Revoked);
    let serial = bench.kept(genuine).await.serial;
    let withdrawn = bench.ca.withdrawn.lock().unwrap().clone();
    assert_eq!((withdrawn.len(), &withdrawn[0].serial), (1, &serial));
}

/// A CA that was seen before certificates were kept has its own kept when it is seen again.
#[tokio::test]
async fn the_certificate_of_a_known_ca_is_kept_as_soon_as_it_is_seen() {
    let bench = Bench::new().await;
    let seen = bench.ca.ca().await.unwrap();
    let before = Ca { pem: None, ..seen };
    let mut tx = bench.store.begin().await.unwrap();
    cas::keep_first(&mut tx, &bench.adapter().await.id, &before)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(bench.adapter().await.cas[0].pem, None);
    bench.issuer.look_at_ways(&mut Ways::default()).await.unwrap();
    let kept = bench.adapter().await.cas;
    assert_eq!(kept.len(), 1);
    assert!(kept[0].pem.is_some() && kept[0].is_same(&before), "{kept:?}");
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
