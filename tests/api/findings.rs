//! What needs a person is found, and gone when it is cured.

use chrono::Duration;
use cmp_console::store::{agents, certificates, checkin, installations, issuance, requests};
use cmp_console::wire::agents::{Report, ReportedInstallation};

use super::support::{Server, certificate, enrol, noon};

impl Server {
    async fn found(&self) -> Vec<(String, String, String)> {
        let (status, reply) = self.get("/api/v1/findings").await;
        assert_eq!(status, 200, "{reply}");
        let word = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
        reply["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (word(&it["kind"]), word(&it["entity_id"]), word(&it["answer"])))
            .collect()
    }

    async fn kinds(&self) -> Vec<String> {
        self.found().await.into_iter().map(|it| it.0).collect()
    }
}

fn report(path: &str, n: u32, served: u32) -> Report {
    Report {
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
        address: "http://127.0.0.1:1".to_owned(),
        tls_address: Some("127.0.0.1:443".to_owned()),
        install_dirs: vec!["/srv/tls".to_owned()],
        installations: vec![ReportedInstallation {
            path: path.to_owned(),
            on_disk_sha256: Some(certificate(n, 0).fingerprint_sha256),
            served_sha256: Some(certificate(served, 0).fingerprint_sha256),
            error: None,
        }],
        keys: vec![certificate(1, 0).spki_sha256, certificate(3, 0).spki_sha256],
    }
}

#[tokio::test]
async fn troubles_come_and_go() {
    let Some(it) = Server::start().await else { return };
    let path = "/srv/tls/a.pem";
    let mut tx = it.store.begin().await.unwrap();
    let expired = certificates::existing(&mut tx, &it.expired_cert).await.unwrap();
    installations::expect(&mut tx, &it.agent, path, &expired)
        .await
        .unwrap();
    checkin::check_in(&mut tx, &it.agent, &report(path, 3, 3))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let found = it.found().await;
    assert_eq!(
        found,
        [(
            "expired_in_use".to_owned(),
            it.expired_cert.clone(),
            "reissue".to_owned()
        )]
    );

    // Renewed on disk, the old one still served.
    let mut tx = it.store.begin().await.unwrap();
    let good = certificates::existing(&mut tx, &it.cert).await.unwrap();
    installations::expect(&mut tx, &it.agent, path, &good)
        .await
        .unwrap();
    checkin::check_in(&mut tx, &it.agent, &report(path, 1, 3))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let found = it.found().await;
    assert_eq!(
        found,
        [("not_served".to_owned(), it.cert.clone(), "install".to_owned())]
    );

    let mut tx = it.store.begin().await.unwrap();
    checkin::check_in(&mut tx, &it.agent, &report(path, 1, 1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(it.found().await.is_empty());

    // Revoked while in use, the CA sealed.
    it.seal().await;
    let (status, _) = it
        .post(
            &format!("/api/v1/certs/{}/revoke", it.cert),
            r#"{"reason":"superseded"}"#,
        )
        .await;
    assert_eq!(status, 202);
    it.clock.set(noon() + Duration::seconds(90));
    let mut kinds = it.kinds().await;
    kinds.sort();
    assert_eq!(kinds, ["revocation_pending", "revoked_in_use", "vault_sealed"]);

    // The agent goes silent.
    it.clock.set(noon() + Duration::seconds(600));
    assert!(it.kinds().await.contains(&"agent_silent".to_owned()));
}

#[tokio::test]
async fn requests_that_fail_or_wait() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    checkin::check_in(&mut tx, &it.agent, &report("/x", 1, 1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let (_, reply) = it.post(&format!("/api/v1/certs/{}/reissue", it.cert), "").await;
    let id = reply["requests"][0]["id"].as_str().unwrap().to_owned();
    assert!(it.found().await.is_empty(), "it is just under way");
    it.clock.set(noon() + Duration::seconds(90));
    assert_eq!(
        it.found().await,
        [("request_stuck".to_owned(), it.agent.clone(), "checkin".to_owned())]
    );

    let mut tx = it.store.begin().await.unwrap();
    requests::set_csr(&mut tx, &id, "csr", "cc", "ecdsa-p256")
        .await
        .unwrap();
    issuance::begin_issue(&mut tx, &id, "w", Duration::seconds(30))
        .await
        .unwrap();
    issuance::fail_issue(&mut tx, &id, "the role refuses ECDSA")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        it.found().await,
        [("request_failed".to_owned(), it.cert.clone(), "reissue".to_owned())]
    );
    let again = format!("/api/v1/certs/{}/reissue", it.cert);
    assert_eq!(it.post(&again, r#"{"key_algorithm":"rsa-2048"}"#).await.0, 202);
    assert!(!it.kinds().await.contains(&"request_failed".to_owned()));
}

#[tokio::test]
async fn one_key_in_two_certificates() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let mut twin = certificate(7, 60);
    twin.spki_sha256 = certificate(1, 0).spki_sha256;
    let twin = certificates::insert(&mut tx, &twin).await.unwrap();
    checkin::check_in(&mut tx, &it.agent, &report("/x", 1, 1))
        .await
        .unwrap();
    let quiet = agents::insert(&mut tx, &enrol("quiet"), 60).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        it.found().await,
        [("shared_key".to_owned(), twin.id, "reissue".to_owned())]
    );
    it.clock.set(noon() + Duration::seconds(170));
    assert!(!it.kinds().await.contains(&"agent_silent".to_owned()));
    it.clock.set(noon() + Duration::seconds(190));
    let found = it.found().await;
    assert!(
        found.contains(&("agent_silent".to_owned(), quiet.id, "checkin".to_owned())),
        "{found:?}"
    );
}
