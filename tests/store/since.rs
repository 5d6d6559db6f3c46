//! The time from which a place is not as expected: that of the first look that found it so, however often what is
//! found there changes meanwhile.

use chrono::Duration;
use cmp_console::domain::finding::FindingKind;
use cmp_console::store::{certificates, checkin, installations, read};
use cmp_console::wire::agents::{Report, ReportedInstallation};

use super::fixture::{Fixture, certificate, noon};

const PATH: &str = "/srv/tls/cert.pem";

/// A look of an agent that finds number 2 on disk, and served by so many of eight handshakes.
fn look(n_served: u32) -> Report {
    let [old, new] = [1, 2].map(|n| certificate(n).fingerprint_sha256);
    let is_stale = n_served < 8;
    Report {
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
        address: "http://127.0.0.1:1".to_owned(),
        tls_address: Some("127.0.0.1:443".to_owned()),
        install_dirs: vec!["/srv/tls".to_owned()],
        layout: None,
        installations: vec![ReportedInstallation {
            path: PATH.to_owned(),
            on_disk_sha256: Some(new.clone()),
            served_sha256: Some(if is_stale { old } else { new }),
            chain_missing: None,
            error: is_stale.then(|| format!("{} of 8 handshakes showed another certificate", 8 - n_served)),
        }],
        keys: Vec::new(),
        proofs: Vec::new(),
    }
}

#[tokio::test]
async fn a_place_differs_since_the_first_look_that_found_it_so() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let old = certificates::insert(&mut tx, &certificate(1)).await.unwrap();
    let new = certificates::insert(&mut tx, &certificate(2)).await.unwrap();
    installations::expect(&mut tx, &it.agent.id, PATH, &new)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // Minutes from noon, handshakes that show the new one, and since when it differs.
    let looks = [
        (1, 8, None),
        (10, 6, Some(10)),
        (12, 5, Some(10)),
        (14, 6, Some(10)),
        (16, 8, None),
        (30, 7, Some(30)),
        (32, 6, Some(30)),
    ];
    for (minute, n_served, since) in looks {
        it.clock.set(noon() + Duration::minutes(minute));
        let mut tx = it.store.begin().await.unwrap();
        checkin::check_in(&mut tx, &it.agent.id, &look(n_served))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let mut conn = it.store.read().await.unwrap();
        let found = read::findings(&mut conn).await.unwrap().findings;
        let mut found = found.iter().filter(|it| it.kind == FindingKind::NotServed);
        let told = found.next().map(|it| it.since.unwrap());
        let since = since.map(|minute| noon() + Duration::minutes(minute));
        assert_eq!(told, since, "after {minute} minutes");
    }

    // Something else is expected: from then on the place differs from that.
    let now = noon() + Duration::minutes(40);
    it.clock.set(now);
    let mut tx = it.store.begin().await.unwrap();
    installations::expect(&mut tx, &it.agent.id, PATH, &old)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    it.clock.set(now + Duration::minutes(2));
    let mut conn = it.store.read().await.unwrap();
    let found = read::findings(&mut conn).await.unwrap().findings;
    let found = found.iter().find(|it| it.kind == FindingKind::NotServed).unwrap();
    assert_eq!(found.since, Some(now));
}
