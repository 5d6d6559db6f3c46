//! A ban changes nothing of what its host serves, nor of what is said of that.

use chrono::Duration;
use cmp_console::actions;
use cmp_console::clients::api::ApiReader;
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::secret::Secret;
use cmp_console::plan::known::KnownAgents;
use cmp_console::plan::plan::{Inputs, Target};
use cmp_console::plan::ports::Reads;
use cmp_console::store::{agents, certificates, checkin, compromise, installations};
use cmp_console::wire::agents::{Report, ReportedInstallation};
use serde_json::{Value, json};

use super::support::{Server, certificate, enrol, noon};

/// Findings about this thing.
async fn told(it: &Server, id: &str) -> Vec<Value> {
    let (status, reply) = it.get("/api/v1/findings").await;
    assert_eq!(status, 200, "{reply}");
    let all = reply["findings"].as_array().unwrap().iter();
    all.filter(|it| it["entity_id"] == id).cloned().collect()
}

fn report(places: &[(&str, u32, u32)]) -> Report {
    let place = |&(path, on_disk, served): &(&str, u32, u32)| ReportedInstallation {
        path: path.to_owned(),
        on_disk_sha256: Some(certificate(on_disk, 0).fingerprint_sha256),
        served_sha256: Some(certificate(served, 0).fingerprint_sha256),
        chain_missing: None,
        error: None,
    };
    Report {
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
        address: "http://127.0.0.1:1".to_owned(),
        tls_address: Some("127.0.0.1:443".to_owned()),
        install_dirs: vec!["/srv/tls".to_owned()],
        layout: None,
        installations: places.iter().map(place).collect(),
        keys: Vec::new(),
        proofs: Vec::new(),
    }
}

#[tokio::test]
async fn what_a_banned_agents_host_serves_stays_a_finding() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let leaked = certificates::insert(&mut tx, &certificate(7, 60)).await.unwrap();
    let ends = certificates::insert(&mut tx, &certificate(8, 5)).await.unwrap();
    let stale = certificates::existing(&mut tx, &it.cert).await.unwrap();
    let expired = certificates::existing(&mut tx, &it.expired_cert).await.unwrap();
    let at = [
        "/srv/tls/a.pem",
        "/srv/tls/b.pem",
        "/srv/tls/c.pem",
        "/srv/tls/d.pem",
    ];
    for (path, certificate) in at.iter().zip([&leaked, &expired, &stale, &ends]) {
        installations::expect(&mut tx, &it.agent, path, certificate)
            .await
            .unwrap();
    }
    let places = [(at[0], 7, 7), (at[1], 3, 3), (at[2], 1, 9), (at[3], 8, 8)];
    checkin::check_in(&mut tx, &it.agent, &report(&places))
        .await
        .unwrap();
    compromise::mark(&mut tx, &leaked.spki_sha256).await.unwrap();
    tx.commit().await.unwrap();
    let ids = [&leaked.id, &it.expired_cert, &it.cert, &ends.id];
    let kinds = [
        "compromised_key_in_use",
        "expired_in_use",
        "not_served",
        "expiring_in_use",
    ];
    let mut before = Vec::new();
    for (id, kind) in ids.iter().zip(kinds) {
        let found = told(&it, id).await;
        assert_eq!((found.len(), &found[0]["kind"]), (1, &json!(kind)), "{found:?}");
        assert!(found[0]["answer"].is_string(), "{found:?}");
        before.extend(found);
    }
    assert!(told(&it, &it.agent).await.is_empty());

    let ban = format!("/api/v1/agents/{}/ban", it.agent);
    assert_eq!(it.post(&ban, "").await.0, 200);
    for (id, before) in ids.iter().zip(&before) {
        let found = told(&it, id).await;
        let now = found
            .first()
            .unwrap_or_else(|| panic!("nothing is told of {before}"));
        // A leaked one can't be replaced there, and can be revoked all the same.
        let (answer, ending) = match now["kind"] == "compromised_key_in_use" {
            true => (
                json!("revoke"),
                ", and it can't be reissued while web-01 is banned",
            ),
            false => (Value::Null, "; agent banned"),
        };
        assert_eq!(
            (&now["kind"], &now["severity"], &now["answer"]),
            (&before["kind"], &before["severity"], &answer),
            "{now}"
        );
        assert!(now["what"].as_str().unwrap().ends_with(ending), "{now}");
    }
    let banned = told(&it, &it.agent).await;
    let [banned] = banned.as_slice() else {
        panic!("{banned:?}")
    };
    assert_eq!(
        (&banned["kind"], &banned["matter"], &banned["answer"]),
        (&json!("agent_banned"), &json!("banned, 4 certs"), &json!("unban"))
    );
    assert_eq!(
        banned["what"],
        "web-01 is banned, 4 certificates served: nothing is renewed or installed there"
    );

    // Unbanned it has no token: that it is woken would be no help.
    let unban = format!("/api/v1/agents/{}/unban", it.agent);
    assert_eq!(it.post(&unban, "").await.0, 200);
    let at_once = told(&it, &it.agent).await;
    assert_eq!(at_once.len(), 1, "{at_once:?}");
    assert_eq!(
        at_once[0]["matter"], "no token",
        "it says so before it counts as silent"
    );
    for path in [
        format!("/api/v1/agents/{}", it.agent),
        "/api/v1/agents".to_owned(),
    ] {
        let (_, reply) = it.get(&path).await;
        let agent = reply.get("agent").unwrap_or_else(|| &reply["items"][0]);
        assert_eq!(agent["has_no_token"], true, "{path}: {reply}");
    }
    it.clock.set(noon() + Duration::minutes(10));
    let silent = told(&it, &it.agent).await;
    let [silent] = silent.as_slice() else {
        panic!("{silent:?}")
    };
    assert_eq!(
        (&silent["kind"], &silent["matter"], &silent["answer"]),
        (&json!("agent_silent"), &json!("no token"), &Value::Null)
    );
    let what = silent["what"].as_str().unwrap();
    let token = format!("/api/v1/agents/{}/token", it.agent);
    assert!(what.contains("enrol it again") && what.contains(&token), "{what}");
}

#[tokio::test]
async fn a_banned_host_is_given_nothing() {
    let Some(it) = Server::start().await else { return };
    let install = format!("/api/v1/agents/{}/install", it.agent);
    let body = |path: &str| json!({"cert_id": it.cert, "path": path}).to_string();
    let (status, reply) = it.post(&install, &body("/srv/tls/a.pem")).await;
    assert_eq!(status, 202, "{reply}");
    assert_eq!(
        it.post(&format!("/api/v1/agents/{}/ban", it.agent), "").await.0,
        200
    );
    let (status, problem) = it.post(&install, &body("/srv/tls/b.pem")).await;
    assert_eq!(status, 422, "{problem}");
    assert_eq!(
        problem["title"], "the agent `web-01` is banned and gets nothing",
        "{problem}"
    );
    let row = it.rows().await.pop().unwrap();
    assert_eq!((row.action.as_str(), row.outcome.word()), ("install", "refused"));
    let mut conn = it.store.read().await.unwrap();
    let places = installations::by_agent(&mut conn, &it.agent).await.unwrap();
    assert!(
        places.is_empty(),
        "what was asked before is taken back, and nothing comes to it: {places:?}"
    );
}

#[tokio::test]
async fn what_a_leaked_keys_certificates_are_until_they_are_revoked() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    // Three of one key: one is in use, one is over.
    let mut ids = Vec::new();
    for (n, days) in [(7, 60), (8, 60), (9, -1), (10, 60)] {
        let mut new = certificate(n, days);
        new.spki_sha256 = certificate(7, 0).spki_sha256;
        ids.push(certificates::insert(&mut tx, &new).await.unwrap());
    }
    installations::expect(&mut tx, &it.agent, "/srv/tls/a.pem", &ids[0])
        .await
        .unwrap();
    compromise::mark(&mut tx, &ids[0].spki_sha256).await.unwrap();
    tx.commit().await.unwrap();
    let all = async || {
        let (_, reply) = it.get("/api/v1/findings").await;
        let all = reply["findings"].as_array().unwrap().clone();
        all.into_iter()
            .filter(|it| it["kind"] == "compromised_not_revoked")
            .collect::<Vec<_>>()
    };
    let found = all().await;
    let [one] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        (&one["severity"], &one["answer"], &one["matter"]),
        (&json!("critical"), &json!("revoke"), &json!("2 not revoked"))
    );
    let answers: Vec<&Value> = one["answer_for"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(answers, [&ids[3].id, &ids[1].id]);

    // In lists they are what they are, and found by that word.
    let (_, list) = it.get("/api/v1/certs?filter=status:leaked").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 3, "{list}");

    // A revoked one, and so one whose revocation is asked for, is told no more.
    for id in [&ids[1].id, &ids[3].id] {
        let revoke = format!("/api/v1/certs/{id}/revoke");
        assert_eq!(it.post(&revoke, r#"{"reason":"keyCompromise"}"#).await.0, 202);
    }
    assert!(all().await.is_empty());
}

/// A plan says what would be done, and no job is taken for a banned agent, nor a request made where one is under way.
#[tokio::test]
async fn a_plan_counts_the_hosts_that_take_part_and_names_those_that_do_not() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let old = certificates::existing(&mut tx, &it.cert).await.unwrap();
    let other = certificates::insert(&mut tx, &certificate(8, 60)).await.unwrap();
    let mut hosts = vec![it.agent.clone()];
    for name in ["web-02", "web-03"] {
        hosts.push(agents::insert(&mut tx, &enrol(name), 60).await.unwrap().id);
    }
    for id in &hosts {
        installations::expect(&mut tx, id, "/srv/tls/a.pem", &old)
            .await
            .unwrap();
    }
    installations::expect(&mut tx, &hosts[2], "/srv/tls/b.pem", &other)
        .await
        .unwrap();
    for id in &hosts {
        checkin::check_in(&mut tx, id, &report(&[("/srv/tls/a.pem", 1, 1)]))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let reads = Reads {
        hosts: None,
        known: KnownAgents::default(),
        api: ApiReader::new(&it.base, Some(Secret::new(it.operator.clone()))).unwrap(),
        vault: None,
        vault_nodes: Vec::new(),
        clock: it.clock.clone(),
        pki_mount: String::new(),
        pki_test_role: String::new(),
    };
    let reissue = actions::find("reissue").unwrap();
    let on: Vec<Target> = [&old, &other]
        .iter()
        .map(|it| Target {
            kind: EntityKind::Certificate,
            id: it.id.clone(),
            version: it.version,
            name: it.name().to_owned(),
            status: "active".to_owned(),
        })
        .collect();
    let plan = async || {
        let plan = reissue.plan(on.clone(), Inputs::new(), &reads).await.unwrap();
        let way = plan.in_the_way.join(" ");
        // The confirmation goes by what is counted.
        assert!(
            plan.changes[0].contains(&format!("{} hosts reload.", plan.reach().hosts)),
            "{:?}",
            plan.changes
        );
        (plan.reach().hosts, plan.by_name[0].clone(), way)
    };
    let (n, line, way) = plan().await;
    assert!(
        n == 3 && line.contains("web-02") && !way.contains("Not reached"),
        "{line}\n{way}"
    );

    let (status, reply) = it.post(&format!("/api/v1/agents/{}/ban", hosts[1]), "").await;
    assert_eq!(status, 200, "{reply}");
    let (n, line, way) = plan().await;
    assert!(n == 2 && !line.contains("web-02"), "{line}");
    assert!(
        way.contains("Not reached: web-02 is banned and keeps what is there"),
        "{way}"
    );

    let (status, reply) = it.post(&format!("/api/v1/certs/{}/reissue", old.id), "").await;
    assert_eq!(status, 202, "{reply}");
    let made = reply["requests"].as_array().unwrap();
    assert_eq!(made.len(), 2, "{reply}");
    let first = made
        .iter()
        .find(|request| request["agent_id"] == it.agent.as_str());
    let cancel = format!(
        "/api/v1/requests/{}/cancel",
        first.unwrap()["id"].as_str().unwrap()
    );
    assert_eq!(it.post(&cancel, "").await.0, 200);
    let (n, line, way) = plan().await;
    assert!(
        n == 2 && line.contains("web-01") && !line.contains("web-03"),
        "{line}"
    );
    assert!(way.contains("on web-03 a request is under way already"), "{way}");
}
