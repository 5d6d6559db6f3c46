//! Another CA that answers in an adapter's place is accepted or dismissed by somebody who compared it, on record.

use cmp_console::domain::adapter::{Ca, StrangeCa};
use cmp_console::domain::audit::AuditOutcome;
use cmp_console::store::cas;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Server, noon};

fn ca(n: u8) -> Ca {
    Ca {
        subject: format!("CN=root {n}"),
        spki_sha256: format!("{n:02x}").repeat(32),
        fingerprint_sha256: format!("{:02x}", n + 100).repeat(32),
        not_after: noon(),
        accepted_at: None,
        pem: None,
    }
}

/// The known one is 1, and `n` answers in its place.
async fn answers(it: &Server, n: u8, signed: bool) {
    let mut tx = it.store.begin().await.unwrap();
    cas::keep_first(&mut tx, &it.adapter, &ca(1)).await.unwrap();
    let strange = match signed {
        true => StrangeCa::signed(ca(n), noon()),
        false => StrangeCa::shown(ca(n), noon()),
    };
    cas::stop_for(&mut tx, &it.adapter, &strange).await.unwrap();
    tx.commit().await.unwrap();
}

async fn shown(it: &Server) -> Value {
    let (status, all) = it.get("/api/v1/adapters").await;
    assert_eq!(status, 200, "{all}");
    all[0].clone()
}

#[tokio::test]
async fn a_rotated_ca_is_accepted_by_who_compared_it_and_by_nobody_else() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/adapters/{}/accept-ca", it.adapter);
    let body = |n: u8| {
        json!({"spki_sha256": ca(n).spki_sha256, "comment": "rotated", "ticket": "CHG-7"}).to_string()
    };
    assert_eq!(it.post(&path, &body(2)).await.0, 409, "none waits for a decision");
    answers(&it, 2, false).await;
    let paused = shown(&it).await;
    assert_eq!(paused["status"], "paused");
    let why = paused["paused_reason"].as_str().unwrap();
    for part in [&ca(1).spki_sha256, &ca(2).spki_sha256, &path] {
        assert!(why.contains(part.as_str()), "{why}");
    }
    // The finding has the whole sentence, which says what to send.
    let (_, reply) = it.get("/api/v1/findings").await;
    let all = reply["findings"].as_array().unwrap();
    let finding = all.iter().find(|it| it["entity_id"] == paused["id"]).unwrap();
    assert!(finding["what"].as_str().unwrap().contains(why), "{finding}");

    let (status, _) = it.call(Method::POST, &path, &it.viewer, &body(2), None).await;
    assert_eq!(status, 403);
    for (wrong, code) in [
        (body(3), 409),
        (body(1), 409),
        ("{}".to_owned(), 400),
        (String::new(), 400),
        (
            json!({"spki_sha256": ca(2).spki_sha256, "certificate_sha256": "ab"}).to_string(),
            400,
        ),
        (json!({"certificate_sha256": "ab"}).to_string(), 409),
    ] {
        let (status, problem) = it.post(&path, &wrong).await;
        assert_eq!(status, code, "{wrong}: {problem}");
    }
    assert_eq!(shown(&it).await["cas"].as_array().unwrap().len(), 1);
    let (status, now) = it.post(&path, &body(2)).await;
    assert_eq!(status, 200, "{now}");
    assert_eq!(
        (
            &now["strange_ca"],
            &now["cas"][0]["subject"],
            &now["cas"][1]["spki_sha256"]
        ),
        (&Value::Null, &json!("CN=root 1"), &json!(ca(2).spki_sha256))
    );
    let row = it.rows().await.pop().unwrap();
    assert_eq!(
        (row.action.as_str(), row.outcome),
        ("accept-ca", AuditOutcome::Done)
    );
    assert_eq!(
        (row.reason.as_deref(), row.ticket.as_deref(), row.actor.as_str()),
        (Some("rotated"), Some("CHG-7"), "ops")
    );
    assert!(row.detail.unwrap().contains(&ca(2).spki_sha256));
    assert_eq!(it.post(&path, &body(2)).await.0, 409, "it is known now");
}

#[tokio::test]
async fn a_ca_that_is_somebody_elses_is_dismissed_and_stays_unknown() {
    let Some(it) = Server::start().await else { return };
    answers(&it, 2, true).await;
    // That another one is only shown afterwards doesn't hide the one that signed.
    answers(&it, 3, false).await;
    assert_eq!(
        shown(&it).await["strange_ca"]["ca"]["spki_sha256"],
        json!(ca(2).spki_sha256)
    );
    let path = format!("/api/v1/adapters/{}/dismiss-ca", it.adapter);
    let body = json!({"spki_sha256": ca(2).spki_sha256}).to_string();
    let (status, now) = it.post(&path, &body).await;
    assert_eq!(status, 200, "{now}");
    assert_eq!(
        (&now["strange_ca"], now["cas"].as_array().unwrap().len()),
        (&Value::Null, 1)
    );
    let row = it.rows().await.pop().unwrap();
    assert_eq!(
        (row.action.as_str(), row.outcome),
        ("dismiss-ca", AuditOutcome::Done)
    );
    let (_, report) = it.get("/api/v1/audit/verify").await;
    assert_eq!(report["whole"], true);
}

#[tokio::test]
async fn a_ca_that_was_accepted_is_seen_and_can_be_dismissed_but_for_the_last_one() {
    let Some(it) = Server::start().await else { return };
    answers(&it, 2, true).await;
    let path = |what: &str| format!("/api/v1/adapters/{}/{what}-ca", it.adapter);
    let body =
        |n: u8| json!({"spki_sha256": ca(n).spki_sha256, "comment": "why", "ticket": "CHG-8"}).to_string();
    assert_eq!(it.post(&path("accept"), &body(2)).await.0, 200);
    let accepted = async || {
        let (_, reply) = it.get("/api/v1/findings").await;
        let all = reply["findings"].as_array().unwrap().clone();
        all.into_iter().find(|it| it["kind"] == "ca_accepted")
    };
    let told = accepted().await.unwrap();
    let what = told["what"].as_str().unwrap();
    assert!(
        what.contains("2 CAs count") && what.contains(&path("dismiss")) && what.contains(&ca(2).spki_sha256),
        "{what}"
    );

    let (status, now) = it.post(&path("dismiss"), &body(2)).await;
    assert_eq!(status, 200, "{now}");
    assert_eq!(now["cas"].as_array().unwrap().len(), 1, "{now}");
    assert_eq!(now["cas"][0]["spki_sha256"], json!(ca(1).spki_sha256));
    let row = it.rows().await.pop().unwrap();
    assert_eq!(
        (row.action.as_str(), row.outcome, row.reason.as_deref()),
        ("dismiss-ca", AuditOutcome::Done, Some("why"))
    );
    assert!(row.detail.unwrap().contains(&ca(2).spki_sha256));
    assert_eq!(accepted().await, None);
    // Seen again, it is a stranger again.
    answers(&it, 2, false).await;
    assert_eq!(shown(&it).await["paused_kind"], "another_ca");
    assert_eq!(it.post(&path("dismiss"), &body(2)).await.0, 200);
    // Without any, whichever came next would count.
    let (status, problem) = it.post(&path("dismiss"), &body(1)).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem.to_string().contains("the only CA"), "{problem}");
    assert_eq!(it.post(&path("dismiss"), &body(3)).await.0, 409);
}

#[tokio::test]
async fn who_signs_with_an_unknown_key_is_dismissed_by_what_was_signed_and_never_accepted() {
    let Some(it) = Server::start().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    cas::keep_first(&mut tx, &it.adapter, &ca(1)).await.unwrap();
    let sha256 = "ab".repeat(32);
    let nobody = StrangeCa::untraced(&sha256, noon());
    cas::stop_for(&mut tx, &it.adapter, &nobody).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        shown(&it).await["strange_ca"]["certificate_sha256"],
        json!(sha256)
    );
    let path = |what: &str| format!("/api/v1/adapters/{}/{what}-ca", it.adapter);
    let body = json!({"certificate_sha256": sha256}).to_string();
    let (status, problem) = it.post(&path("accept"), &body).await;
    assert_eq!(status, 409);
    assert!(
        problem.to_string().contains("no key that could be accepted"),
        "{problem}"
    );
    let (status, now) = it.post(&path("dismiss"), &body).await;
    assert_eq!(status, 200, "{now}");
    assert_eq!(now["strange_ca"], Value::Null);
}
