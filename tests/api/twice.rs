//! Sent twice with one Idempotency-Key, a thing is done once.

use cmp_console::domain::audit::AuditOutcome;
use cmp_console::domain::role::Role;
use cmp_console::store::tokens::Purpose;
use reqwest::Method;

use crate::support::{Server, enrol};

#[tokio::test]
async fn the_same_answer_and_one_effect() {
    let it = Server::start().await;
    let path = format!("/api/v1/certs/{}/reissue", it.cert);
    let send = || it.call(Method::POST, &path, &it.operator, "{}", Some("run_1/0"));
    let (first, second) = tokio::join!(send(), send());
    assert_eq!(first.0, 202, "{}", first.1);
    assert_eq!(first, second);
    assert_eq!(send().await, first);
    let rows = it.rows().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].run_id.as_deref(), Some("run_1"));
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
    assert_eq!(it.rows().await.len(), 3);
}

#[tokio::test]
async fn an_enrolment_whose_answer_was_lost_is_answered_again() {
    let it = Server::start().await;
    let once = it
        .make_token("enrol", Role::Agent, Purpose::Enrol, None, None)
        .await;
    let body = serde_json::to_string(&enrol("web-02")).unwrap();
    let send = |key: &'static str| it.call(Method::POST, "/api/v1/agents/enrol", &once, &body, Some(key));
    let (status, first) = send("k").await;
    assert_eq!(status, 201, "{first}");
    assert_eq!(send("k").await.1, first);
    let (status, problem) = send("other").await;
    assert_eq!(status, 401, "{problem}");
    let token = first["token"].as_str().unwrap().to_owned();
    let agent = first["agent_id"].as_str().unwrap();
    let report = r#"{"agent_version":"1","address":"http://127.0.0.1:1","install_dirs":[],"installations":[],"keys":[]}"#;
    let path = format!("/api/v1/agents/{agent}/report");
    let (status, reply) = it.call(Method::POST, &path, &token, report, None).await;
    assert_eq!(status, 200, "{reply}");

    // Neither token is in the database.
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
    let it = Server::start().await;
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
    // A compromised key is no obstacle to a fresh one.
    let (status, reply) = it.post(&format!("/api/v1/certs/{}/reissue", it.cert), "").await;
    assert_eq!(status, 202, "{reply}");
}
