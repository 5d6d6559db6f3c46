//! Limits to what one token, good or dead, can take from everybody else.

use std::time::Duration;

use cmp_console::domain::role::Role;
use cmp_console::store::tokens::Purpose;
use cmp_console::store::{certificates, tokens};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::mirror;
use super::support::{Server, certificate, enrol, noon};

impl Server {
    async fn count(&self, of: &str) -> i64 {
        let asked = format!("SELECT count(*) FROM {of}");
        if let Some(database) = &self.postgres {
            return database.psql(&asked).trim().parse().unwrap();
        }
        let file = format!("sqlite://{}/cmp.db", self.dir.path().display());
        let mut conn = SqliteConnection::connect(&file).await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(asked))
            .fetch_one(&mut conn)
            .await
            .unwrap()
    }

    async fn say_keys(&self, keys: &[String]) -> (StatusCode, Value) {
        let path = format!("/api/v1/agents/{}/report", self.agent);
        let body = json!({"agent_version": "1", "address": "http://127.0.0.1:1", "install_dirs": ["/srv/tls"],
            "installations": [], "keys": keys});
        self.call(Method::POST, &path, &self.agent_token, &body.to_string(), None)
            .await
    }

    async fn enrol_with(&self, token: &str, key: &str) -> (StatusCode, Value) {
        let body = serde_json::to_string(&enrol("web-07")).unwrap();
        self.call(Method::POST, "/api/v1/agents/enrol", token, &body, Some(key))
            .await
    }

    async fn revoke_token(&self, secret: &str) {
        let mut tx = self.store.begin().await.unwrap();
        let known = tokens::find(&mut tx, secret).await.unwrap().unwrap();
        tokens::revoke(&mut tx, &known.token.id).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn keys_that_an_agent_makes_up_are_no_rows() {
    let Some(it) = Server::start().await else { return };
    let before = it.count("key_holders").await;
    for odd in ["Z".repeat(410), "A".repeat(64), "a".repeat(63), String::new()] {
        let (status, problem) = it.say_keys(&[odd]).await;
        assert_eq!(status, 400, "{problem}");
        assert!(problem.to_string().len() < 1000, "{problem}");
    }
    let held = [1, 3].map(|n| certificate(n, 0).spki_sha256);
    for round in 0..3 {
        let made_up = (0..1990).map(|n| format!("{round:032x}{n:032x}"));
        let keys: Vec<String> = made_up.chain(held.clone()).collect();
        assert_eq!(it.say_keys(&keys).await.0, 200);
        assert_eq!(it.count("key_holders").await, before);
    }
    let too_many: Vec<String> = (0..2001).map(|n| format!("{n:064x}")).collect();
    assert_eq!(it.say_keys(&too_many).await.0, 400);
}

#[tokio::test]
async fn a_report_changes_what_is_held_by_so_many_keys_and_the_next_one_goes_on() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let mut keys = Vec::new();
    for n in 1000..1300 {
        let new = certificate(n, 60);
        keys.push(new.spki_sha256.clone());
        certificates::insert(&mut tx, &new).await.unwrap();
    }
    tx.commit().await.unwrap();
    let own = it.count("key_holders").await;
    for expected in [256, 300, 300] {
        assert_eq!(it.say_keys(&keys).await.0, 200);
        assert_eq!(it.count("key_holders").await, expected);
    }
    assert_eq!(own, 2, "those of before are not among the keys, and are gone");
    for expected in [300 - 256, 0] {
        assert_eq!(it.say_keys(&[]).await.0, 200);
        assert_eq!(it.count("key_holders").await, expected);
    }
}

#[tokio::test]
async fn a_spent_one_time_token_takes_over_no_agent_that_enrolled_again() {
    let Some(it) = Server::start().await else { return };
    let first = it.make_token("e1", Role::Agent, Purpose::Enrol, None, None).await;
    let (status, enrolled) = it.enrol_with(&first, "k1").await;
    assert_eq!(status, 201, "{enrolled}");
    let agent = enrolled["agent_id"].as_str().unwrap();
    let path = format!("/api/v1/agents/{agent}/token");
    let second = it.post(&path, "").await.1["token"].as_str().unwrap().to_owned();
    let (status, again) = it.enrol_with(&second, "k2").await;
    assert_eq!(status, 201, "{again}");

    let (status, answer) = it.enrol_with(&first, "k1").await;
    assert_eq!(
        (status.as_u16(), &answer["token"]),
        (401, &Value::Null),
        "{answer}"
    );
    // The answer to the second enrolment may still be lost, as long as its token wasn't used.
    let (status, once_more) = it.enrol_with(&second, "k2").await;
    assert_eq!(status, 201, "{once_more}");
    let report = json!({"agent_version": "1", "address": "http://127.0.0.1:1", "install_dirs": ["/srv/tls"],
        "installations": [], "keys": []});
    let path = format!("/api/v1/agents/{agent}/report");
    for (token, expected) in [
        (&enrolled["token"], 401),
        (&again["token"], 401),
        (&once_more["token"], 200),
    ] {
        let token = token.as_str().unwrap();
        let (status, reply) = it
            .call(Method::POST, &path, token, &report.to_string(), None)
            .await;
        assert_eq!(status, expected, "{reply}");
    }
}

/// The answer to a request whose body never comes.
async fn answer_without_body(it: &Server, path: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(it.base.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 100000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let whole = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut answer));
    let whole = whole.await;
    assert!(matches!(whole, Ok(Ok(_))), "the connection is held");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn who_may_not_is_told_so_before_a_body_comes_and_holds_no_connection() {
    let Some(it) = Server::start().await else { return };
    let dead = it.token("dead", Role::Operator, None, None).await;
    it.revoke_token(&dead).await;
    let revoke = format!("/api/v1/certs/{}/revoke", it.cert);
    let report = format!("/api/v1/agents/{}/report", it.agent);
    for (path, token, status) in [
        (&revoke, &dead, 401),
        (&revoke, &it.viewer, 403),
        (&report, &dead, 401),
        (&report, &it.operator, 403),
    ] {
        let answer = answer_without_body(&it, path, token).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

#[tokio::test]
async fn refusals_of_who_may_not_are_counted() {
    let Some(it) = Server::start().await else { return };
    let dead = it.token("dead", Role::Operator, None, None).await;
    it.revoke_token(&dead).await;
    let path = format!("/api/v1/certs/{}/revoke", it.cert);
    for token in [&dead, &it.viewer] {
        for _ in 0..60 {
            let (status, problem) = it.call(Method::POST, &path, token, "{}", None).await;
            assert!([401, 403].contains(&status.as_u16()), "{problem}");
        }
    }
    let rows = it.rows().await;
    assert_eq!(rows.len(), 2, "one for each token");
    // Something else that it tries has a row of its own.
    let ban = format!("/api/v1/agents/{}/ban", it.agent);
    assert_eq!(it.call(Method::POST, &ban, &dead, "", None).await.0, 401);
    assert_eq!(it.rows().await.len(), 3);
    it.clock.set(noon() + chrono::Duration::seconds(61));
    assert_eq!(it.call(Method::POST, &path, &dead, "{}", None).await.0, 401);
    let rows = it.rows().await;
    let told: Vec<(&str, &str)> = rows[3..]
        .iter()
        .map(|row| (row.actor.as_str(), row.detail.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for (actor, detail) in &told[..2] {
        assert!(
            detail.starts_with("and 59 more within a minute from "),
            "{actor}: {detail}"
        );
    }
    assert!(told.iter().any(|(actor, _)| *actor == "eyes") && told[2].0 == "dead");
}

#[tokio::test]
async fn a_blocked_key_is_not_certified_as_its_mirror_image() {
    let Some(it) = Server::start().await else { return };
    for (algorithm, key, mirrored) in [
        ("ecdsa-p256", mirror::P256, mirror::P256_MIRRORED),
        ("ecdsa-p384", mirror::P384_MIRRORED, mirror::P384),
    ] {
        let mut answers = Vec::new();
        for csr in [key, mirrored, key] {
            let body =
                json!({"common_name": "shop.example.com", "agent_id": it.agent, "key_algorithm": algorithm})
                    .to_string();
            let request = it.post("/api/v1/certs", &body).await.1["requests"][0]["id"].clone();
            let path = format!("/api/v1/requests/{}/csr", request.as_str().unwrap());
            let body = json!({"csr_pem": csr}).to_string();
            let (status, answer) = it.call(Method::POST, &path, &it.agent_token, &body, None).await;
            answers.push((status.as_u16(), answer.to_string()));
            if status == 200 {
                let spki = answer["spki_sha256"].as_str().unwrap();
                let path = format!("/api/v1/keys/{spki}/compromise");
                assert_eq!(it.post(&path, "{}").await.0, 200);
            }
        }
        assert_eq!(
            answers.iter().map(|it| it.0).collect::<Vec<_>>(),
            [200, 422, 422],
            "{answers:?}"
        );
        assert!(answers[1].1.contains("compromised"), "{answers:?}");
    }
}

#[tokio::test]
async fn a_token_has_a_few_event_streams() {
    let Some(it) = Server::start().await else { return };
    let open = async |token: &str| {
        let asked = it
            .http
            .get(format!("{}/api/v1/events", it.base))
            .bearer_auth(token);
        asked.send().await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..16 {
        let stream = open(&it.viewer).await;
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    let refused = open(&it.viewer).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(
        refused
            .text()
            .await
            .unwrap()
            .contains("event streams open already")
    );
    assert_eq!(
        open(&it.operator).await.status(),
        200,
        "another one's are its own"
    );
    streams.clear();
    let again = async {
        while open(&it.viewer).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again)
        .await
        .unwrap();
}
