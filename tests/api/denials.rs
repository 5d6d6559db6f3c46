//! What a refusal means for an agent is told in a word beside the sentence.

use chrono::Duration;
use cmp_console::domain::role::Role;
use cmp_console::store::tokens::Purpose;
use reqwest::Method;
use serde_json::Value;

use super::support::{Server, enrol, noon};

impl Server {
    /// The status and the denial of a report with `token`.
    async fn denied(&self, token: &str) -> (u16, Value) {
        let path = format!("/api/v1/agents/{}/report", self.agent);
        let (status, problem) = self.call(Method::POST, &path, token, "{}", None).await;
        (status.as_u16(), problem["denial"].clone())
    }
}

#[tokio::test]
async fn an_agent_is_told_to_enrol_again() {
    let Some(it) = Server::start().await else { return };
    let ends = Some(noon() + Duration::hours(1));
    let ending = it.token("agent:web-01", Role::Agent, Some(&it.agent), ends).await;
    let re_enrol = (401, Value::from("re_enrol"));
    assert_eq!(it.denied("cmp_nobody-knows-it").await, re_enrol);
    it.clock.set(noon() + Duration::hours(2));
    assert_eq!(it.denied(&ending).await, re_enrol);
    // What is wrong with the request is nothing that enrolling would help.
    assert_eq!(it.denied(&it.agent_token).await, (400, Value::Null));

    let one_time = it
        .make_token("enrol:web-01", Role::Agent, Purpose::Enrol, Some(&it.agent), None)
        .await;
    let host = serde_json::to_string(&enrol("web-01")).unwrap();
    let path = "/api/v1/agents/enrol";
    assert_eq!(it.call(Method::POST, path, &one_time, &host, None).await.0, 201);
    assert_eq!(
        it.denied(&it.agent_token).await,
        re_enrol,
        "replaced by the new one"
    );
    let (status, problem) = it.call(Method::POST, path, &one_time, &host, None).await;
    assert_eq!((status.as_u16(), &problem["denial"]), (401, &"re_enrol".into()));
}

#[tokio::test]
async fn a_banned_agent_is_told_so_whatever_token_it_has() {
    let Some(it) = Server::start().await else { return };
    let (status, _) = it.post(&format!("/api/v1/agents/{}/ban", it.agent), "").await;
    assert_eq!(status, 200);
    assert_eq!(it.denied(&it.agent_token).await, (401, "banned".into()));
    let one_time = it
        .make_token("enrol:web-01", Role::Agent, Purpose::Enrol, Some(&it.agent), None)
        .await;
    let host = serde_json::to_string(&enrol("web-01")).unwrap();
    let path = "/api/v1/agents/enrol";
    let (status, problem) = it.call(Method::POST, path, &one_time, &host, None).await;
    assert_eq!((status.as_u16(), &problem["denial"]), (403, &"banned".into()));

    // The ban can be taken back, and each refusal leads there.
    let of = |what: &str| format!("/api/v1/agents/{}/{what}", it.agent);
    let (status, problem) = it.post(&of("token"), "").await;
    assert_eq!(status, 422);
    assert!(problem.to_string().contains(&of("unban")), "{problem}");
    assert_eq!(it.post(&of("unban"), "").await.0, 200);
    assert_eq!(it.post(&of("unban"), "").await.0, 409);
    assert_eq!(it.post(&of("token"), "").await.0, 201);
    assert_eq!(it.denied(&it.agent_token).await, re_enrol_after_a_ban());
}

/// Tokens that were taken back with the ban stay so.
fn re_enrol_after_a_ban() -> (u16, Value) {
    (401, "re_enrol".into())
}

#[tokio::test]
async fn nobody_else_is_told_what_agents_are_to_do() {
    let Some(it) = Server::start().await else { return };
    let (status, problem) = it.call(Method::GET, "/api/v1/certs", "cmp_none", "", None).await;
    assert_eq!((status.as_u16(), &problem["denial"]), (401, &Value::Null));
    let revoke = format!("/api/v1/certs/{}/revoke", it.cert);
    let (status, problem) = it.call(Method::POST, &revoke, "cmp_none", "{}", None).await;
    assert_eq!((status.as_u16(), &problem["denial"]), (401, &Value::Null));
    assert_eq!(it.denied(&it.operator).await, (403, Value::Null));
}
