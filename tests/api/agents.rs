//! An agent's life: its key, its certificate, its installation, and what it may not do.

use std::time::Duration;

use cmp_console::store::{certificates, compromise, installations};
use cmp_console::store::{claims::begin_issue, issuance::complete_issue};
use cmp_console::wire::agents::{AgentWork, ReportReply};
use cmp_console::wire::requests::CsrBody;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use reqwest::Method;
use serde_json::Value;

use super::support::{Server, certificate};

fn csr(name: &str) -> String {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let csr_pem = params.serialize_request(&key).unwrap().pem().unwrap();
    serde_json::to_string(&CsrBody { csr_pem }).unwrap()
}

impl Server {
    async fn as_agent(&self, path: &str, body: &str) -> (reqwest::StatusCode, Value) {
        self.call(Method::POST, path, &self.agent_token, body, None).await
    }

    async fn report(&self, installations: &str) -> ReportReply {
        let body = format!(
            r#"{{"agent_version":"1","address":"http://127.0.0.1:1","install_dirs":["/srv/tls"],
            "installations":{installations},"keys":["{}"]}}"#,
            certificate(1, 0).spki_sha256
        );
        let (status, reply) = self
            .as_agent(&format!("/api/v1/agents/{}/report", self.agent), &body)
            .await;
        assert_eq!(status, 200, "{reply}");
        serde_json::from_value(reply).unwrap()
    }

    async fn was_woken(&self) {
        let woken = async {
            while self.woken.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(2), woken).await.unwrap();
    }
}

#[tokio::test]
async fn from_the_wish_to_the_installation() {
    let Some(it) = Server::start().await else { return };
    let body = format!(
        r#"{{"common_name":"new.example.com","agent_id":"{}","install_path":"/srv/tls/new.pem"}}"#,
        it.agent
    );
    let (status, reply) = it.post("/api/v1/certs", &body).await;
    assert_eq!(status, 202, "{reply}");
    let id = reply["requests"][0]["id"].as_str().unwrap().to_owned();
    it.was_woken().await;

    let jobs = it.report("[]").await.jobs;
    assert!(matches!(&jobs[0].work, AgentWork::MakeKey { request_id, .. } if *request_id == id));
    let path = format!("/api/v1/requests/{id}/csr");
    assert_eq!(it.as_agent(&path, &csr("other.example.com")).await.0, 422);
    assert_eq!(it.as_agent(&path, r#"{"csr_pem": "x"}"#).await.0, 400);
    assert_eq!(it.post(&path, &csr("new.example.com")).await.0, 403);
    let mine = csr("new.example.com");
    let (status, request) = it.as_agent(&path, &mine).await;
    assert_eq!(status, 200, "{request}");
    assert_eq!(request["waiting_on"], "ca");
    assert_eq!(it.as_agent(&path, &mine).await.0, 200);
    assert_eq!(it.as_agent(&path, &csr("new.example.com")).await.0, 409);
    assert!(it.report("[]").await.jobs.is_empty());

    let mut tx = it.store.begin().await.unwrap();
    let issuing = begin_issue(&mut tx, &id, "w", chrono::Duration::seconds(30))
        .await
        .unwrap()
        .unwrap();
    let mut new = certificate(9, 90);
    new.spki_sha256 = issuing.spki_sha256;
    let issued = complete_issue(&mut tx, &id, &new).await.unwrap();
    tx.commit().await.unwrap();

    let jobs = it.report("[]").await.jobs;
    assert!(
        matches!(&jobs[0].work, AgentWork::Install { certificate_id, .. } if *certificate_id == issued.id)
    );
    let path = format!("/api/v1/agents/{}/jobs/{}", it.agent, jobs[0].id);
    let there = format!(
        r#"{{"path":"/srv/tls/new.pem","on_disk_sha256":"{0}","served_sha256":"{0}"}}"#,
        issued.fingerprint_sha256
    );
    // The row has the job's place, whatever its result calls it.
    let result = format!(
        r#"{{"done":true,"installation":{}}}"#,
        there.replace("/srv/tls/new.pem", "/srv/tls/other.pem")
    );
    let n_rows = it.rows().await.len();
    assert_eq!(it.as_agent(&path, &result).await.1["status"], "done");
    assert_eq!(it.as_agent(&path, &result).await.1["status"], "done");
    let rows = it.rows().await;
    assert_eq!(rows.len(), n_rows + 1, "said twice, recorded once");
    assert_eq!(rows[n_rows].action, "install");
    let place = format!("on agent {} at /srv/tls/new.pem", it.agent);
    assert_eq!(rows[n_rows].detail, Some(place));
    assert!(it.report(&format!("[{there}]")).await.jobs.is_empty());
    let (_, detail) = it.get(&format!("/api/v1/certs/{}", issued.id)).await;
    assert_eq!(
        detail["installations"][0]["served_sha256"],
        issued.fingerprint_sha256
    );
}

#[tokio::test]
async fn a_ban_takes_back_what_was_asked_for_the_agent_and_says_so() {
    let Some(it) = Server::start().await else { return };
    let body = format!(
        r#"{{"common_name":"new.example.com","agent_id":"{}","install_path":"/srv/tls/new.pem"}}"#,
        it.agent
    );
    let id = it.post("/api/v1/certs", &body).await.1["requests"][0]["id"].clone();
    let path = format!("/api/v1/requests/{}/csr", id.as_str().unwrap());
    let (status, request) = it.as_agent(&path, &csr("new.example.com")).await;
    assert_eq!((status.as_u16(), &request["waiting_on"]), (200, &"ca".into()));

    let path = format!("/api/v1/agents/{}/ban", it.agent);
    let (status, banned) = it.post(&path, r#"{"comment":"stolen"}"#).await;
    assert_eq!(status, 200, "{banned}");
    assert_eq!(banned["status"], "banned");
    assert_eq!(banned["cancelled"], serde_json::json!([id]));
    assert_eq!(banned["looked_for"], serde_json::json!([]));
    let id = id.as_str().unwrap();
    let (_, request) = it.get(&format!("/api/v1/requests/{id}")).await;
    assert_eq!(request["status"], "cancelled");
    let rows = it.rows().await;
    let [.., cancel, ban] = rows.as_slice() else {
        panic!()
    };
    assert_eq!(
        (cancel.action.as_str(), cancel.entity_id.as_str()),
        ("cancel", id)
    );
    assert_eq!(cancel.reason.as_deref(), Some("stolen"));
    assert_eq!(ban.action, "ban");
    assert!(ban.detail.as_ref().unwrap().contains(id), "{ban:?}");
}

#[tokio::test]
async fn what_the_agent_would_refuse_to_install_is_not_asked_for() {
    let Some(it) = Server::start().await else { return };
    let long = format!("{}.pem", "n".repeat(300));
    for name in ["x.key", ".cmp/x.pem", "x.chain.pem", ".x.pem", long.as_str()] {
        let body = serde_json::json!({"common_name": "new.example.com", "agent_id": it.agent,
            "install_path": format!("/srv/tls/{name}")});
        let (status, problem) = it.post("/api/v1/certs", &body.to_string()).await;
        assert_eq!(status, 422, "{problem}");
    }
    assert_eq!(it.get("/api/v1/requests").await.1["total"], 0);
}

#[tokio::test]
async fn an_agent_acts_for_itself_only() {
    let Some(it) = Server::start().await else { return };
    let (status, _) = it.as_agent("/api/v1/agents/agt_other/report", "{}").await;
    assert_eq!(status, 403);
    let (status, _) = it
        .as_agent("/api/v1/agents/agt_other/jobs/job_1", r#"{"done":true}"#)
        .await;
    assert_eq!(status, 403);
    let path = format!("/api/v1/agents/{}/jobs/job_none", it.agent);
    assert_eq!(it.as_agent(&path, r#"{"done":true}"#).await.0, 404);
    assert_eq!(
        it.post(&format!("/api/v1/agents/{}/ban", it.agent), "").await.0,
        200
    );
    let (status, problem) = it
        .as_agent(&format!("/api/v1/agents/{}/report", it.agent), "{}")
        .await;
    assert_eq!(status, 401, "{problem}");
    let (status, problem) = it.post(&format!("/api/v1/certs/{}/reissue", it.cert), "").await;
    assert_eq!(status, 422);
    assert!(
        problem["title"].as_str().unwrap().contains("only banned agents"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_check_in_tells_what_came_of_it() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/agents/{}/checkin", it.agent);
    let (status, reply) = it.post(&path, "").await;
    assert_eq!(status, 200);
    assert_eq!(reply["reached"], true);
    let gone = super::support::enrol("gone");
    let gone = cmp_console::wire::agents::EnrolBody {
        address: "http://127.0.0.1:9".to_owned(),
        ..gone
    };
    let mut tx = it.store.begin().await.unwrap();
    let gone = cmp_console::store::agents::insert(&mut tx, &gone, 60)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let (status, reply) = it.post(&format!("/api/v1/agents/{}/checkin", gone.id), "").await;
    assert_eq!(status, 200);
    assert_eq!(reply["failed_step"], "connect");
    assert_eq!(reply["problem"]["what"], "connection refused");
    let outcomes: Vec<_> = it.rows().await.iter().map(|row| row.outcome.word()).collect();
    assert_eq!(outcomes, ["asked", "done", "asked", "failed"]);
}

/// As after the agent's state was lost: it knows of no path until it is told, and the files are intact.
#[tokio::test]
async fn what_a_report_leaves_out_stays_as_it_was_seen_with_its_age_and_is_asked_for() {
    let Some(it) = Server::start().await else { return };
    let path = "/srv/tls/a.pem";
    let mut tx = it.store.begin().await.unwrap();
    let leaked = certificates::existing(&mut tx, &it.cert).await.unwrap();
    installations::expect(&mut tx, &it.agent, path, &leaked)
        .await
        .unwrap();
    compromise::mark(&mut tx, &leaked.spki_sha256).await.unwrap();
    tx.commit().await.unwrap();
    let there = format!(
        r#"[{{"path":"{path}","on_disk_sha256":"{0}","served_sha256":"{0}"}}]"#,
        leaked.fingerprint_sha256
    );
    let finding = async || {
        let (_, reply) = it.get("/api/v1/findings").await;
        let all = reply["findings"].as_array().unwrap();
        let is_leak = |it: &&Value| it["kind"] == "compromised_key_in_use";
        all.iter()
            .find(is_leak)
            .cloned()
            .unwrap_or_else(|| panic!("{reply}"))
    };
    assert!(
        it.report("[]").await.look.is_empty(),
        "nobody has looked there yet"
    );
    assert!(it.report(&there).await.look.is_empty());
    let before = finding().await;
    it.clock.set(it.clock.now() + chrono::Duration::seconds(9));
    assert_eq!(it.report("[]").await.look, [path]);
    let after = finding().await;
    assert_eq!(after["takes_down"], before["takes_down"]);
    assert_eq!(after["severity"], before["severity"]);
    let what = after["what"].as_str().unwrap();
    assert!(what.contains("the agent hasn't looked there since"), "{what}");
    let (_, detail) = it.get(&format!("/api/v1/certs/{}", it.cert)).await;
    let place = &detail["installations"][0];
    assert_eq!(place["served_sha256"], leaked.fingerprint_sha256, "{place}");
    assert_eq!(
        (&place["is_left_out"], &place["error"]),
        (&true.into(), &Value::Null)
    );

    it.clock.set(it.clock.now() + chrono::Duration::seconds(9));
    assert!(it.report(&there).await.look.is_empty());
    assert_eq!(finding().await["what"], before["what"]);
}
