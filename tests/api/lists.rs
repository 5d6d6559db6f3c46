//! No list is cut by an order other than urgency, nothing critical is cut, and what is left out is counted.

use chrono::Duration;
use cmp_console::clients::api::ApiReader;
use cmp_console::domain::finding::FindingKind;
use cmp_console::domain::secret::Secret;
use cmp_console::store::{agents, certificates, compromise, installations};
use serde_json::Value;

use super::support::{Server, certificate, enrol, noon};

impl Server {
    /// `n` certificates from `first` on, each expected somewhere on the fixture's agent, `days` from their end.
    async fn in_use(&self, first: u32, n: u32, days: i64) -> Vec<String> {
        let mut tx = self.store.begin().await.unwrap();
        let mut ids = Vec::new();
        for n in first..first + n {
            let new = certificates::insert(&mut tx, &certificate(n, days))
                .await
                .unwrap();
            installations::expect(&mut tx, &self.agent, &format!("/srv/tls/{n}.pem"), &new)
                .await
                .unwrap();
            ids.push(new.id);
        }
        tx.commit().await.unwrap();
        ids
    }

    async fn reply(&self) -> Value {
        let (status, mut reply) = self.get("/api/v1/findings").await;
        assert_eq!(status, 200, "{reply}");
        // No worker runs here; `workers` is about that.
        let findings = reply["findings"].as_array_mut().unwrap();
        findings.retain(|it| it["kind"] != "nobody_works");
        reply
    }
}

fn kinds(reply: &Value) -> Vec<&str> {
    let findings = reply["findings"].as_array().unwrap().iter();
    findings.map(|it| it["kind"].as_str().unwrap()).collect()
}

fn count(reply: &Value, kind: &str) -> usize {
    kinds(reply).iter().filter(|it| **it == kind).count()
}

#[tokio::test]
async fn one_compromised_key_stands_above_a_crowd() {
    let Some(it) = Server::start().await else { return };
    it.in_use(10_000, 5_000, 20).await;
    let leaked = it.in_use(100, 1, 200).await.remove(0);
    let mut tx = it.store.begin().await.unwrap();
    for n in 0..2_000 {
        agents::insert(&mut tx, &enrol(&format!("quiet-{n}")), 60)
            .await
            .unwrap();
    }
    compromise::mark(&mut tx, &certificate(100, 200).spki_sha256)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    it.clock.set(noon() + Duration::minutes(4));
    let reply = it.reply().await;
    assert_eq!(reply["findings"][0]["kind"], "compromised_key_in_use");
    assert_eq!(reply["findings"][0]["entity_id"], leaked.as_str());
    let [ending, silent] = ["expiring_in_use", "agent_silent"].map(|kind| count(&reply, kind));
    let more = &reply["more"];
    // The fixture's agent never came either.
    assert_eq!(
        silent as i64 + more["agent_silent"]["warning"].as_i64().unwrap(),
        2_001
    );
    assert_eq!(
        ending as i64 + more["expiring_in_use"]["notice"].as_i64().unwrap(),
        5_000
    );
    assert_eq!(more["expiring_in_use"]["warning"], 0);
    assert!(kinds(&reply).len() < 1_100, "the answer has an end");
}

#[tokio::test]
async fn nothing_critical_is_cut() {
    let Some(it) = Server::start().await else { return };
    it.in_use(10_000, 520, -1).await;
    it.in_use(20_000, 600, 5).await;
    let reply = it.reply().await;
    assert_eq!(count(&reply, "expired_in_use"), 520);
    // 500 are told; that those left out are warnings is said.
    assert_eq!(count(&reply, "expiring_in_use"), 500);
    let more = serde_json::json!({"expiring_in_use": {"warning": 100, "notice": 0}});
    assert_eq!(reply["more"], more);
}

#[tokio::test]
async fn a_certificate_in_many_places_takes_nobodys_place() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let wide = certificates::insert(&mut tx, &certificate(50, 3)).await.unwrap();
    for n in 0..600 {
        let path = format!("/srv/tls/wide-{n}.pem");
        installations::expect(&mut tx, &it.agent, &path, &wide)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let last = it.in_use(60, 1, 4).await.remove(0);
    let reply = it.reply().await;
    let ids = reply["findings"].as_array().unwrap().iter();
    let ids: Vec<&str> = ids.map(|it| it["entity_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [wide.id.as_str(), last.as_str()]);
    assert_eq!(reply["more"], serde_json::json!({}));
}

#[tokio::test]
async fn each_agent_is_silent_by_its_own_interval() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    for n in 0..520 {
        agents::insert(&mut tx, &enrol(&format!("daily-{n}")), 86_400)
            .await
            .unwrap();
    }
    // A day later than the others, so that by the time of the last word alone it would be the last of all.
    it.clock.set(noon() + Duration::hours(20));
    let quiet = agents::insert(&mut tx, &enrol("every-minute"), 60).await.unwrap();
    tx.commit().await.unwrap();
    it.clock.set(noon() + Duration::hours(20) + Duration::minutes(30));
    let reply = it.reply().await;
    let silent = reply["findings"].as_array().unwrap().iter();
    let silent: Vec<&str> = silent.map(|it| it["subject"].as_str().unwrap()).collect();
    assert_eq!(silent, ["web-01", "every-minute"]);
    // The screen's pane asks for its first page in this order.
    let (_, page) = it.get("/api/v1/agents?sort=health&limit=2").await;
    assert_eq!(page["items"][1]["id"], quiet.id.as_str());
    assert_eq!(page["total"], 522);
}

#[tokio::test]
async fn what_an_agent_takes_down_is_counted_beyond_what_is_named() {
    let Some(it) = Server::start().await else { return };
    it.in_use(1_000, 45, 300).await;
    it.clock.set(noon() + Duration::minutes(4));
    let reply = it.reply().await;
    let finding = &reply["findings"][0];
    assert_eq!(finding["kind"], "agent_silent");
    assert_eq!(finding["takes_down"].as_array().unwrap().len(), 20);
    assert_eq!(finding["n_takes_down"], 45);
}

/// No worker runs here. A risk that is too large a number for the client would hide all findings.
#[tokio::test]
async fn a_missing_issuer_is_the_first_finding_for_the_console_too() {
    let Some(it) = Server::start().await else { return };
    it.in_use(10_000, 3, -1).await;
    // A platform that was just set up gives its workers time to come.
    it.clock.set(noon() + Duration::minutes(10));
    let reader = ApiReader::new(&it.base, Some(Secret::new(it.operator.clone()))).unwrap();
    let findings = reader.findings().await.unwrap().findings;
    assert_eq!(findings[0].kind, FindingKind::NobodyWorks, "{findings:#?}");
    assert!(findings.iter().any(|it| it.kind == FindingKind::ExpiredInUse));
}

/// Also where a list has none of the places that a sort of text is looked for in.
#[tokio::test]
async fn every_list_takes_every_sort_of_text() {
    let Some(it) = Server::start().await else { return };
    for list in ["certs", "agents", "requests", "keys", "audit", "runs"] {
        for text in [
            "abc",
            "a",
            "~abc",
            "0d1f",
            "run_01",
            "\"a b\"",
            "a.example.com",
            "a|b",
            "%25_",
        ] {
            for not in ["", "!"] {
                let (status, reply) = it.get(&format!("/api/v1/{list}?filter={not}{text}")).await;
                // The trail has no end: its rows aren't all read for letters in any distance.
                let is_taken = list != "audit" || !text.starts_with('~');
                let wanted = if is_taken { 200 } else { 400 };
                assert_eq!(status, wanted, "{list} {not}{text}: {reply}");
            }
        }
    }
}
