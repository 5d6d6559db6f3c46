//! Each slip is told in words, leaves an audit row where something was attempted, and changes nothing.

use chrono::Duration;
use cmp_console::domain::audit::AuditOutcome;
use cmp_console::domain::role::Role;
use cmp_console::store::audit;
use cmp_console::store::tokens::Purpose;
use reqwest::Method;

use super::support::{Server, noon};

#[tokio::test]
async fn every_slip_is_told_recorded_and_without_effect() {
    let Some(it) = Server::start().await else { return };
    let revoke = format!("/api/v1/certs/{}/revoke", it.cert);
    let install = format!("/api/v1/agents/{}/install", it.agent);
    let body = |cert: &str, path: &str| format!(r#"{{"cert_id": "{cert}", "path": "{path}"}}"#);
    let slips = [
        (revoke.clone(), r#"{"reason": "#.to_owned(), 400, "line 1 column"),
        (
            revoke.clone(),
            r#"{"reason": "x", "why": 1}"#.to_owned(),
            400,
            "unknown field `why`",
        ),
        (
            revoke.clone(),
            r#"{"reason": "stolen"}"#.to_owned(),
            400,
            "`stolen` is not a reason",
        ),
        (
            revoke.clone(),
            r#"{"reason": "certificateHold"}"#.to_owned(),
            400,
            "not a reason",
        ),
        (
            "/api/v1/certs/crt_none/revoke".to_owned(),
            r#"{"reason": "superseded"}"#.to_owned(),
            404,
            "there is no certificate `crt_none`",
        ),
        (
            install.clone(),
            body(&it.cert, "/etc/shadow"),
            422,
            "outside the directories",
        ),
        (
            install.clone(),
            body(&it.cert, "/srv/tls/../x"),
            422,
            "is not normalised",
        ),
        (
            install.clone(),
            body(&it.foreign_cert, "/srv/tls/a"),
            422,
            "doesn't have the private key",
        ),
        (
            install.clone(),
            body(&it.expired_cert, "/srv/tls/a"),
            422,
            "expired at",
        ),
        (
            install.clone(),
            body("crt_none", "/srv/tls/a"),
            404,
            "there is no certificate",
        ),
        (
            "/api/v1/agents/agt_none/install".to_owned(),
            body(&it.cert, "/srv/tls/a"),
            404,
            "there is no agent",
        ),
        ("/api/v1/certs".to_owned(), "{}".to_owned(), 400, "missing field"),
        (
            format!("/api/v1/certs/{}/reissue", it.cert),
            r#"{"key_algorithm": "rsa-512"}"#.to_owned(),
            400,
            "not a key algorithm",
        ),
        (
            format!("/api/v1/certs/{}/reissue", it.foreign_cert),
            String::new(),
            422,
            "no agent is known",
        ),
        (
            "/api/v1/keys/ab/compromise".to_owned(),
            String::new(),
            404,
            "there is no key",
        ),
        (
            "/api/v1/requests/req_none/cancel".to_owned(),
            String::new(),
            404,
            "there is no request",
        ),
    ];
    let before = it.facts().await;
    for (n, (path, body, status, said)) in slips.into_iter().enumerate() {
        let (answered, problem) = it.post(&path, &body).await;
        assert_eq!(answered, status, "{path} {body}: {problem}");
        assert_eq!(problem["status"], status);
        let title = problem["title"].as_str().unwrap();
        assert!(title.contains(said), "{path} {body}: {title}");
        let rows = it.rows().await;
        assert_eq!(rows.len(), n + 1, "{path} {body}");
        assert_eq!(rows[n].outcome, AuditOutcome::Refused);
        assert_eq!(rows[n].actor, "ops");
    }
    assert_eq!(it.facts().await, before);
    let (status, problem) = it.post(&revoke, r#"{"reason": "stolen"}"#).await;
    assert_eq!(status, 400);
    assert!(
        problem["detail"].as_str().unwrap().contains("keyCompromise (1)"),
        "{problem}"
    );
}

#[tokio::test]
async fn tokens_that_will_not_do() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/certs/{}/revoke", it.cert);
    let body = r#"{"reason": "superseded"}"#;
    let expired = it
        .token("old", Role::Operator, None, Some(noon() - Duration::hours(1)))
        .await;
    let before = it.facts().await;
    for (token, status, said, leaves_row) in [
        ("", 401, "carries no token", false),
        ("cmp_nonsense", 401, "is unknown", false),
        (expired.as_str(), 401, "`old` expired at", true),
        (it.viewer.as_str(), 403, "its role is viewer", true),
        (it.agent_token.as_str(), 403, "its role is agent", true),
    ] {
        let n_rows = it.rows().await.len();
        let (answered, problem) = it.call(Method::POST, &path, token, body, None).await;
        assert_eq!(answered, status, "{problem}");
        assert!(problem["title"].as_str().unwrap().contains(said), "{problem}");
        assert_eq!(it.rows().await.len(), n_rows + usize::from(leaves_row), "{said}");
    }
    let (status, problem) = it.call(Method::GET, "/api/v1/certs", &expired, "", None).await;
    assert_eq!(status, 401);
    assert!(problem["title"].as_str().unwrap().contains("expired at"));
    let (status, _) = it
        .call(Method::GET, "/api/v1/certs", &it.agent_token, "", None)
        .await;
    assert_eq!(status, 403);
    assert_eq!(it.facts().await, before);
}

#[tokio::test]
async fn a_text_that_the_database_cannot_keep_is_the_callers_slip() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/certs/{}/revoke", it.cert);
    let body = r#"{"reason": "superseded", "comment": "a\u0000b"}"#;
    let (status, answer) = it.post(&path, body).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn questions_that_mean_nothing() {
    let Some(it) = Server::start().await else { return };
    for (path, status, said) in [
        ("/api/v1/certs?sort=pem", 400, "can't be sorted by `pem`"),
        ("/api/v1/certs?after=xyz", 400, "cursor"),
        ("/api/v1/certs?colour=red", 400, "`colour` is unknown"),
        ("/api/v1/certs?limit=many", 400, "limit=many"),
        ("/api/v1/keys?status=bogus", 400, "no status of a key"),
        ("/api/v1/audit?status=done", 400, "`status` means nothing"),
        ("/api/v1/certs?status=expired", 400, "not a status"),
        ("/api/v1/certs/crt_none", 404, "there is no certificate"),
        ("/api/v1/installations", 400, "`agent` is missing"),
        ("/api/v1/nothing", 404, "there is no route"),
        ("/nothing", 404, "there is no route"),
    ] {
        let (answered, problem) = it.get(path).await;
        assert_eq!(answered, status, "{path}: {problem}");
        assert!(
            problem["title"].as_str().unwrap().contains(said),
            "{path}: {problem}"
        );
    }
    let (status, problem) = it
        .call(Method::DELETE, "/api/v1/certs", &it.operator, "", None)
        .await;
    assert_eq!(status, 405);
    assert_eq!(problem["status"], 405);
    let big = "x".repeat(2 * 1024 * 1024);
    let (status, _) = it.post(&format!("/api/v1/certs/{}/revoke", it.cert), &big).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn without_its_audit_row_no_change() {
    use sqlx::Connection;
    let Some(it) = Server::start().await else { return };
    let before = it.facts().await;
    if let Some(database) = &it.postgres {
        database.psql(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ \
             BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = 'disk_full'; END $$; \
             CREATE TRIGGER a_full BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION full_disk()",
        );
    } else {
        let file = format!("sqlite://{}/cmp.db", it.dir.path().display());
        let mut conn = sqlx::SqliteConnection::connect(&file).await.unwrap();
        sqlx::query(
            "CREATE TRIGGER full BEFORE INSERT ON audit_logs BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        )
        .execute(&mut conn)
        .await
        .unwrap();
    }
    for (path, body) in [
        (
            format!("/api/v1/certs/{}/revoke", it.cert),
            r#"{"reason": "keyCompromise"}"#,
        ),
        (format!("/api/v1/agents/{}/ban", it.agent), ""),
        (format!("/api/v1/agents/{}/checkin", it.agent), ""),
        (format!("/api/v1/certs/{}/reissue", it.cert), ""),
    ] {
        let (status, problem) = it.post(&path, body).await;
        assert_eq!(status, 503, "{path}: {problem}");
    }
    assert!(it.woken.lock().unwrap().is_empty());
    assert_eq!(it.facts().await, before);
    assert_eq!(audit::verify(&it.store).await.unwrap().0, 0);
}

/// What an agent says of itself ends in commands that people copy and in files that they show.
#[tokio::test]
async fn what_an_agent_says_of_itself_steers_nothing() {
    let Some(it) = Server::start().await else { return };
    let good = serde_json::json!({
        "agent_version": "1", "address": "http://web-09:8084", "tls_address": "web-09:443",
        "install_dirs": ["/srv/tls"], "owner": "team web", "installations": [], "keys": [],
    });
    let path = format!("/api/v1/agents/{}/report", it.agent);
    for (field, value) in [
        ("address", serde_json::json!("http://web-09:8084/;id")),
        ("address", serde_json::json!("-o/etc/passwd")),
        ("tls_address", serde_json::json!("web-09:443\n")),
        ("tls_address", serde_json::json!("web-09")),
        ("install_dirs", serde_json::json!(["/srv/tls", "/srv/\u{1b}[2J"])),
        ("agent_version", serde_json::json!("1\u{202e}")),
        ("owner", serde_json::json!("web\r")),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let (status, problem) = it
            .call(Method::POST, &path, &it.agent_token, &body.to_string(), None)
            .await;
        assert_eq!(status, 400, "{body}: {problem}");
        assert!(problem["title"].as_str().unwrap().contains(field), "{problem}");
        let enrolment = it
            .make_token("new", Role::Agent, Purpose::Enrol, None, None)
            .await;
        body["hostname"] = "web-09".into();
        for other in ["installations", "keys"] {
            body.as_object_mut().unwrap().remove(other);
        }
        let (status, problem) = it
            .call(
                Method::POST,
                "/api/v1/agents/enrol",
                &enrolment,
                &body.to_string(),
                None,
            )
            .await;
        assert_eq!(status, 400, "{body}: {problem}");
        assert!(problem["title"].as_str().unwrap().contains(field), "{problem}");
    }
    let (status, answer) = it
        .call(Method::POST, &path, &it.agent_token, &good.to_string(), None)
        .await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_filter_has_an_end() {
    let Some(it) = Server::start().await else { return };
    let words = |n: usize, word: &str| vec![word; n].join("%20");
    for list in ["certs", "agents", "requests", "audit", "keys", "runs"] {
        for (query, said) in [
            (format!("q={}", words(1000, "a")), "longer than 200 characters"),
            (format!("q={}", words(21, "a")), "at most 20 words"),
            (
                format!("q={}", "%C3%A4".repeat(201)),
                "longer than 200 characters",
            ),
            (format!("sort={}", "x".repeat(300)), "longer than 200 characters"),
        ] {
            let (status, problem) = it.get(&format!("/api/v1/{list}?{query}")).await;
            assert_eq!(status, 400, "{list}: {problem}");
            assert!(
                problem["title"].as_str().unwrap().contains(said),
                "{list}: {problem}"
            );
        }
    }
    for (filter, said) in [
        (words(1000, "a"), "longer than 200 characters"),
        (words(21, "!b"), "at most 20 words"),
        ("x".repeat(201), "longer than 200 characters"),
    ] {
        let (status, problem) = it.get(&format!("/api/v1/certs?filter={filter}")).await;
        assert_eq!(status, 400, "{problem}");
        assert!(problem["title"].as_str().unwrap().contains(said), "{problem}");
    }
    let longest = format!("/api/v1/certs?filter={}", words(20, "%C3%A4%C3%A4bcdefgh"));
    assert_eq!(it.get(&longest).await.0, 200);
}

#[tokio::test]
async fn a_flood_of_slips_is_counted_and_keeps_nothing() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/certs/{}/revoke", it.cert);
    let n_before = it.rows().await.len();
    for n in 0..60 {
        let (path, body) = match n % 2 {
            0 => (path.clone(), r#"{"reason": "#),
            _ => (
                format!("/api/v1/certs/crt_{n}/revoke"),
                r#"{"reason": "superseded"}"#,
            ),
        };
        let key = format!("flood-{n}");
        let (status, _) = it.call(Method::POST, &path, &it.operator, body, Some(&key)).await;
        assert_eq!(status, if n % 2 == 0 { 400 } else { 404 });
    }
    let rows = it.rows().await;
    assert_eq!(rows.len() - n_before, 20);
    assert!(
        rows[n_before..]
            .iter()
            .all(|row| row.outcome == AuditOutcome::Refused)
    );
    // A refusal that was only counted was not kept under its key either, and the right body is taken.
    let good = r#"{"reason": "superseded"}"#;
    let (status, answer) = it
        .call(Method::POST, &path, &it.operator, good, Some("flood-58"))
        .await;
    assert_eq!(status, 202, "{answer}");
    // One more row tells of them, once the minute is over.
    it.clock.set(noon() + Duration::seconds(61));
    let (status, _) = it.call(Method::POST, &path, &it.viewer, good, None).await;
    assert_eq!(status, 403);
    let rows = it.rows().await;
    let told: Vec<_> = rows.iter().filter_map(|row| row.detail.as_deref()).collect();
    assert!(
        told.iter()
            .any(|detail| detail.starts_with("and 40 more within a minute")),
        "{told:?}"
    );
}
