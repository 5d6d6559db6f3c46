//! What needs a person is found, and gone when it is cured.

use chrono::Duration;
use cmp_console::domain::reason::Reason;
use cmp_console::domain::renewal::Suggestion;
use cmp_console::store::{
    agents, certificates, checkin, compromise, installations, issuance, jobs, renewals, requests, revocation,
};
use cmp_console::wire::agents::{Report, ReportedInstallation};

use serde_json::json;

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
            // No worker runs here; `workers` is about that.
            .filter(|it| it["kind"] != "nobody_works")
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
        layout: None,
        installations: vec![ReportedInstallation {
            path: path.to_owned(),
            on_disk_sha256: Some(certificate(n, 0).fingerprint_sha256),
            served_sha256: Some(certificate(served, 0).fingerprint_sha256),
            chain_missing: None,
            error: None,
        }],
        keys: vec![certificate(1, 0).spki_sha256, certificate(3, 0).spki_sha256],
        proofs: Vec::new(),
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
    // A served certificate is in use, whatever is expected: on its page, its key's, in the list and by its agent.
    let (_, old) = it.get(&format!("/api/v1/certs/{}", it.expired_cert)).await;
    assert_eq!(old["installations"], serde_json::json!([]));
    assert_eq!(old["found"][0]["path"], path, "{old}");
    assert_eq!(old["certificate"]["host"], "web-01", "{old}");
    let spki = old["certificate"]["spki_sha256"].as_str().unwrap();
    let (_, key) = it.get(&format!("/api/v1/keys/{spki}")).await;
    assert_eq!(key["found"][0]["path"], path, "{key}");
    let (_, good) = it.get(&format!("/api/v1/certs/{}", it.cert)).await;
    assert_eq!(good["found"], serde_json::json!([]), "{good}");
    for which in [
        format!("agent={}", it.agent),
        "filter=agent:web-01".to_owned(),
        "q=web-01".to_owned(),
    ] {
        let (_, list) = it.get(&format!("/api/v1/certs?{which}")).await;
        let ids: Vec<_> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].clone())
            .collect();
        assert!(
            ids.contains(&serde_json::json!(it.expired_cert)),
            "{which}: {list}"
        );
    }

    let mut tx = it.store.begin().await.unwrap();
    checkin::check_in(&mut tx, &it.agent, &report(path, 1, 1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(it.found().await.is_empty());

    // As expected on disk and served, but without an issuer that clients need.
    let mut tx = it.store.begin().await.unwrap();
    let mut incomplete = report(path, 1, 1);
    incomplete.installations[0].chain_missing = Some("CN=Issuing CA".to_owned());
    checkin::check_in(&mut tx, &it.agent, &incomplete).await.unwrap();
    tx.commit().await.unwrap();
    let found = it.found().await;
    assert_eq!(
        found,
        [(
            "chain_incomplete".to_owned(),
            it.cert.clone(),
            "install".to_owned()
        )]
    );
    let (_, reply) = it.get("/api/v1/findings").await;
    assert!(reply.to_string().contains("not sent: `CN=Issuing CA`"), "{reply}");
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
    // The revocation waits for Vault, whose finding says so.
    assert_eq!(kinds, ["revoked_in_use", "vault_sealed"]);
    let (_, reply) = it.get("/api/v1/findings").await;
    let sealed = reply["findings"].as_array().unwrap().iter();
    let mut sealed = sealed.filter(|it| it["kind"] == "vault_sealed");
    let what = sealed.next().unwrap()["what"].as_str().unwrap().to_owned();
    assert!(what.contains("1 revocation waiting"), "{what}");

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
    cmp_console::store::claims::begin_issue(&mut tx, &id, "w", Duration::seconds(30))
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

#[tokio::test]
async fn what_a_ca_wants_renewed_now_comes_before_what_only_expires() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    checkin::check_in(&mut tx, &it.agent, &report("/x", 1, 1))
        .await
        .unwrap();
    let mut ids = Vec::new();
    // The first expires in five days, the others later.
    for (n, days) in [(21, 5), (22, 60), (23, 61), (24, 29)] {
        let new = certificate(n, days);
        let new = certificates::insert(&mut tx, &new).await.unwrap();
        let path = format!("/srv/tls/{n}.pem");
        installations::expect(&mut tx, &it.agent, &path, &new)
            .await
            .unwrap();
        ids.push(new.id);
    }
    let suggested = |starts: i64| Suggestion {
        start: noon() + Duration::days(starts),
        end: noon() + Duration::days(starts + 1),
        explanation_url: Some("https://ca.example.test/incident/7".to_owned()),
        again_in: std::time::Duration::from_secs(60),
    };
    let again = noon() + Duration::hours(6);
    // To be renewed in a month; one was moved from there to three days ago.
    for (id, starts) in [(&ids[1], 30), (&ids[2], 30), (&ids[2], -3), (&ids[3], 0)] {
        renewals::record(&mut tx, id, &suggested(starts), again)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let found = it.found().await;
    let expected = [("renewal_asked", 2), ("expiring_in_use", 0), ("renewal_asked", 3)];
    let expected = expected.map(|(kind, n)| (kind.to_owned(), ids[n].clone(), "reissue".to_owned()));
    assert_eq!(found, expected);
    let (_, reply) = it.get("/api/v1/findings").await;
    let all = reply["findings"].as_array().unwrap().iter();
    let all: Vec<_> = all.filter(|it| it["kind"] != "nobody_works").collect();
    let said = |n: usize| {
        let finding = all[n];
        let word = |name: &str| finding[name].as_str().unwrap().to_owned();
        (word("severity"), word("what"))
    };
    assert_eq!(
        said(0),
        (
            "critical".to_owned(),
            "host-23.example.com's CA wants it renewed now instead of on 2026-06-27, and may revoke it; in use on 1 host; \
             the CA says why at https://ca.example.test/incident/7"
                .to_owned()
        )
    );
    let (severity, what) = said(2);
    assert_eq!(severity, "notice");
    assert!(
        what.starts_with("host-24.example.com's CA suggests to renew it by 2026-05-29 "),
        "{what}"
    );

    // Nobody did until the window was over: then it comes before what has days left.
    it.clock.set(noon() + Duration::hours(25));
    let mut tx = it.store.begin().await.unwrap();
    checkin::check_in(&mut tx, &it.agent, &report("/x", 1, 1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let found: Vec<String> = it
        .found()
        .await
        .into_iter()
        .filter(|it| it.0 != "not_served")
        .map(|it| it.1)
        .collect();
    assert_eq!(found, [&ids[2], &ids[3], &ids[0]].map(Clone::clone));

    // The detail has the window.
    let (_, detail) = it.get(&format!("/api/v1/certs/{}", ids[2])).await;
    let renewal = &detail["certificate"]["renewal"];
    assert_eq!(renewal["start"], "2026-05-25T20:26:40Z");
    assert_eq!(renewal["moved_from"], "2026-06-27T20:26:40Z");
}

/// Other words of the findings, without those that nobody works.
async fn told(it: &Server) -> Vec<serde_json::Value> {
    let (_, reply) = it.get("/api/v1/findings").await;
    let all = reply["findings"].as_array().unwrap().iter();
    all.filter(|it| it["kind"] != "nobody_works").cloned().collect()
}

#[tokio::test]
async fn a_revoked_certificate_that_a_host_has_where_another_one_is_expected() {
    let Some(it) = Server::start().await else { return };
    let path = "/srv/tls/a.pem";
    let mut tx = it.store.begin().await.unwrap();
    let leaked = certificates::insert(&mut tx, &certificate(7, 60)).await.unwrap();
    let good = certificates::existing(&mut tx, &it.cert).await.unwrap();
    installations::expect(&mut tx, &it.agent, path, &good)
        .await
        .unwrap();
    checkin::check_in(&mut tx, &it.agent, &report(path, 1, 7))
        .await
        .unwrap();
    drop(
        revocation::ask(&mut tx, &leaked.id, Reason::Superseded)
            .await
            .unwrap(),
    );
    let job = jobs::claim_revoke(&mut tx, None, "w", Duration::seconds(30))
        .await
        .unwrap();
    revocation::accept_revocation(&mut tx, &job.unwrap(), noon())
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let found = told(&it).await;
    let of = |id: &str| found.iter().find(|it| it["entity_id"] == id).cloned();
    let revoked = of(&leaked.id).expect("a finding of its own");
    assert_eq!(
        (&revoked["kind"], &revoked["severity"], &revoked["matter"]),
        (
            &json!("revoked_in_use"),
            &json!("critical"),
            &json!("revoked, served")
        )
    );
    assert_eq!(revoked["host"], "web-01");
    let what = revoked["what"].as_str().unwrap();
    assert!(
        what.ends_with("in use on 1 host, where another one is expected"),
        "{what}"
    );
    // The key is for the one that belongs there, on both.
    let belongs = |finding: &serde_json::Value, action: &str| {
        assert_eq!(finding["answer"], action, "{finding}");
        let answers = finding["answer_for"].as_array().unwrap();
        assert!(
            answers.len() == 1 && answers[0]["id"] == json!(it.cert),
            "{finding}"
        );
        assert_eq!(answers[0]["name"], "host-1.example.com");
    };
    belongs(&revoked, "install");
    assert_eq!(of(&it.cert).unwrap()["answer"], "install");

    // The agent's page says it of the place, and the agent is found by what it has.
    let (_, agent) = it.get(&format!("/api/v1/agents/{}", it.agent)).await;
    assert_eq!(agent["installations"][0]["served_revoked"], true, "{agent}");
    let (_, list) = it.get(&format!("/api/v1/agents?filter=cert:{}", leaked.id)).await;
    assert_eq!(list["items"][0]["id"], json!(it.agent), "{list}");

    // Reloaded, and still on disk: the next reload would show it.
    let mut tx = it.store.begin().await.unwrap();
    checkin::check_in(&mut tx, &it.agent, &report(path, 7, 1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let found = told(&it).await;
    let revoked = found
        .iter()
        .find(|it| it["entity_id"] == json!(leaked.id))
        .unwrap();
    assert_eq!(revoked["matter"], "revoked, on disk");
    let (_, agent) = it.get(&format!("/api/v1/agents/{}", it.agent)).await;
    assert_eq!(agent["installations"][0]["served_revoked"], json!(null));

    // A leaked key is in use wherever a certificate with it is.
    let mut tx = it.store.begin().await.unwrap();
    let other = certificates::insert(&mut tx, &certificate(8, 60)).await.unwrap();
    checkin::check_in(&mut tx, &it.agent, &report(path, 1, 8))
        .await
        .unwrap();
    compromise::mark(&mut tx, &other.spki_sha256).await.unwrap();
    tx.commit().await.unwrap();
    let found = told(&it).await;
    let leaked = found
        .iter()
        .find(|it| it["entity_id"] == json!(other.id))
        .unwrap();
    assert_eq!(leaked["kind"], "compromised_key_in_use");
}

/// A replaced certificate that is in use nowhere is no reason any more to think of its key.
#[tokio::test]
async fn of_a_shared_key_only_what_can_still_be_shown_counts() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let mut ids = vec![it.cert.clone()];
    for n in [7, 8] {
        let mut twin = certificate(n, 60);
        twin.spki_sha256 = certificate(1, 0).spki_sha256;
        ids.push(certificates::insert(&mut tx, &twin).await.unwrap().id);
    }
    checkin::check_in(&mut tx, &it.agent, &report("/x", 1, 1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // One of the twins, which are of the same moment.
    let first = told(&it).await[0].clone();
    let offered = first["entity_id"].as_str().unwrap().to_owned();
    assert!(ids[1..].contains(&offered));
    let (_, reply) = it.post(&format!("/api/v1/certs/{offered}/reissue"), "").await;
    let request = reply["requests"][0]["id"].as_str().unwrap().to_owned();
    let found = told(&it).await;
    assert_eq!(
        (&found[0]["matter"], &found[0]["n_takes_down"]),
        (&json!("key shared by 3"), &json!(3))
    );
    // The reissue of the one that it offers is under way.
    assert_eq!(
        (&found[0]["entity_id"], &found[0]["under_way"]),
        (&json!(offered), &json!(true))
    );

    let mut tx = it.store.begin().await.unwrap();
    let fresh = certificate(9, 60);
    requests::set_csr(&mut tx, &request, "csr", &fresh.spki_sha256, "ecdsa-p256")
        .await
        .unwrap();
    cmp_console::store::claims::begin_issue(&mut tx, &request, "w", Duration::seconds(30))
        .await
        .unwrap();
    issuance::complete_issue(&mut tx, &request, &fresh).await.unwrap();
    tx.commit().await.unwrap();
    let found = told(&it).await;
    assert_eq!(
        (&found[0]["matter"], &found[0]["n_takes_down"]),
        (&json!("key shared by 2"), &json!(2))
    );
    let named = found[0]["takes_down"].as_array().unwrap();
    assert!(!named.contains(&first["subject"]), "{named:?}");
    assert_ne!(found[0]["entity_id"], first["entity_id"]);
}

/// A certificate says how many requests are to replace it, so that nobody is offered another one; each has a row in the
/// audit of who asked.
#[tokio::test]
async fn a_reissue_that_is_under_way_is_known_of_its_certificate() {
    let Some(it) = Server::start().await else { return };
    let n = async |it: &Server| {
        let (_, detail) = it.get(&format!("/api/v1/certs/{}", it.cert)).await;
        let (_, list) = it.get(&format!("/api/v1/certs?q={}", it.cert)).await;
        assert_eq!(
            detail["certificate"]["n_reissues"],
            list["items"][0]["n_reissues"]
        );
        detail["certificate"]["n_reissues"].clone()
    };
    assert_eq!(n(&it).await, 0);
    let reissue = format!("/api/v1/certs/{}/reissue", it.cert);
    let (status, reply) = it.post(&reissue, r#"{"ticket":"INC-7"}"#).await;
    assert_eq!(status, 202, "{reply}");
    assert_eq!(n(&it).await, 1);
    let id = reply["requests"][0]["id"].as_str().unwrap();
    let (_, audit) = it.get(&format!("/api/v1/audit?entity={id}")).await;
    let row = &audit["items"][0];
    assert_eq!(
        (&row["action"], &row["outcome"], &row["ticket"], &row["actor"]),
        (
            &json!("reissue"),
            &json!("asked"),
            &json!("INC-7"),
            &reply["requests"][0]["requested_by"]
        )
    );
    let (status, reply) = it.post(&format!("/api/v1/requests/{id}/cancel"), "").await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(n(&it).await, 0);
}

/// An offer is what the API takes: a banned agent's place counts for nothing, and neither does one that has been asked
/// for.
#[tokio::test]
async fn a_reissue_is_offered_for_the_places_that_would_get_one() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let other = agents::insert(&mut tx, &enrol("web-02"), 60).await.unwrap().id;
    let good = certificates::existing(&mut tx, &it.cert).await.unwrap();
    for agent in [&it.agent, &other] {
        installations::expect(&mut tx, agent, "/srv/tls/a.pem", &good)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let row = async || {
        let (_, list) = it.get(&format!("/api/v1/certs?q={}", it.cert)).await;
        let row: cmp_console::domain::certificate::Certificate =
            serde_json::from_value(list["items"][0].clone()).unwrap();
        row
    };
    let reissue = format!("/api/v1/certs/{}/reissue", it.cert);
    assert_eq!(row().await.n_reissuable, 2);
    let banned = it.post(&format!("/api/v1/agents/{}/ban", it.agent), "").await;
    assert_eq!(banned.0, 200, "{banned:?}");
    let half = row().await;
    assert_eq!((half.n_installations, half.n_reissuable), (2, 1));
    assert!(!half.is_being_reissued() && !half.is_banned_everywhere());
    let (status, reply) = it.post(&reissue, "").await;
    assert_eq!(status, 202, "{reply}");
    assert_eq!(reply["requests"].as_array().unwrap().len(), 1);
    assert!(row().await.is_being_reissued());
    assert_eq!(it.post(&reissue, "").await.0, 409);
    let request = reply["requests"][0]["id"].as_str().unwrap();
    assert_eq!(
        it.post(&format!("/api/v1/requests/{request}/cancel"), "").await.0,
        200
    );
    assert_eq!(it.post(&format!("/api/v1/agents/{other}/ban"), "").await.0, 200);
    let none = row().await;
    assert!(
        none.is_banned_everywhere() && !none.is_being_reissued(),
        "{none:?}"
    );
    let (status, reply) = it.post(&reissue, "").await;
    assert_eq!(status, 422, "{reply}");
    // Its key's holder is banned too, and named.
    let (_, detail) = it.get(&format!("/api/v1/certs/{}", it.cert)).await;
    assert_eq!(
        (&detail["key"]["hostname"], &detail["key"]["is_holder_banned"]),
        (&json!("web-01"), &json!(true))
    );
}

/// Nothing comes of waiting once the CA has said no.
#[tokio::test]
async fn a_refused_revocation_is_told_at_once_and_one_that_is_under_way_has_its_time() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let id = certificates::insert(&mut tx, &certificate(7, 60))
        .await
        .unwrap()
        .id;
    drop(revocation::ask(&mut tx, &id, Reason::Superseded).await.unwrap());
    tx.commit().await.unwrap();
    it.clock.set(noon() + Duration::seconds(2));
    let of = async || {
        told(&it)
            .await
            .into_iter()
            .find(|it| it["entity_id"] == json!(id))
    };
    assert_eq!(of().await, None, "it was asked for a moment ago");
    let mut tx = it.store.begin().await.unwrap();
    let job = jobs::claim_revoke(&mut tx, None, "w", Duration::seconds(30))
        .await
        .unwrap();
    revocation::fail_revocation(&mut tx, &job.unwrap(), "unknown serial")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let found = of().await.expect("a refusal is final");
    let what = found["what"].as_str().unwrap();
    assert!(
        what.ends_with("'s revocation was refused by the CA; the CA says `unknown serial`")
            && found["answer"] == "revoke",
        "{found}"
    );
}
