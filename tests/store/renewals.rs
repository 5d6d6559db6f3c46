//! What CAs say of when to renew: each certificate is asked about by one issuer, when it is due, and what
//! was said is kept with what it was before.

use std::time::Duration as Pause;

use chrono::{DateTime, Duration, Utc};
use cmp_console::domain::reason::Reason;
use cmp_console::domain::renewal::Suggestion;
use cmp_console::store::certificates::NewCertificate;
use cmp_console::store::findings::InUse;
use cmp_console::store::renewals::{ask_again, claim, record};
use cmp_console::store::{Conn, certificates, findings, installations, revocation};

use super::fixture::{Fixture, certificate, noon};

fn lease() -> Duration {
    Duration::seconds(30)
}

fn suggested(start: DateTime<Utc>) -> Suggestion {
    Suggestion {
        start,
        end: start + Duration::days(2),
        explanation_url: Some("https://ca.example.test/why".to_owned()),
        again_in: Pause::from_secs(6 * 3600),
    }
}

/// Number `n` of the fixture's CA, valid for the given days from noon on.
fn of_ca(it: &Fixture, n: u32, days: i64) -> NewCertificate {
    NewCertificate {
        adapter_id: Some(it.adapter.id.clone()),
        not_after: noon() + Duration::days(days),
        pem: format!("pem {n}"),
        ..certificate(n)
    }
}

#[tokio::test]
async fn one_issuer_asks_about_one_certificate() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let mut ids = Vec::new();
    for n in [1, 2] {
        let new = of_ca(&it, n, 90);
        ids.push(certificates::insert(&mut tx, &new).await.unwrap().id);
    }
    ids.sort();
    // Of no CA that is known, over, and revoked.
    certificates::insert(&mut tx, &certificate(3)).await.unwrap();
    certificates::insert(&mut tx, &of_ca(&it, 5, 0)).await.unwrap();
    let revoked = certificates::insert(&mut tx, &of_ca(&it, 4, 90)).await.unwrap();
    revocation::ask(&mut tx, &revoked.id, Reason::Superseded)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let mut tx = it.store.begin().await.unwrap();
    let first = claim(&mut tx, &it.adapter.id, lease()).await.unwrap().unwrap();
    let known = certificates::existing(&mut tx, &ids[0]).await.unwrap();
    assert_eq!((&first.id, Some(&first.pem)), (&ids[0], known.pem.as_ref()));
    assert_eq!(first.not_after, noon() + Duration::days(90));
    let second = claim(&mut tx, &it.adapter.id, lease()).await.unwrap().unwrap();
    assert_eq!(second.id, ids[1]);
    assert!(claim(&mut tx, &it.adapter.id, lease()).await.unwrap().is_none());
    assert!(claim(&mut tx, "adp_other", lease()).await.unwrap().is_none());
    ask_again(&mut tx, &ids[1], noon() + Duration::hours(6))
        .await
        .unwrap();
    let kept = certificates::existing(&mut tx, &ids[0]).await.unwrap();
    assert_eq!(
        (kept.version, kept.renewal),
        (1, None),
        "being asked about is no change"
    );
    tx.commit().await.unwrap();

    // Who was to ask is gone: another one does when the lease is over.
    it.clock.set(noon() + lease());
    let mut tx = it.store.begin().await.unwrap();
    let again = claim(&mut tx, &it.adapter.id, lease()).await.unwrap().unwrap();
    assert_eq!(again.id, ids[0]);
    assert!(claim(&mut tx, &it.adapter.id, lease()).await.unwrap().is_none());
    tx.commit().await.unwrap();
    it.clock.set(noon() + Duration::hours(6));
    let mut tx = it.store.begin().await.unwrap();
    let mut due = Vec::new();
    while let Some(one) = claim(&mut tx, &it.adapter.id, lease()).await.unwrap() {
        due.push(one.id);
    }
    assert_eq!(due, ids, "what waits longest first");
}

#[tokio::test]
async fn two_issuers_at_the_same_time_do_not_get_the_same_one() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    for n in 1..=6 {
        certificates::insert(&mut tx, &of_ca(&it, n, 90)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let asks = (0..9).map(|_| async {
        let mut tx = it.store.begin().await.unwrap();
        let due = claim(&mut tx, &it.adapter.id, lease()).await.unwrap();
        tx.commit().await.unwrap();
        due.map(|due| due.id)
    });
    let mut got: Vec<String> = futures::future::join_all(asks)
        .await
        .into_iter()
        .flatten()
        .collect();
    let n = got.len();
    got.sort();
    got.dedup();
    assert_eq!(got.len(), n, "none twice");
    // One that another asker looked at just then is passed over; there is a next round.
    assert!(n >= 1);
}

#[tokio::test]
async fn what_was_said_is_kept_and_the_same_again_is_no_change() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let id = certificates::insert(&mut tx, &of_ca(&it, 1, 90))
        .await
        .unwrap()
        .id;
    let (start, again) = (noon() + Duration::days(60), noon() + Duration::hours(6));
    assert!(!record(&mut tx, &id, &suggested(start), again).await.unwrap());
    let kept = certificates::existing(&mut tx, &id).await.unwrap();
    assert_eq!(kept.version, 2);
    let renewal = kept.renewal.unwrap();
    assert_eq!((renewal.start, renewal.end), (start, start + Duration::days(2)));
    assert_eq!(
        renewal.explanation_url.as_deref(),
        Some("https://ca.example.test/why")
    );
    assert_eq!((renewal.asked_at, renewal.moved_from), (noon(), None));
    tx.commit().await.unwrap();
    assert!(asked_for(&mut it.store.read().await.unwrap()).await.is_empty());

    it.clock.set(again);
    let mut tx = it.store.begin().await.unwrap();
    record(&mut tx, &id, &suggested(start), again + Duration::hours(6))
        .await
        .unwrap();
    let same = certificates::existing(&mut tx, &id).await.unwrap();
    assert_eq!((same.version, same.updated_at), (2, noon()));
    assert_eq!(same.renewal.unwrap().asked_at, again);

    // Moved to before now, with something that is no address.
    let moved = Suggestion {
        explanation_url: Some("https://ca.example.test/\u{1b}[2J\0".to_owned()),
        ..suggested(again - Duration::hours(1))
    };
    assert!(record(&mut tx, &id, &moved, again).await.unwrap());
    assert!(!record(&mut tx, &id, &moved, again).await.unwrap(), "told once");
    let kept = certificates::existing(&mut tx, &id).await.unwrap();
    assert_eq!(kept.version, 3);
    let renewal = kept.renewal.unwrap();
    assert_eq!((renewal.moved_from, renewal.explanation_url), (Some(start), None));

    // It is nobody's matter before it is in use somewhere.
    assert!(asked_for(&mut tx).await.is_empty());
    let it_is = certificates::existing(&mut tx, &id).await.unwrap();
    installations::expect(&mut tx, &it.agent.id, "/srv/tls/a.pem", &it_is)
        .await
        .unwrap();
    let asked = asked_for(&mut tx).await;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].renewal.as_ref().unwrap().moved_from, Some(start));
    revocation::ask(&mut tx, &id, Reason::Superseded).await.unwrap();
    assert!(asked_for(&mut tx).await.is_empty());
}

/// What CAs want renewed now, moved there or not.
async fn asked_for(conn: &mut Conn) -> Vec<InUse> {
    let now = conn.now();
    let mut asked = findings::ends_or_is_wanted_now(conn, now).await.unwrap();
    asked.extend(findings::renewals_suggested(conn, now, now).await.unwrap().rows);
    asked
}
