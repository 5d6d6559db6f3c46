//! Sent twice with one Idempotency-Key, a thing is done once.

use cmp_console::domain::audit::AuditOutcome;
use cmp_console::domain::role::Role;
use cmp_console::store::tokens::Purpose;
use reqwest::Method;

use super::support::{Server, enrol};

#[tokio::test]
async fn the_same_answer_and_one_effect() {
    let Some(it) = Server::start().await else { return };
    it.begin_run("run_1").await;
    it.begin_run("run_2").await;
    let n_before = it.rows().await.len();
    let path = format!("/api/v1/certs/{}/reissue", it.cert);
    let send = || it.call(Method::POST, &path, &it.operator, "{}", Some("run_1/0"));
    let (first, second) = tokio::join!(send(), send());
    assert_eq!(first.0, 202, "{}", first.1);
    assert_eq!(first, second);
    assert_eq!(send().await, first);
    let rows = it.rows().await;
    assert_eq!(rows.len(), n_before + 1);
    assert_eq!(rows[n_before].run_id.as_deref(), Some("run_1"));
    assert_eq!(it.get("/api/v1/requests").await.1["total"], 1);

    let other_body = it
        .call(
            Method::POST,
            &path,
            &it.operator,
            r#"{"ticket": "T-1"}"#,
            Some("run_1/0"),
        )
        .await;
    assert_eq!(other_body.0, 422);
    let refused = it.rows().await.pop().unwrap();
    assert_eq!(refused.outcome, AuditOutcome::Refused);
    assert_eq!(send().await, first, "the kept answer stays the first one's");
    // Another key is another wish, and this one is under way already.
    let (status, _) = it
        .call(Method::POST, &path, &it.operator, "{}", Some("run_2/0"))
        .await;
    assert_eq!(status, 409);
    let (status, _) = it
        .call(Method::POST, &path, &it.operator, "{}", Some("run_2/0"))
        .await;
    assert_eq!(status, 409);
    assert_eq!(it.rows().await.len(), n_before + 3);
}

#[tokio::test]
async fn two_wishes_at_once_are_one_request_and_one_refusal() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/certs/{}/reissue", it.cert);
    let send = |key: &'static str| it.call(Method::POST, &path, &it.operator, "{}", Some(key));
    let (first, second, third) = tokio::join!(send("a"), send("b"), send("c"));
    let mut statuses = [first.0, second.0, third.0].map(|status| status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409]);
    assert_eq!(it.get("/api/v1/requests").await.1["total"], 1);
    assert_eq!(it.rows().await.len(), 3);
}

#[tokio::test]
async fn a_refusal_sent_twice_at_once_is_one_refusal() {
    let Some(it) = Server::start().await else { return };
    let send = || {
        it.call(
            Method::POST,
            "/api/v1/agents/agt_none/ban",
            &it.operator,
            "",
            Some("k"),
        )
    };
    let answers = futures::future::join_all((0..4).map(|_| send())).await;
    assert_eq!(answers[0].0, 404);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(it.rows().await.len(), 1);
}

#[tokio::test]
async fn an_enrolment_whose_answer_was_lost_is_answered_again() {
    let Some(it) = Server::start().await else { return };
    let once = it
        .make_token("enrol", Role::Agent, Purpose::Enrol, None, None)
        .await;
    let body = serde_json::to_string(&enrol("web-02")).unwrap();
    let send = |key: &'static str| it.call(Method::POST, "/api/v1/agents/enrol", &once, &body, Some(key));
    let (status, first) = send("k").await;
    assert_eq!(status, 201, "{first}");
    let (status, second) = send("k").await;
    assert_eq!(status, 201, "{second}");
    assert_eq!(second["agent_id"], first["agent_id"]);
    assert_ne!(second["token"], first["token"], "what was told is kept nowhere");
    let (status, problem) = send("other").await;
    assert_eq!(status, 401, "{problem}");
    let token = second["token"].as_str().unwrap().to_owned();
    let agent = first["agent_id"].as_str().unwrap();
    let report = r#"{"agent_version":"1","address":"http://127.0.0.1:1","install_dirs":[],"installations":[],"keys":[]}"#;
    let path = format!("/api/v1/agents/{agent}/report");
    let lost = first["token"].as_str().unwrap();
    assert_eq!(it.call(Method::POST, &path, lost, report, None).await.0, 401);
    let (status, reply) = it.call(Method::POST, &path, &token, report, None).await;
    assert_eq!(status, 200, "{reply}");
    // Once it is used, the spent one-time token gives nothing more.
    let (status, problem) = send("k").await;
    assert_eq!(status, 401, "{problem}");
    assert_eq!(it.call(Method::POST, &path, &token, report, None).await.0, 200);

    // Neither token is in the database.
    if let Some(database) = &it.postgres {
        let output = database
            .server
            .program("pg_dump")
            .args(["-U", crate::server::OWNER, &database.name])
            .output()
            .unwrap();
        let dump = String::from_utf8(output.stdout).unwrap();
        assert!(dump.contains(agent), "the dump has the rows");
        assert!(!dump.contains(&token) && !dump.contains(&once));
    }
    it.store.close().await;
    for entry in std::fs::read_dir(it.dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [&token, &once] {
            assert!(!bytes.windows(secret.len()).any(|it| it == secret.as_bytes()));
        }
    }
}

#[tokio::test]
async fn revoking_twice_is_refused_but_for_the_compromise() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/certs/{}/revoke", it.cert);
    assert_eq!(it.post(&path, r#"{"reason": "4"}"#).await.0, 202);
    assert_eq!(it.post(&path, r#"{"reason": "superseded"}"#).await.0, 409);
    let (status, reply) = it.post(&path, r#"{"reason": "keyCompromise"}"#).await;
    assert_eq!(status, 202);
    let spki = reply["certificate"]["spki_sha256"].as_str().unwrap();
    assert_eq!(
        it.get(&format!("/api/v1/keys/{spki}")).await.1["key"]["status"],
        "compromised"
    );
    let (status, problem) = it.post(&path, r#"{"reason": "keyCompromise"}"#).await;
    assert_eq!(status, 409, "{problem}");
    // It has the worst reason already: there is none that it may still change to.
    assert!(problem.to_string().contains("for keyCompromise"), "{problem}");
    let (status, other) = it.post(&path, r#"{"reason": "superseded"}"#).await;
    assert_eq!(status, 409, "{other}");
    for problem in [problem, other] {
        assert!(!problem.to_string().contains("may still change"), "{problem}");
    }
    // A compromised key is no obstacle to a fresh one.
    let (status, reply) = it.post(&format!("/api/v1/certs/{}/reissue", it.cert), "").await;
    assert_eq!(status, 202, "{reply}");
}
