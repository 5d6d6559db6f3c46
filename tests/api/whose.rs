//! Whose a run is: what became of it is said by whoever began it.

use cmp_console::domain::audit::AuditRow;
use cmp_console::domain::canonical;
use cmp_console::domain::role::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::Server;

fn run(id: &str) -> Value {
    json!({"id": id, "action": "revoke", "entity_type": "certificate", "entity_ids": ["crt_1"],
        "plan": {"run_id": id, "action": "revoke", "targets": [{"id": "crt_1", "name": "ä", "version": 1}],
            "steps": [{"step": "revoke"}]}})
}

fn of_many(n: usize) -> Value {
    let ids: Vec<String> = (0..n).map(|n| format!("crt_{n}")).collect();
    let targets: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    json!({"id": "run_1", "action": "revoke", "entity_type": "certificate", "entity_ids": ids,
        "plan": {"run_id": "run_1", "action": "revoke", "targets": targets}})
}

#[tokio::test]
async fn a_list_of_runs_counts_their_things_and_names_the_first() {
    let Some(it) = Server::start().await else { return };
    assert_eq!(it.run(&of_many(5_000)).await.0, 201);
    let (_, list) = it.get("/api/v1/runs").await;
    let run = &list["items"][0];
    assert_eq!(
        (
            run["n_entities"].as_u64(),
            run["entity_ids"].as_array().map(Vec::len)
        ),
        (Some(5_000), Some(5))
    );
    assert!(list.to_string().len() < 2_000, "{}", list.to_string().len());
    let (_, whole) = it.get("/api/v1/runs/run_1").await;
    assert_eq!(whole["entity_ids"].as_array().map(Vec::len), Some(5_000));
}

impl Server {
    async fn run(&self, body: &Value) -> (StatusCode, Value) {
        self.post("/api/v1/runs", &body.to_string()).await
    }
}

#[tokio::test]
async fn another_token_writes_neither_steps_nor_end() {
    let Some(it) = Server::start().await else { return };
    assert_eq!(it.run(&run("run_1")).await.0, 201);
    // Of the same name, even.
    let other = it.token("ops", Role::Operator, None, None).await;
    let step = r#"{"index":0,"name":"revoke","status":"unknown"}"#;
    for (path, body) in [
        ("/api/v1/runs/run_1/steps", step),
        (
            "/api/v1/runs/run_1/end",
            r#"{"outcome":"failed","note":"not done"}"#,
        ),
    ] {
        let (status, problem) = it.call(Method::POST, path, &other, body, None).await;
        assert_eq!(status, 403, "{problem}");
        assert_eq!(it.post(path, body).await.0, 200);
    }
    let body = run("run_1").to_string();
    assert_eq!(
        it.call(Method::POST, "/api/v1/runs", &other, &body, None).await.0,
        403
    );
}

#[tokio::test]
async fn what_another_is_refused_stands_in_no_row_of_a_run() {
    let Some(it) = Server::start().await else { return };
    assert_eq!(it.run(&run("run_1")).await.0, 201);
    let other = it.token("kim", Role::Operator, None, None).await;
    let n_own = it.rows().await.len();
    let step = r#"{"index":0,"name":"revoke","status":"proven"}"#;
    let end = r#"{"outcome":"done"}"#;
    let (same, bad) = (run("run_1").to_string(), r#"{"id":"run_2"}"#);
    for (path, body) in [
        ("/api/v1/runs", same.as_str()),
        ("/api/v1/runs", bad),
        ("/api/v1/runs/run_1/steps", step),
        ("/api/v1/runs/run_1/steps", "{"),
        ("/api/v1/runs/run_1/end", end),
        ("/api/v1/runs/run_1/end", "{"),
        ("/api/v1/runs/run_none/end", end),
    ] {
        for key in [None, Some("run_1/7")] {
            let (status, problem) = it.call(Method::POST, path, &other, body, key).await;
            assert!(status.is_client_error(), "{path} {problem}");
        }
        // Whoever may not change anything is refused before anything is looked up.
        it.call(Method::POST, path, &it.viewer, body, Some("run_1/8"))
            .await;
    }
    let rows = it.rows().await;
    assert!(rows.len() > n_own + 7, "{}", rows.len());
    for row in &rows[n_own..] {
        assert_eq!(row.run_id, None, "{row:?}");
    }
    // Its own refusals are the run's.
    assert_eq!(it.post("/api/v1/runs/run_1/steps", "{").await.0, 400);
    assert_eq!(it.rows().await.pop().unwrap().run_id.as_deref(), Some("run_1"));
}

#[tokio::test]
async fn only_steps_of_the_plan_are_recorded() {
    let Some(it) = Server::start().await else { return };
    assert_eq!(it.run(&run("run_1")).await.0, 201);
    let step = |index: i64, name: &str| format!(r#"{{"index":{index},"name":"{name}","status":"running"}}"#);
    let path = "/api/v1/runs/run_1/steps";
    for bad in [
        step(-1, "revoke"),
        step(1, "revoke"),
        step(i64::MAX, "revoke"),
        step(0, "install"),
    ] {
        let (status, problem) = it.post(path, &bad).await;
        assert_eq!(status, 400, "{problem}");
    }
    assert_eq!(it.post(path, &step(0, "revoke")).await.0, 200);
    let (_, run) = it.get("/api/v1/runs/run_1").await;
    assert_eq!(run["steps"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_change_under_a_runs_key_belongs_to_a_run_of_the_caller() {
    let Some(it) = Server::start().await else { return };
    it.begin_run("run_1").await;
    let other = it.token("kim", Role::Operator, None, None).await;
    let path = format!("/api/v1/certs/{}/reissue", it.cert);
    for (token, key) in [(&it.operator, "run_anything/0"), (&other, "run_1/0")] {
        let (status, problem) = it.call(Method::POST, &path, token, "", Some(key)).await;
        assert_eq!(status, 422, "{problem}");
        let row = it.rows().await.pop().unwrap();
        assert_eq!((row.outcome.word(), row.run_id), ("refused", None));
    }
    assert_eq!(
        it.call(Method::POST, &path, &it.operator, "", Some("run_1/0"))
            .await
            .0,
        202
    );
    assert_eq!(it.rows().await.pop().unwrap().run_id.as_deref(), Some("run_1"));
}

#[tokio::test]
async fn the_digest_is_the_records_and_anybody_computes_it() {
    let Some(it) = Server::start().await else { return };
    let (status, begun) = it.run(&run("run_1")).await;
    assert_eq!(status, 201, "{begun}");
    let (_, record) = it.get("/api/v1/runs/run_1").await;
    assert_eq!(record["digest"], canonical::digest(&record["plan"]).as_str());
    assert_eq!(begun["digest"], record["digest"]);
    let mut lying = run("run_2");
    lying["digest"] = "lies".into();
    let (status, problem) = it.run(&lying).await;
    assert_eq!(status, 400, "{problem}");
}

#[tokio::test]
async fn what_no_run_can_be_is_refused() {
    let Some(it) = Server::start().await else { return };
    let with = |field: &str, value: Value| {
        let mut body = run("run_1");
        body[field] = value;
        body
    };
    let many: Vec<String> = (0..3).map(|n| format!("crt_{n}\u{1b}[2J")).collect();
    for body in [
        with("action", "made-up".into()),
        with("action", "x".repeat(500_000).into()),
        with("action", "reissue".into()),
        with("entity_ids", json!(many)),
        with("entity_ids", json!(["x".repeat(201)])),
        with("entity_ids", json!(["crt_2"])),
        with("entity_ids", json!([""])),
        run_of("run_1", "revoke", "certificate", &[]),
        run_of("run_1", "revoke", "agent", &["agt_1"]),
        run_of("run_1", "unseal", "vault", &[]),
        with("id", "run_2".into()),
        with("plan", json!({})),
        with("plan", json!({"run_id": "run_1", "action": "revoke"})),
        with("plan", json!({"run_id": "run_1", "targets": [{"id": "crt_1"}]})),
        with("plan", json!({"action": "revoke", "targets": [{"id": "crt_1"}]})),
        of_many(5_001),
    ] {
        let (status, problem) = it.run(&body).await;
        assert_eq!(status, 400, "{problem}");
        assert!(problem.to_string().len() < 3000, "{}", problem.to_string().len());
        let row = it.rows().await.pop().unwrap();
        assert!(row.canonical().len() < 4096);
    }
    assert_eq!(it.get("/api/v1/runs").await.1["total"], 0);
}

/// A run of this action on these things.
fn run_of(id: &str, action: &str, kind: &str, things: &[&str]) -> Value {
    let targets: Vec<Value> = things.iter().map(|id| json!({"id": id})).collect();
    json!({"id": id, "action": action, "entity_type": kind, "entity_ids": things,
        "plan": {"run_id": id, "action": action, "targets": targets}})
}

const DONE: &str = r#"{"outcome":"done","note":"in the CRL that was fetched afterwards"}"#;

#[tokio::test]
async fn a_run_is_done_where_its_own_changes_are_on_record_and_nowhere_else() {
    let Some(it) = Server::start().await else { return };
    let things = [it.cert.as_str(), "crt_none"];
    for (id, things, missing) in [
        ("run_1", &things[..1], &*it.cert),
        ("run_2", &things[..], "crt_none"),
    ] {
        assert_eq!(it.run(&run_of(id, "reissue", "certificate", things)).await.0, 201);
        let end = format!("/api/v1/runs/{id}/end");
        let (status, problem) = it.post(&end, DONE).await;
        assert_eq!(status, 409, "{problem}");
        if id == "run_2" {
            let path = format!("/api/v1/certs/{}/reissue", it.cert);
            let key = Some("run_2/0");
            assert_eq!(it.call(Method::POST, &path, &it.operator, "", key).await.0, 202);
        }
        let (status, problem) = it.post(&end, DONE).await;
        assert_eq!(status, 409, "{problem}");
        assert!(problem["title"].as_str().unwrap().contains(missing), "{problem}");
        let (_, record) = it.get(&format!("/api/v1/runs/{id}")).await;
        assert_eq!(record["outcome"], "asked", "it can still end");
    }
    // A change of one run is none of another.
    assert_eq!(
        it.run(&run_of("run_3", "reissue", "certificate", &things[..1]))
            .await
            .0,
        201
    );
    assert_eq!(it.post("/api/v1/runs/run_3/end", DONE).await.0, 409);
    let rows = it.rows().await;
    assert!(
        rows.iter()
            .all(|row| row.action != "run" || row.outcome_word() != "done"),
        "{rows:?}"
    );
    for id in ["run_1", "run_2", "run_3"] {
        assert_eq!(
            it.post(&format!("/api/v1/runs/{id}/end"), r#"{"outcome":"unknown"}"#)
                .await
                .0,
            200
        );
    }

    // With its change it is done; said twice, it counts once.
    assert_eq!(
        it.run(&run_of("run_4", "unban", "agent", &[it.agent.as_str()]))
            .await
            .0,
        201
    );
    assert_eq!(it.post("/api/v1/runs/run_4/end", DONE).await.0, 409);
    let ban = format!("/api/v1/agents/{}/ban", it.agent);
    assert_eq!(
        it.call(Method::POST, &ban, &it.operator, r#"{"comment":"x"}"#, None)
            .await
            .0,
        200
    );
    let unban = format!("/api/v1/agents/{}/unban", it.agent);
    let (status, answer) = it
        .call(
            Method::POST,
            &unban,
            &it.operator,
            r#"{"comment":"x"}"#,
            Some("run_4/0"),
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    for _ in 0..2 {
        assert_eq!(it.post("/api/v1/runs/run_4/end", DONE).await.0, 200);
    }
    let rows = it.rows().await;
    let is_end = |row: &&AuditRow| row.action == "run" && row.run_id.as_deref() == Some("run_4");
    let ends: Vec<&str> = rows.iter().filter(is_end).map(AuditRow::outcome_word).collect();
    assert_eq!(ends, ["asked", "refused", "done"]);
}

#[tokio::test]
async fn what_the_platform_can_not_know_is_reported_and_not_proven() {
    let Some(it) = Server::start().await else { return };
    assert_eq!(
        it.run(&run_of("run_1", "unseal", "vault", &["http://127.0.0.1:8200"]))
            .await
            .0,
        201
    );
    assert_eq!(it.post("/api/v1/runs/run_1/end", DONE).await.0, 200);
    let row = it.rows().await.pop().unwrap();
    assert_eq!((row.outcome.word(), row.outcome_word()), ("done", "reported"));
    let (_, record) = it.get("/api/v1/runs/run_1").await;
    assert!(
        record["note"].as_str().unwrap().starts_with("reported: "),
        "{record}"
    );
    for (word, n) in [("reported", 1), ("proven", 0)] {
        let (_, found) = it.get(&format!("/api/v1/audit?filter=outcome:{word}")).await;
        assert_eq!(
            found["items"].as_array().map(Vec::len),
            Some(n),
            "{word}: {found}"
        );
    }
}
