//! Tokens through the API: an admin makes and takes back what lets others in, and a new agent in.

use cmp_console::domain::audit::AuditOutcome;
use cmp_console::domain::role::Role;
use cmp_console::wire::page::Page;
use cmp_console::wire::tokens::MadeToken;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::support::{Server, enrol, noon};

const TOKENS: &str = "/api/v1/tokens";

struct Admin(String);

impl Admin {
    async fn of(it: &Server) -> Self {
        Self(it.token("root", Role::Admin, None, None).await)
    }

    async fn post(&self, it: &Server, path: &str, body: &str, key: Option<&str>) -> (StatusCode, Value) {
        it.call(Method::POST, path, &self.0, body, key).await
    }

    async fn make(&self, it: &Server, body: &str) -> MadeToken {
        let (status, reply) = self.post(it, TOKENS, body, None).await;
        assert_eq!(status, 201, "{reply}");
        serde_json::from_value(reply).unwrap()
    }
}

#[tokio::test]
async fn a_token_is_told_once_listed_without_itself_and_taken_back() {
    let Some(it) = Server::start().await else { return };
    let admin = Admin::of(&it).await;
    let made = admin
        .make(
            &it,
            r#"{"name":"kim","role":"viewer","comment":"on call","ticket":"T-7"}"#,
        )
        .await;
    let secret = made.token.expose();
    assert_eq!(made.kept.expires_at, Some(noon() + chrono::Duration::days(90)));
    let row = it.rows().await.pop().unwrap();
    assert_eq!(
        (row.action.as_str(), row.entity_id.as_str(), row.actor.as_str()),
        ("token", made.kept.id.as_str(), "root")
    );
    assert_eq!(
        (row.reason.as_deref(), row.ticket.as_deref()),
        (Some("on call"), Some("T-7"))
    );

    let certs = async || it.call(Method::GET, "/api/v1/certs", secret, "", None).await.0;
    assert_eq!(certs().await, 200);
    let ban = format!("/api/v1/agents/{}/ban", it.agent);
    assert_eq!(it.call(Method::POST, &ban, secret, "", None).await.0, 403);

    let (status, list) = it.call(Method::GET, TOKENS, &admin.0, "", None).await;
    assert_eq!(status, 200, "{list}");
    let hash = hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        secret.as_bytes(),
    ));
    let text = list.to_string();
    assert!(!text.contains(secret) && !text.contains(&hash) && !text.contains("cmp_"));
    let page: Page<cmp_console::domain::token::Token> = serde_json::from_value(list).unwrap();
    assert!(page.items.contains(&made.kept));
    let (_, found) = it
        .call(
            Method::GET,
            &format!("{TOKENS}?filter=role:viewer%20kim"),
            &admin.0,
            "",
            None,
        )
        .await;
    assert_eq!(found["total"], 1, "{found}");

    let revoke = format!("{TOKENS}/{}/revoke", made.kept.id);
    let (status, token) = admin.post(&it, &revoke, r#"{"ticket":"T-8"}"#, None).await;
    assert_eq!(status, 200, "{token}");
    assert!(!token["revoked_at"].is_null());
    assert_eq!(certs().await, 401);
    assert_eq!(admin.post(&it, &revoke, "", None).await.0, 409);
    // The name is free again.
    admin.make(&it, r#"{"name":"kim","role":"operator"}"#).await;
}

#[tokio::test]
async fn only_an_admin_has_to_do_with_tokens() {
    let Some(it) = Server::start().await else { return };
    let admin = Admin::of(&it).await;
    let made = admin.make(&it, r#"{"name":"kim","role":"viewer"}"#).await;
    let revoke = format!("{TOKENS}/{}/revoke", made.kept.id);
    let body = r#"{"name":"me","role":"admin"}"#;
    for token in [&it.operator, &it.viewer, &it.agent_token] {
        assert_eq!(it.call(Method::GET, TOKENS, token, "", None).await.0, 403);
        for (path, body) in [(TOKENS, body), (revoke.as_str(), "")] {
            assert_eq!(it.call(Method::POST, path, token, body, None).await.0, 403);
            assert_eq!(it.rows().await.pop().unwrap().outcome, AuditOutcome::Refused);
        }
    }
    let me = it.call(Method::GET, TOKENS, &admin.0, "", None).await.1;
    let mine = me["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["name"] == "root");
    let mine = format!("{TOKENS}/{}/revoke", mine.unwrap()["id"].as_str().unwrap());
    assert_eq!(admin.post(&it, &mine, "", None).await.0, 422);
    assert_eq!(
        admin
            .post(&it, "/api/v1/tokens/tok_none/revoke", "", None)
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn a_new_agent_enrols_once_with_its_one_time_token() {
    let Some(it) = Server::start().await else { return };
    let admin = Admin::of(&it).await;
    let body = r#"{"name":"web-09","purpose":"enrol","expires_in_s":600}"#;
    // Sent twice on a bad link: the same token is told, and there is one.
    let (first, told) = admin.post(&it, TOKENS, body, Some("k")).await;
    let (again, same) = admin.post(&it, TOKENS, body, Some("k")).await;
    assert_eq!((first.as_u16(), again.as_u16()), (201, 201), "{told}");
    assert_eq!(told, same);
    let secret = told["token"].as_str().unwrap();
    assert_eq!(
        it.call(Method::GET, "/api/v1/certs", secret, "", None).await.0,
        403
    );
    let host = serde_json::to_string(&enrol("web-09")).unwrap();
    let enrol_with = async |secret: &str| {
        it.call(Method::POST, "/api/v1/agents/enrol", secret, &host, None)
            .await
    };
    let (status, agent) = enrol_with(secret).await;
    assert_eq!(status, 201, "{agent}");
    let report = format!("/api/v1/agents/{}/report", agent["agent_id"].as_str().unwrap());
    let said = r#"{"agent_version":"1","address":"http://127.0.0.1:1","install_dirs":["/srv/tls"],"installations":[],"keys":[]}"#;
    let own = agent["token"].as_str().unwrap();
    assert_eq!(it.call(Method::POST, &report, own, said, None).await.0, 200);
    assert_eq!(enrol_with(secret).await.0, 401);

    let late = admin.make(&it, r#"{"name":"web-10","purpose":"enrol"}"#).await;
    it.clock.set(noon() + chrono::Duration::minutes(61));
    assert_eq!(enrol_with(late.token.expose()).await.0, 401);
}

#[tokio::test]
async fn what_can_be_no_token_is_refused_with_what_can() {
    let Some(it) = Server::start().await else { return };
    let admin = Admin::of(&it).await;
    for (body, status, said) in [
        (
            r#"{"name":"agent:web-01","role":"viewer"}"#,
            400,
            "can't name a token",
        ),
        (r#"{"name":"","role":"viewer"}"#, 400, "can't name a token"),
        (
            r#"{"name":"issuer","role":"operator"}"#,
            400,
            "part of the platform",
        ),
        (r#"{"name":"kim"}"#, 400, "needs a `role`"),
        (r#"{"name":"kim","role":"agent"}"#, 400, "needs a `role`"),
        (
            r#"{"name":"web-09","purpose":"enrol","role":"admin"}"#,
            400,
            "has no role",
        ),
        (
            r#"{"name":"kim","role":"viewer","expires_in_s":59}"#,
            400,
            "can't be 59",
        ),
        (
            r#"{"name":"web-09","purpose":"enrol","expires_in_s":604801}"#,
            400,
            "can't be 604801",
        ),
        (
            r#"{"name":"ops","role":"viewer"}"#,
            409,
            "is called `ops` already",
        ),
    ] {
        let (answered, problem) = admin.post(&it, TOKENS, body, None).await;
        assert_eq!(answered, status, "{body}: {problem}");
        assert!(problem["title"].as_str().unwrap().contains(said), "{problem}");
    }
}
