//! Revoked stays revoked; only the reason may still become `keyCompromise`.

use chrono::Duration;
use cmp_console::domain::certificate::{Certificate, CertificateStatus};
use cmp_console::domain::key::KeyStatus;
use cmp_console::domain::reason::Reason;
use cmp_console::problem::Problem;
use cmp_console::store::certificates::NewCertificate;
use cmp_console::store::revocation::{
    accept_revocation, ask, deny_revocation, expire_revocation, fail_revocation, record_in_crl, seen_in_crl,
};
use cmp_console::store::{adapters, audit, certificates, findings, jobs, keys};
use cmp_console::wire::page::PageQuery;

use super::fixture::{Fixture, certificate, noon};

/// A certificate of the fixture's CA.
fn of_adapter(it: &Fixture) -> NewCertificate {
    NewCertificate {
        adapter_id: Some(it.adapter.id.clone()),
        ..certificate(1)
    }
}

#[tokio::test]
async fn from_the_wish_to_the_crl() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let id = certificates::insert(&mut tx, &of_adapter(&it)).await.unwrap().id;
    let (asked, job_id) = ask(&mut tx, &id, Reason::Superseded).await.unwrap();
    assert_eq!(asked.status, CertificateStatus::RevocationPending);
    assert_eq!(asked.version, 2);
    assert!(seen_in_crl(&mut tx, &id, noon()).await.is_err());
    let lease = Duration::seconds(30);
    let job = jobs::claim_revoke(&mut tx, Some(&it.adapter.id), "w1", lease)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(job.id, job_id);
    assert!(
        jobs::claim_revoke(&mut tx, Some(&it.adapter.id), "w2", lease)
            .await
            .unwrap()
            .is_none()
    );
    let done = accept_revocation(&mut tx, &job, noon()).await.unwrap();
    assert_eq!(done.status, CertificateStatus::Revoked);
    assert_eq!(
        certificates::revoked_not_in_crl(&mut tx, &it.adapter.id, "", 9)
            .await
            .unwrap()
            .len(),
        1
    );
    let earlier = seen_in_crl(&mut tx, &id, noon() - Duration::seconds(1)).await;
    assert!(earlier.is_err(), "a CRL from before proves nothing");
    record_in_crl(&mut tx, &id, noon() + Duration::seconds(3))
        .await
        .unwrap();
    record_in_crl(&mut tx, &id, noon() + Duration::seconds(9))
        .await
        .unwrap();
    let proven = certificates::existing(&mut tx, &id).await.unwrap();
    assert_eq!(
        proven.revocation.unwrap().in_crl_at,
        Some(noon() + Duration::seconds(3))
    );
    assert!(
        certificates::revoked_not_in_crl(&mut tx, &it.adapter.id, "", 9)
            .await
            .unwrap()
            .is_empty()
    );
    tx.commit().await.unwrap();
    assert_eq!(audit::verify(&it.store).await.unwrap().0, 2);
}

#[tokio::test]
async fn twice_is_refused_but_for_the_compromise() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let id = certificates::insert(&mut tx, &certificate(1)).await.unwrap().id;
    let (asked, first_job) = ask(&mut tx, &id, Reason::Superseded).await.unwrap();
    let again: Problem = ask(&mut tx, &id, Reason::Unspecified).await.unwrap_err().into();
    assert_eq!(again.kind.status(), 409);
    it.clock.set(noon() + Duration::seconds(60));
    let (worse, job) = ask(&mut tx, &id, Reason::KeyCompromise).await.unwrap();
    assert_eq!(job, first_job);
    let (before, after) = (asked.revocation.unwrap(), worse.revocation.unwrap());
    assert_eq!(after.reason, Reason::KeyCompromise);
    assert_eq!(after.asked_at, before.asked_at);
    let key = keys::read(&mut tx, &worse.spki_sha256).await.unwrap().unwrap();
    assert_eq!(key.status, KeyStatus::Compromised);
    assert!(ask(&mut tx, &id, Reason::Superseded).await.is_err());
    assert!(ask(&mut tx, "crt_none", Reason::Superseded).await.is_err());
}

#[tokio::test]
async fn what_has_expired_is_not_revoked_and_not_looked_for_in_a_crl() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    // Number 5 ends at noon, number 1 a day later.
    let over = certificates::insert(&mut tx, &certificate(5)).await.unwrap();
    let refused: Problem = ask(&mut tx, &over.id, Reason::KeyCompromise)
        .await
        .unwrap_err()
        .into();
    assert_eq!(refused.kind.status(), 409);
    assert!(refused.to_string().contains("/compromise"), "{refused}");

    let id = certificates::insert(&mut tx, &of_adapter(&it)).await.unwrap().id;
    ask(&mut tx, &id, Reason::Superseded).await.unwrap();
    tx.commit().await.unwrap();
    let claimed = async || {
        loop {
            let mut tx = it.store.begin().await.unwrap();
            let job = jobs::claim_revoke(&mut tx, Some(&it.adapter.id), "w", Duration::seconds(30));
            if let Some(job) = job.await.unwrap() {
                return (tx, job);
            }
            // A transaction that was dropped lets go of it a moment later.
            tokio::task::yield_now().await;
        }
    };
    let (mut tx, job) = claimed().await;
    // Its end is known here, whatever a CA says.
    assert!(!expire_revocation(&mut tx, &job).await.unwrap());
    let valid = certificates::existing(&mut tx, &id).await.unwrap();
    assert_eq!(valid.status, CertificateStatus::RevocationPending);
    drop(tx);
    it.clock.set(noon() + Duration::days(2));
    let (mut tx, job) = claimed().await;
    assert!(expire_revocation(&mut tx, &job).await.unwrap());
    let ended = certificates::existing(&mut tx, &id).await.unwrap();
    assert_eq!(ended.status, CertificateStatus::Revoked);
    assert_eq!(
        ended.revocation.unwrap().accepted_at,
        None,
        "the CA accepted nothing"
    );
    assert!(
        certificates::revoked_not_in_crl(&mut tx, &it.adapter.id, "", 9)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_denial_holds_for_all_revocations_at_that_ca_and_is_put_on_record_once() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let ca = adapters::upsert(&mut tx, "one", "vault_pki", &serde_json::json!({})).await;
    let one = ca.unwrap().id;
    let mut asked = async |n: u32| {
        let new = NewCertificate {
            adapter_id: Some(one.clone()),
            not_after: noon() + Duration::days(9),
            ..certificate(n)
        };
        let id = certificates::insert(&mut tx, &new).await.unwrap().id;
        ask(&mut tx, &id, Reason::Superseded).await.unwrap().1
    };
    for n in 1..=3 {
        asked(n).await;
    }
    let lease = Duration::seconds(30);
    let mut claim = async || jobs::claim_revoke(&mut tx, Some(&one), "w", lease).await.unwrap();
    let (first, under_way) = (claim().await.unwrap(), claim().await.unwrap());
    let at = noon() + Duration::seconds(5);
    assert!(deny_revocation(&mut tx, &first, "no", at).await.unwrap());
    // What another worker has under way is its own; the third waits with the first.
    assert!(
        jobs::claim_revoke(&mut tx, Some(&one), "w", lease)
            .await
            .unwrap()
            .is_none()
    );
    let own = jobs::read(&mut tx, &under_way.id).await.unwrap().unwrap();
    assert_eq!(own.error_message, None);
    let waiting = findings::waiting_revocations(&mut tx).await.unwrap();
    assert_eq!(waiting, Some((2, "no".to_owned())));
    // Another CA may let us.
    let new = NewCertificate {
        not_after: noon() + Duration::days(9),
        adapter_id: Some(it.adapter.id.clone()),
        ..certificate(4)
    };
    let id = certificates::insert(&mut tx, &new).await.unwrap().id;
    let (_, elsewhere) = ask(&mut tx, &id, Reason::Superseded).await.unwrap();
    let other = Some(it.adapter.id.as_str());
    let claimed = jobs::claim_revoke(&mut tx, other, "w", lease)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claimed.id, elsewhere);
    tx.commit().await.unwrap();

    it.clock.set(at);
    let mut tx = it.store.begin().await.unwrap();
    let again = jobs::claim_revoke(&mut tx, Some(&one), "w", lease)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((again.error_message.as_deref(), again.attempt), (Some("no"), 0));
    let later = at + Duration::seconds(5);
    assert!(!deny_revocation(&mut tx, &again, "no", later).await.unwrap());
    assert!(
        jobs::claim_revoke(&mut tx, Some(&one), "w", lease)
            .await
            .unwrap()
            .is_none()
    );
    tx.commit().await.unwrap();
    assert_eq!(
        audit::verify(&it.store).await.unwrap().0,
        1,
        "it is on record once"
    );
}

#[tokio::test]
async fn what_the_ca_refused_is_shown_so_and_can_be_asked_for_again() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let id = certificates::insert(&mut tx, &certificate(1)).await.unwrap().id;
    ask(&mut tx, &id, Reason::KeyCompromise).await.unwrap();
    let shown = |it: &Certificate| it.shown(noon()).word();
    let asked = certificates::existing(&mut tx, &id).await.unwrap();
    assert_eq!((shown(&asked), asked.refusal()), ("revoking", None));
    let job = jobs::claim_revoke(&mut tx, None, "w1", Duration::seconds(30))
        .await
        .unwrap()
        .unwrap();
    fail_revocation(&mut tx, &job, "unknown serial").await.unwrap();
    let refused = certificates::existing(&mut tx, &id).await.unwrap();
    assert_eq!(
        (shown(&refused), refused.refusal()),
        ("refused", Some("unknown serial"))
    );
    for (status, n) in [("refused", 1), ("revoking", 0)] {
        let query = PageQuery {
            filter: Some(format!("status:{status}")),
            ..PageQuery::default()
        };
        let page = certificates::page(&mut tx, &query).await.unwrap();
        assert_eq!(page.items.len(), n, "{status}");
    }
    let (again, _) = ask(&mut tx, &id, Reason::KeyCompromise).await.unwrap();
    assert_eq!((shown(&again), again.refusal()), ("revoking", None));
}
