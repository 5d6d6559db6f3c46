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
    let secret = made.token.as_ref().unwrap().expose();
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
async fn no_name_passes_for_the_platforms_own_or_for_another_persons() {
    let Some(it) = Server::start().await else { return };
    let admin = Admin::of(&it).await;
    let make = async |name: &str| {
        let body = format!(r#"{{"name":"{name}","role":"viewer"}}"#);
        admin.post(&it, TOKENS, &body, None).await.0.as_u16()
    };
    for own in [
        "administrator",
        "root",
        "cmp",
        "console",
        "audit",
        "token",
        "issuer",
    ] {
        assert_eq!(make(own).await, 400, "{own}");
    }
    for (name, status) in [
        ("kim", 201),
        ("kim+1", 409),
        ("k1m@example", 409),
        ("sam@example", 201),
        ("sam@other", 201),
        ("sam", 409),
    ] {
        assert_eq!(make(name).await, status, "{name}");
    }
    let enrolment = r#"{"name":"x","purpose":"enrol"}"#;
    let secret = admin.make(&it, enrolment).await.token.unwrap();
    for (host, status) in [("issuer", 400), ("scheduler", 400), ("vault", 201)] {
        let host = serde_json::to_string(&enrol(host)).unwrap();
        let (answer, reply) = it
            .call(Method::POST, "/api/v1/agents/enrol", secret.expose(), &host, None)
            .await;
        assert_eq!(answer, status, "{reply}");
    }
}

#[tokio::test]
async fn a_new_agent_enrols_once_with_its_one_time_token() {
    let Some(it) = Server::start().await else { return };
    let admin = Admin::of(&it).await;
    let body = r#"{"name":"web-09","purpose":"enrol","expires_in_s":600}"#;
    // Sent twice on a bad link: there is one, which is told once.
    let (first, told) = admin.post(&it, TOKENS, body, Some("k")).await;
    let (again, same) = admin.post(&it, TOKENS, body, Some("k")).await;
    assert_eq!((first.as_u16(), again.as_u16()), (201, 200), "{told}");
    assert_eq!(told["id"], same["id"]);
    assert!(
        same["token"].is_null() && same["note"].as_str().unwrap().contains("take the token back"),
        "{same}"
    );
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
    assert_eq!(enrol_with(late.token.unwrap().expose()).await.0, 401);
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
            r#"{"name":"scheduler.","role":"viewer"}"#,
            400,
            "can't name a token",
        ),
        (r#"{"name":"Issuer","role":"viewer"}"#, 400, "passes for `issuer`"),
        (
            r#"{"name":"scheduler.x","role":"viewer"}"#,
            400,
            "passes for `scheduler`",
        ),
        (r#"{"name":"OPS","role":"viewer"}"#, 409, "looks like `ops`"),
        (r#"{"name":"0ps","role":"viewer"}"#, 409, "looks like `ops`"),
        (
            r#"{"name":"issuer","role":"operator"}"#,
            400,
            "word of the platform's own",
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

#[tokio::test]
async fn what_a_token_made_is_told_with_its_end_and_can_end_with_it() {
    let Some(it) = Server::start().await else { return };
    let root = Admin::of(&it).await;
    let made = root.make(&it, r#"{"name":"kim","role":"admin"}"#).await;
    let kim = Admin(made.token.unwrap().expose().to_owned());
    assert_eq!(
        made.kept.parent.as_deref().map(|id| id.starts_with("tok_")),
        Some(true)
    );
    let child = kim.make(&it, r#"{"name":"backdoor","role":"admin"}"#).await;
    let back = Admin(child.token.unwrap().expose().to_owned());
    let grandchild = back.make(&it, r#"{"name":"cellar","role":"viewer"}"#).await;
    let one_time = kim.make(&it, r#"{"name":"web-09","purpose":"enrol"}"#).await;
    let host = serde_json::to_string(&enrol("web-09")).unwrap();
    let one_time = one_time.token.unwrap();
    let (status, agent) = it
        .call(
            Method::POST,
            "/api/v1/agents/enrol",
            one_time.expose(),
            &host,
            None,
        )
        .await;
    assert_eq!(status, 201, "{agent}");
    let path = format!("{TOKENS}/{}/revoke", made.kept.id);
    let (status, reply) = root.post(&it, &path, "", None).await;
    assert_eq!(status, 200, "{reply}");
    let names = |reply: &Value| {
        let made = reply["made"].as_array().unwrap().iter();
        let mut names: Vec<String> = made.map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&reply), ["agent:web-09", "backdoor", "cellar"]);
    assert_eq!(reply["n_made"], 3);
    let certs = async |token: &str| it.call(Method::GET, "/api/v1/certs", token, "", None).await.0;
    let cellar = grandchild.token.unwrap();
    assert_eq!(
        certs(cellar.expose()).await,
        200,
        "it is told, and not taken back unasked"
    );
    // Nobody who was made with it takes it back together with himself.
    let with_made = r#"{"with_made":true,"ticket":"INC-9"}"#;
    assert_eq!(back.post(&it, &path, with_made, None).await.0, 422);
    let (status, reply) = root.post(&it, &path, with_made, None).await;
    assert_eq!(status, 200, "{reply}");
    assert!(
        reply["made"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| !it["revoked_at"].is_null())
    );
    let row = it.rows().await.pop().unwrap();
    assert!(row.detail.unwrap().contains("`cellar`"));
    for token in [back.0.as_str(), cellar.expose(), agent["token"].as_str().unwrap()] {
        assert_eq!(certs(token).await, 401);
    }
    assert_eq!(root.post(&it, &path, with_made, None).await.0, 409);
}

#[tokio::test]
async fn kept_answers_end_with_the_token() {
    let Some(it) = Server::start().await else { return };
    let root = Admin::of(&it).await;
    let made = root.make(&it, r#"{"name":"kim","role":"admin"}"#).await;
    let kim = Admin(made.token.unwrap().expose().to_owned());
    let body = r#"{"name":"cellar","role":"admin"}"#;
    let (_, first) = kim.post(&it, TOKENS, body, Some("k")).await;
    // Whoever has the parent can't work the child out.
    let secret = first["token"].as_str().unwrap();
    let path = format!("POST {TOKENS}");
    let target = [path.as_bytes(), b"\n", body.as_bytes()].concat();
    let asked = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &target));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, kim.0.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, format!("cmp token\nk\n{asked}").as_bytes());
    use base64::Engine;
    let guessed = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(tag.as_ref());
    assert_ne!(secret, format!("cmp_{guessed}"));
    let revoke = format!("{TOKENS}/{}/revoke", made.kept.id);
    assert_eq!(root.post(&it, &revoke, "", None).await.0, 200);
    let (status, problem) = kim.post(&it, TOKENS, body, Some("k")).await;
    assert_eq!(status, 401, "{problem}");
    assert!(!problem.to_string().contains("cmp_"), "{problem}");
}

#[tokio::test]
async fn a_one_time_token_that_is_asked_for_anew_replaces_the_one_before() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/agents/{}/token", it.agent);
    let ask = async |key: &'static str| it.call(Method::POST, &path, &it.operator, "", Some(key)).await;
    let (status, first) = ask("a").await;
    assert_eq!(status, 201, "{first}");
    let (status, again) = ask("a").await;
    assert_eq!(
        (status.as_u16(), again["token"].is_null()),
        (200, true),
        "{again}"
    );
    let (_, second) = ask("b").await;
    let host = serde_json::to_string(&enrol("web-01")).unwrap();
    for (token, expected) in [(&first, 401), (&second, 201)] {
        let token = token["token"].as_str().unwrap();
        let (status, reply) = it
            .call(Method::POST, "/api/v1/agents/enrol", token, &host, None)
            .await;
        assert_eq!(status, expected, "{reply}");
    }
}

#[tokio::test]
async fn what_a_token_makes_ends_no_later_than_itself() {
    let Some(it) = Server::start().await else { return };
    let ends = noon() + chrono::Duration::seconds(100);
    let brief = Admin(it.token("brief", Role::Admin, None, Some(ends)).await);
    for (n, purpose) in [r#""role":"admin""#, r#""purpose":"enrol""#]
        .into_iter()
        .enumerate()
    {
        let body = |lives: &str| format!(r#"{{"name":"it-{n}",{purpose}{lives}}}"#);
        let lives = format!(r#","expires_in_s":{}"#, 7 * 24 * 3600);
        let (status, problem) = brief.post(&it, TOKENS, &body(&lives), None).await;
        assert_eq!(status, 400, "{problem}");
        let said = problem["title"].as_str().unwrap();
        assert!(said.contains("what it makes ends no later"), "{said}");
        let hint = problem["detail"].as_str().unwrap();
        assert!(hint.contains("60 to 100 seconds"), "{hint}");
        // Without a life of its own it has what is left.
        assert_eq!(brief.make(&it, &body("")).await.kept.expires_at, Some(ends));
    }
    let again = format!("/api/v1/agents/{}/token", it.agent);
    let (status, made) = brief.post(&it, &again, "", None).await;
    assert_eq!(status, 201, "{made}");
    let until: chrono::DateTime<chrono::Utc> = serde_json::from_value(made["expires_at"].clone()).unwrap();
    assert_eq!(until, ends);
    let briefer = noon() + chrono::Duration::seconds(59);
    let briefer = Admin(it.token("briefer", Role::Admin, None, Some(briefer)).await);
    let (status, problem) = briefer
        .post(&it, TOKENS, r#"{"name":"ash","role":"viewer"}"#, None)
        .await;
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("59 s are left"),
        "{problem}"
    );
}
