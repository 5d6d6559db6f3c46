//! Changes that carry a run's id are that run's, and a run's claims came about.

use chrono::Duration;
use cmp_console::domain::certificate::Certificate;
use cmp_console::store::{
    certificates, compromise, holders, installations, issuance, job_end, jobs, requests, revocation,
};
use cmp_console::wire::agents::{AgentWork, JobResult};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Server, certificate};

const PLACE: &str = "/srv/tls/a.pem";
const DONE: &str = r#"{"outcome":"done","note":"all proven"}"#;

impl Server {
    /// Begins a run with one step for each of its things.
    async fn begin(&self, id: &str, action: &str, things: &[&str]) {
        let targets: Vec<Value> = things.iter().map(|id| json!({"id": id})).collect();
        let steps: Vec<Value> = (0..things.len())
            .map(|n| json!({"step": action, "target": n}))
            .collect();
        let body = json!({"id": id, "action": action, "entity_type": "certificate", "entity_ids": things,
            "plan": {"run_id": id, "action": action, "targets": targets, "steps": steps}});
        let (status, reply) = self.post("/api/v1/runs", &body.to_string()).await;
        assert_eq!(status, 201, "{reply}");
    }

    async fn under(&self, key: &str, path: &str, body: &str) -> (StatusCode, Value) {
        let path = format!("/api/v1/{path}");
        self.call(Method::POST, &path, &self.operator, body, Some(key))
            .await
    }

    /// The end as done: its status, and the sentence of a refusal.
    async fn done(&self, run: &str) -> (u16, String) {
        let (status, reply) = self.post(&format!("/api/v1/runs/{run}/end"), DONE).await;
        // By the code a program knows that it may say it again.
        let is_early = reply["title"]
            .as_str()
            .is_some_and(|why| why.contains("still under way"));
        assert_eq!(reply["code"] == "not_yet", is_early, "{reply}");
        (
            status.as_u16(),
            reply["title"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// Another certificate whose key the agent holds.
    async fn held(&self, n: u32) -> Certificate {
        let mut tx = self.store.begin().await.unwrap();
        let new = certificates::insert(&mut tx, &certificate(n, 60)).await.unwrap();
        holders::add(&mut tx, &self.agent, &new.spki_sha256)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        new
    }

    /// The certificate is expected at the place.
    async fn expect_here(&self) {
        let mut tx = self.store.begin().await.unwrap();
        let which = certificates::existing(&mut tx, &self.cert).await.unwrap();
        installations::expect(&mut tx, &self.agent, PLACE, &which)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Issues the certificate `n` for a request, and gives the agent's job.
    async fn issue(&self, request: &str, n: u32) -> String {
        let new = certificate(n, 60);
        let mut tx = self.store.begin().await.unwrap();
        requests::set_csr(&mut tx, request, "csr", &new.spki_sha256, "ecdsa-p256")
            .await
            .unwrap();
        let begun =
            cmp_console::store::claims::begin_issue(&mut tx, request, "w1", Duration::seconds(30)).await;
        begun.unwrap().unwrap();
        issuance::complete_issue(&mut tx, request, &new).await.unwrap();
        let waiting = jobs::for_agent(&mut tx, &self.agent).await.unwrap();
        tx.commit().await.unwrap();
        let install = waiting
            .into_iter()
            .find(|job| matches!(job.work, AgentWork::Install { .. }));
        install.unwrap().id
    }

    async fn end_job(&self, job: &str, result: &JobResult) {
        let mut tx = self.store.begin().await.unwrap();
        job_end::end(&mut tx, &self.agent, job, result).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_change_that_the_plan_has_not_got_carries_no_runs_id() {
    let Some(it) = Server::start().await else { return };
    it.begin("run_1", "reissue", &[&it.cert]).await;
    let (own, other) = (
        format!("certs/{}/reissue", it.cert),
        format!("certs/{}/reissue", it.foreign_cert),
    );
    let before = it.facts().await;
    for (path, body, says) in [
        (&other, "", "is not about"),
        (
            &format!("certs/{}/revoke", it.cert),
            r#"{"reason":"superseded"}"#,
            "is no change of its plan",
        ),
        (
            &format!("agents/{}/ban", it.agent),
            "",
            "is no change of its plan",
        ),
    ] {
        let (status, problem) = it.under("run_1/7", path, body).await;
        assert_eq!(status, 409, "{path}: {problem}");
        assert!(problem["title"].as_str().unwrap().contains(says), "{problem}");
        let row = it.rows().await.pop().unwrap();
        assert_eq!((row.outcome.word(), row.run_id), ("refused", None));
    }
    assert_eq!(it.facts().await, before);

    let first = it.under("run_1/0", &own, "").await;
    assert_eq!(first.0, 202, "{}", first.1);
    let end = r#"{"outcome":"unknown"}"#;
    assert_eq!(it.post("/api/v1/runs/run_1/end", end).await.0, 200);
    let n_rows = it.rows().await.len();
    assert_eq!(it.under("run_1/0", &own, "").await, first, "its answer was lost");
    assert_eq!(it.rows().await.len(), n_rows);
    let (status, problem) = it.under("run_1/1", &own, "").await;
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["title"].as_str().unwrap().contains("has ended"),
        "{problem}"
    );
    assert_eq!(it.rows().await.pop().unwrap().run_id, None);
}

#[tokio::test]
async fn an_installation_under_a_runs_key_is_one_of_its_certificates() {
    let Some(it) = Server::start().await else { return };
    let other = it.held(4).await;
    it.begin("run_1", "install", &[&it.cert]).await;
    let path = format!("agents/{}/install", it.agent);
    let body = |id: &str| json!({"cert_id": id, "path": PLACE}).to_string();
    let before = it.facts().await;
    let (status, problem) = it.under("run_1/0", &path, &body(&other.id)).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(it.rows().await.pop().unwrap().run_id, None);
    assert_eq!(it.facts().await, before);

    let (status, reply) = it.under("run_1/1", &path, &body(&it.cert)).await;
    assert_eq!(status, 202, "{reply}");
    let job = reply["job_id"].as_str().unwrap();
    let n_rows = it.rows().await.len();
    let (status, why) = it.done("run_1").await;
    assert!(status == 409 && why.contains("still under way"), "{why}");
    assert_eq!(it.rows().await.len(), n_rows, "an answer for now leaves no row");
    it.end_job(job, &JobResult::withdrawn("no reload")).await;
    let (status, why) = it.done("run_1").await;
    assert!(status == 409 && why.contains("failed: "), "{why}");
    // Tried again it comes about.
    let (_, reply) = it.under("run_1/2", &path, &body(&it.cert)).await;
    it.end_job(reply["job_id"].as_str().unwrap(), &JobResult::done())
        .await;
    assert_eq!(it.done("run_1").await.0, 200);
}

#[tokio::test]
async fn a_reissue_is_done_when_it_is_issued_and_installed() {
    let Some(it) = Server::start().await else { return };
    it.expect_here().await;
    let path = format!("certs/{}/reissue", it.cert);
    it.begin("run_1", "reissue", &[&it.cert]).await;
    let (_, reply) = it.under("run_1/0", &path, "").await;
    let request = reply["requests"][0]["id"].as_str().unwrap().to_owned();
    let (status, why) = it.done("run_1").await;
    assert!(status == 409 && why.contains("still under way"), "{why}");
    let cancel = format!("/api/v1/requests/{request}/cancel");
    assert_eq!(it.post(&cancel, r#"{"comment":"nobody wants it"}"#).await.0, 200);
    let (status, why) = it.done("run_1").await;
    assert!(status == 409 && why.contains("is cancelled"), "{why}");
    let end = r#"{"outcome":"failed"}"#;
    assert_eq!(it.post("/api/v1/runs/run_1/end", end).await.0, 200);

    it.clock.set(it.clock.now() + Duration::seconds(1));
    it.begin("run_2", "reissue", &[&it.cert]).await;
    let (_, reply) = it.under("run_2/0", &path, "").await;
    let request = reply["requests"][0]["id"].as_str().unwrap().to_owned();
    let job = it.issue(&request, 5).await;
    let (status, why) = it.done("run_2").await;
    assert!(status == 409 && why.contains("still under way"), "{why}");
    it.end_job(&job, &JobResult::withdrawn("no reload")).await;
    let (status, why) = it.done("run_2").await;
    assert!(
        status == 409 && why.contains("installation of its certificate failed"),
        "{why}"
    );
    // Somebody installs it after all.
    let (_, detail) = it.get(&format!("/api/v1/requests/{request}")).await;
    let new = detail["certificate_id"].as_str().unwrap();
    let mut tx = it.store.begin().await.unwrap();
    let spki = certificate(5, 60).spki_sha256;
    holders::add(&mut tx, &it.agent, &spki).await.unwrap();
    tx.commit().await.unwrap();
    it.clock.set(it.clock.now() + Duration::seconds(1));
    let install = json!({"cert_id": new, "path": PLACE}).to_string();
    let (status, reply) = it
        .post(&format!("/api/v1/agents/{}/install", it.agent), &install)
        .await;
    assert_eq!(status, 202, "{reply}");
    it.end_job(reply["job_id"].as_str().unwrap(), &JobResult::done())
        .await;
    assert_eq!(it.done("run_2").await, (200, String::new()));
}

#[tokio::test]
async fn a_revocation_is_done_when_the_ca_has_revoked() {
    let Some(it) = Server::start().await else { return };
    let path = format!("certs/{}/revoke", it.cert);
    let body = r#"{"reason":"superseded"}"#;
    it.begin("run_1", "revoke", &[&it.cert]).await;
    let (_, reply) = it.under("run_1/0", &path, body).await;
    let (status, why) = it.done("run_1").await;
    assert!(status == 409 && why.contains("still under way"), "{why}");
    let mut tx = it.store.begin().await.unwrap();
    let job = jobs::read(&mut tx, reply["job_id"].as_str().unwrap()).await;
    revocation::fail_revocation(&mut tx, &job.unwrap().unwrap(), "unknown serial")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let (status, why) = it.done("run_1").await;
    assert!(status == 409 && why.contains("unknown serial"), "{why}");

    it.clock.set(it.clock.now() + Duration::seconds(1));
    let (_, reply) = it.under("run_1/1", &path, body).await;
    let mut tx = it.store.begin().await.unwrap();
    let job = jobs::read(&mut tx, reply["job_id"].as_str().unwrap()).await;
    let now = it.clock.now();
    revocation::accept_revocation(&mut tx, &job.unwrap().unwrap(), now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(it.done("run_1").await.0, 200);
}

#[tokio::test]
async fn a_step_is_proven_where_its_thing_was_changed() {
    let Some(it) = Server::start().await else { return };
    for (run, action) in [("run_1", "reissue"), ("run_2", "install")] {
        it.begin(run, action, &[&it.foreign_cert, &it.cert]).await;
        let step = async |index: usize| {
            let body = format!(r#"{{"index":{index},"name":"{action}","status":"proven"}}"#);
            it.post(&format!("/api/v1/runs/{run}/steps"), &body).await
        };
        for index in [0, 1] {
            let (status, problem) = step(index).await;
            assert_eq!(status, 409, "{problem}");
        }
        let (path, body) = match action {
            "reissue" => (format!("certs/{}/reissue", it.cert), String::new()),
            _ => (
                format!("agents/{}/install", it.agent),
                json!({"cert_id": it.cert, "path": PLACE}).to_string(),
            ),
        };
        let (status, reply) = it.under(&format!("{run}/1"), &path, &body).await;
        assert_eq!(status, 202, "{reply}");
        assert_eq!(step(0).await.0, 409);
        assert_eq!(step(1).await.0, 200);
        let (_, record) = it.get(&format!("/api/v1/runs/{run}")).await;
        assert_eq!(record["steps"].as_array().map(Vec::len), Some(1), "{record}");
    }
}

/// A run that changed its thing doesn't end as one that was refused, or came to nothing.
#[tokio::test]
async fn what_was_revoked_is_not_ended_as_refused_or_failed() {
    let Some(it) = Server::start().await else { return };
    let path = format!("certs/{}/revoke", it.cert);
    let body = r#"{"reason":"superseded"}"#;
    it.begin("run_1", "revoke", &[&it.cert]).await;
    let says = async |what: &str, body: &str| it.post(&format!("/api/v1/runs/run_1/{what}"), body).await;
    let claims = [
        (
            "steps",
            r#"{"index":0,"name":"revoke","status":"refused","note":"the CA said no; nothing was changed"}"#,
        ),
        ("steps", r#"{"index":0,"name":"revoke","status":"failed"}"#),
        (
            "end",
            r#"{"outcome":"refused","note":"the CA said no; nothing was changed"}"#,
        ),
        (
            "end",
            r#"{"outcome":"failed","note":"the CA said no; nothing was changed"}"#,
        ),
    ];
    let (_, reply) = it.under("run_1/0", &path, body).await;
    let job = reply["job_id"].as_str().unwrap().to_owned();
    for (what, claim) in claims {
        let (status, problem) = says(what, claim).await;
        assert_eq!(status, 409, "{claim}: {problem}");
        let title = problem["title"].as_str().unwrap();
        assert!(title.contains("is under way"), "{title}");
    }
    let mut tx = it.store.begin().await.unwrap();
    let job = jobs::read(&mut tx, &job).await.unwrap().unwrap();
    revocation::accept_revocation(&mut tx, &job, it.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for (what, claim) in claims {
        let (status, problem) = says(what, claim).await;
        assert_eq!(status, 409, "{claim}: {problem}");
        assert!(
            problem["title"].as_str().unwrap().contains("came about"),
            "{problem}"
        );
    }
    let (_, record) = it.get("/api/v1/runs/run_1").await;
    assert_eq!(
        (&record["outcome"], &record["steps"]),
        (&json!("asked"), &Value::Null),
        "{record}"
    );
    // Whoever doesn't know it says so.
    let unknown = r#"{"index":0,"name":"revoke","status":"unknown"}"#;
    assert_eq!(says("steps", unknown).await.0, 200);
    assert_eq!(says("end", r#"{"outcome":"unknown"}"#).await.0, 200);
    assert_eq!(says("end", claims[2].1).await.0, 409);
    assert_eq!(it.done("run_1").await.0, 200);
}

#[tokio::test]
async fn what_the_ca_refused_to_revoke_ends_as_failed_and_what_some_came_of_says_so() {
    let Some(it) = Server::start().await else { return };
    let body = r#"{"reason":"superseded"}"#;
    let other = it.held(4).await;
    it.begin("run_1", "revoke", &[&it.cert, &other.id]).await;
    for (n, (certificate, is_refused)) in [(&it.cert, true), (&other.id, false)].into_iter().enumerate() {
        let path = format!("certs/{certificate}/revoke");
        let (_, reply) = it.under(&format!("run_1/{n}"), &path, body).await;
        let mut tx = it.store.begin().await.unwrap();
        let job = jobs::read(&mut tx, reply["job_id"].as_str().unwrap()).await;
        let job = job.unwrap().unwrap();
        match is_refused {
            true => revocation::fail_revocation(&mut tx, &job, "unknown serial")
                .await
                .unwrap(),
            false => {
                revocation::accept_revocation(&mut tx, &job, it.clock.now())
                    .await
                    .unwrap();
            }
        }
        tx.commit().await.unwrap();
        let step = format!(r#"{{"index":{n},"name":"revoke","status":"failed"}}"#);
        let (status, problem) = it.post("/api/v1/runs/run_1/steps", &step).await;
        assert_eq!(status, if is_refused { 200 } else { 409 }, "{problem}");
    }
    let end = r#"{"outcome":"failed","note":"the CA said no; nothing was changed"}"#;
    let (status, run) = it.post("/api/v1/runs/run_1/end", end).await;
    assert_eq!(status, 200, "{run}");
    assert_eq!(
        run["note"],
        "the CA said no; nothing was changed; on record as changed: 1 of 2"
    );
    let (status, again) = it.post("/api/v1/runs/run_1/end", end).await;
    assert_eq!((status, &again["note"]), (StatusCode::OK, &run["note"]));
}

#[tokio::test]
async fn what_was_installed_may_fail_where_it_is_looked_at_and_was_not_refused() {
    let Some(it) = Server::start().await else { return };
    it.begin("run_1", "install", &[&it.cert]).await;
    let path = format!("agents/{}/install", it.agent);
    let body = json!({"cert_id": it.cert, "path": PLACE}).to_string();
    let (_, reply) = it.under("run_1/0", &path, &body).await;
    let end = async |outcome: &str| {
        let body = json!({"outcome": outcome, "note": "the old one is served"}).to_string();
        it.post("/api/v1/runs/run_1/end", &body).await
    };
    assert_eq!(end("refused").await.0, 409);
    let (status, problem) = end("failed").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("not_yet"))
    );
    it.end_job(reply["job_id"].as_str().unwrap(), &JobResult::done())
        .await;
    let step = r#"{"index":0,"name":"install","status":"failed"}"#;
    assert_eq!(it.post("/api/v1/runs/run_1/steps", step).await.0, 409);
    assert_eq!(end("refused").await.0, 409);
    let (status, run) = end("failed").await;
    assert_eq!(status, 200, "{run}");
    assert_eq!(
        run["note"],
        "the old one is served; the change itself is on record"
    );
}

#[tokio::test]
async fn what_failed_at_another_path_says_nothing_of_an_installation() {
    let Some(it) = Server::start().await else { return };
    let path = format!("agents/{}/install", it.agent);
    let other = PLACE.replace(".pem", "-2.pem");
    let mut jobs = Vec::new();
    for (run, place) in [("run_1", PLACE), ("run_2", other.as_str())] {
        it.begin(run, "install", &[&it.cert]).await;
        let body = json!({"cert_id": it.cert, "path": place}).to_string();
        let (status, reply) = it.under(&format!("{run}/0"), &path, &body).await;
        assert_eq!(status, 202, "{reply}");
        jobs.push(reply["job_id"].as_str().unwrap().to_owned());
    }
    it.end_job(&jobs[0], &JobResult::done()).await;
    it.end_job(&jobs[1], &JobResult::withdrawn("no reload")).await;
    assert_eq!(it.done("run_1").await.0, 200);
    assert_eq!(it.done("run_2").await.0, 409);
}

#[tokio::test]
async fn a_certificate_whose_key_is_compromised_is_not_installed() {
    let Some(it) = Server::start().await else { return };
    let leaked = it.held(4).await;
    let mut tx = it.store.begin().await.unwrap();
    compromise::mark(&mut tx, &leaked.spki_sha256).await.unwrap();
    tx.commit().await.unwrap();
    let body = json!({"cert_id": leaked.id, "path": PLACE}).to_string();
    let path = format!("/api/v1/agents/{}/install", it.agent);
    let (status, problem) = it.post(&path, &body).await;
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["title"]
            .as_str()
            .unwrap()
            .contains("its key is compromised"),
        "{problem}"
    );
    let mut conn = it.store.read().await.unwrap();
    assert!(
        installations::by_agent(&mut conn, &it.agent)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn nobody_tells_the_platform_that_a_list_has_a_serial() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/certs/{}/crl-seen", it.cert);
    let (status, _) = it.post(&path, r#"{"in_crl_at":"2026-06-01T00:00:00Z"}"#).await;
    assert_eq!(status, 404);
}
