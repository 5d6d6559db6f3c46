//! Every route that changes something leaves an audit row, and none does so for a viewer.

use cmp_console::domain::audit::AuditOutcome;
use reqwest::Method;

use super::support::Server;

#[tokio::test]
async fn every_change_leaves_its_row() {
    let Some(it) = Server::start().await else { return };
    let (cert, agent) = (it.cert.clone(), it.agent.clone());
    let run = r#"{"id":"run_1","action":"revoke","entity_type":"certificate","entity_ids":["crt_1"],"plan":{"run_id":"run_1","action":"revoke","targets":[{"id":"crt_1"}]}}"#;
    let request = format!(r#"{{"common_name":"new.example.com","agent_id":"{agent}"}}"#);
    let install = format!(r#"{{"cert_id":"{cert}","path":"/srv/tls/a.pem"}}"#);
    let calls = [
        (
            "/api/v1/runs".to_owned(),
            run.to_owned(),
            "run",
            AuditOutcome::Asked,
        ),
        (
            "/api/v1/runs/run_1/end".to_owned(),
            r#"{"outcome":"failed","note":"not in the CRL"}"#.to_owned(),
            "run",
            AuditOutcome::Failed,
        ),
        (
            "/api/v1/certs".to_owned(),
            request,
            "request",
            AuditOutcome::Asked,
        ),
        (
            format!("/api/v1/agents/{agent}/install"),
            install,
            "install",
            AuditOutcome::Asked,
        ),
        (
            format!("/api/v1/certs/{cert}/reissue"),
            String::new(),
            "reissue",
            AuditOutcome::Asked,
        ),
        (
            format!("/api/v1/certs/{cert}/revoke"),
            r#"{"reason":"superseded","comment":"old","ticket":"T-1"}"#.to_owned(),
            "revoke",
            AuditOutcome::Asked,
        ),
        (
            format!("/api/v1/agents/{agent}/token"),
            String::new(),
            "token",
            AuditOutcome::Done,
        ),
        (
            format!("/api/v1/agents/{agent}/checkin"),
            String::new(),
            "checkin",
            AuditOutcome::Done,
        ),
        (
            format!("/api/v1/agents/{agent}/ban"),
            String::new(),
            "ban",
            AuditOutcome::Done,
        ),
        (
            format!("/api/v1/agents/{agent}/unban"),
            String::new(),
            "unban",
            AuditOutcome::Done,
        ),
    ];
    let mut refused = std::collections::BTreeSet::new();
    for (path, body, action, outcome) in &calls {
        let n_rows = it.rows().await.len();
        let (status, problem) = it.call(Method::POST, path, &it.viewer, body, None).await;
        assert_eq!(status, 403, "{path}: {problem}");
        let rows = it.rows().await;
        // A second refusal of the same within the minute is only counted.
        if refused.insert(*action) {
            assert_eq!(rows.len(), n_rows + 1);
            assert_eq!(rows.last().unwrap().outcome, AuditOutcome::Refused);
        }

        let (status, reply) = it.post(path, body).await;
        assert!(status.is_success(), "{path}: {status} {reply}");
        let row = it.rows().await.pop().unwrap();
        assert_eq!((row.action.as_str(), row.outcome), (*action, *outcome), "{path}");
        assert_eq!(row.source, "127.0.0.1");
    }
    let revoked = it
        .rows()
        .await
        .into_iter()
        .find(|row| row.ticket.is_some())
        .unwrap();
    assert_eq!(revoked.reason.as_deref(), Some("old"));
    let (_, report) = it.get("/api/v1/audit/verify").await;
    assert_eq!(report["whole"], true);
    assert_eq!(report["n_rows"], it.rows().await.len());
}

#[tokio::test]
async fn a_run_is_recorded_step_by_step() {
    let Some(it) = Server::start().await else { return };
    let begin = r#"{"id":"run_1","action":"revoke","entity_type":"certificate","entity_ids":["a","b"],"plan":{"run_id":"run_1","action":"revoke","targets":[{"id":"a"},{"id":"b"}],"steps":[{"step":"revoke"}],"note":1}}"#;
    let (status, run) = it.post("/api/v1/runs", begin).await;
    assert_eq!((status.as_u16(), &run["outcome"]), (201, &"asked".into()));
    assert_eq!(it.post("/api/v1/runs", begin).await.0, 201);
    assert_eq!(
        it.post("/api/v1/runs", &begin.replace(r#""note":1"#, r#""note":2"#))
            .await
            .0,
        409
    );
    for status in ["running", "failed"] {
        let body = format!(r#"{{"index":0,"name":"revoke","status":"{status}"}}"#);
        assert_eq!(it.post("/api/v1/runs/run_1/steps", &body).await.0, 200);
    }
    let bad = r#"{"index":0,"name":"revoke","status":"ok"}"#;
    assert_eq!(it.post("/api/v1/runs/run_1/steps", bad).await.0, 400);
    let end = r#"{"outcome":"failed"}"#;
    assert_eq!(it.post("/api/v1/runs/run_1/end", end).await.0, 200);
    assert_eq!(it.post("/api/v1/runs/run_1/end", end).await.0, 200);
    assert_eq!(
        it.post("/api/v1/runs/run_1/end", r#"{"outcome":"refused"}"#)
            .await
            .0,
        409
    );
    let (_, run) = it.get("/api/v1/runs/run_1").await;
    assert_eq!(run["steps"][0]["status"], "failed");
    assert_eq!(it.get("/api/v1/runs").await.1["total"], 1);
    let rows = it.rows().await;
    assert_eq!(rows[0].entity_id, "run_1");
    assert_eq!(rows[0].run_id.as_deref(), Some("run_1"));
}

#[tokio::test]
async fn health_needs_no_token() {
    let Some(it) = Server::start().await else { return };
    assert_eq!(it.call(Method::GET, "/healthz", "", "", None).await.0, 200);
    let (status, ready) = it.call(Method::GET, "/readyz", "", "", None).await;
    assert_eq!((status.as_u16(), &ready["ready"]), (200, &true.into()));
    it.seal().await;
    let (_, ready) = it.call(Method::GET, "/readyz", "", "", None).await;
    assert!(ready.to_string().contains("paused: Vault is sealed"), "{ready}");
    assert_eq!(it.get("/api/v1/me").await.1["role"], "viewer");
}
