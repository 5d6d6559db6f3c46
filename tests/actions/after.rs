//! Words for a run while it is under way and after its end: by what is so, and not by what was so once.

use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use cmp_console::actions;
use cmp_console::domain::id::EntityKind;
use cmp_console::plan::guard::Guard;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::Target;
use tokio::sync::Semaphore;

use super::demo::{self, Demo};
use super::{Hands, confirmed, shares, target, target_on};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waited_for_the_ca_is_proven_once_it_was_carried_out() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let reissue = actions::find("reissue").unwrap();
    let plan = hands
        .plan(reissue, vec![target(&demo, EntityKind::Certificate).await])
        .await;
    let run = plan.run_id.clone();
    let ends_as = "Ended(Waiting(";
    let mend = async {
        demo::eventually("the run to wait for the sealed Vault", async || {
            let is_said = hands
                .said
                .lock()
                .unwrap()
                .lines()
                .any(|line| line.starts_with(ends_as));
            is_said.then_some(())
        })
        .await;
        let record = demo.read(&format!("/api/v1/runs/{run}")).await;
        assert_eq!(record["outcome"], "unknown", "{record}");
        demo.unseal().await;
    };
    let ((outcome, said), ()) = tokio::join!(hands.carry_out_and_follow(confirmed(plan)), mend);
    assert!(matches!(outcome, Outcome::Waiting(_)), "{outcome:?}");
    let ends: Vec<&str> = said.lines().filter(|line| line.starts_with("Ended(")).collect();
    assert!(
        ends.first().unwrap().starts_with(ends_as) && ends.last().unwrap().starts_with("Ended(Proven("),
        "{ends:?}\n{said}"
    );
    assert!(said.contains("ThingEnded(0, Proven("), "{said}");
    let record = demo.read(&format!("/api/v1/runs/{run}")).await;
    assert_eq!(record["outcome"], "done", "{record}");
    let steps = record["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["status"] == "proven"), "{record}");
}

/// While one waits for its host, the record counts what came of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_a_run_of_which_something_still_waits_follows_what_came_of_the_rest() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let mut targets = Vec::new();
    for host in ["web-01", "vpn-01"] {
        targets.push(target_on(&demo, EntityKind::Certificate, host).await);
    }
    let plan = hands.plan(actions::find("reissue").unwrap(), targets).await;
    let run = format!("/api/v1/runs/{}", plan.run_id);
    let noted = async |words: &str| {
        demo::eventually("the record to say so", async || {
            let record = demo.look(&run).await?;
            let note = record["note"].as_str().unwrap_or_default().to_owned();
            note.starts_with(words).then_some(record)
        })
        .await
    };
    let seen = async {
        noted("waiting: 2 waiting").await;
        demo.unseal().await;
        noted("waiting: 1 proven, 1 waiting").await
    };
    tokio::select! {
        ended = hands.carry_out_and_follow(confirmed(plan)) => panic!("{ended:?}"),
        record = seen => assert_eq!(record["outcome"], "unknown", "{record}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reissue_after_a_try_for_more_names_says_that_it_asks_for_the_present_ones() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let failed = demo.all("/api/v1/requests?status=failed").await;
    let refused = |it: &&serde_json::Value| it["sans"].to_string().contains("cdn.example.net");
    let failed = failed.iter().find(refused).unwrap();
    let on = Target {
        id: failed["replaces"].as_str().unwrap().to_owned(),
        ..target(&demo, EntityKind::Certificate).await
    };
    let plan = hands.plan(actions::find("reissue").unwrap(), vec![on]).await;
    let says = plan.changes.iter().find(|line| line.starts_with("The last try"));
    let says = says.unwrap_or_else(|| panic!("{:?}", plan.changes));
    let error = failed["error_message"].as_str().unwrap();
    let error = error.strip_prefix("the CA says `").unwrap();
    for part in [
        "asked for cdn.example.net too",
        &error[..40],
        "present names only",
    ] {
        assert!(says.contains(part), "{part}: {says}");
    }
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert_eq!(outcome.word(), "proven", "{said}");
    assert!(
        said.contains("cdn.example.net, which the last try asked for too, is not in it"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_this_console_did_not_send_is_not_called_refused_and_nothing_is_said_of_a_row_that_was_never_asked_for()
 {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let on = || target(&demo, EntityKind::Agent);
    let checkin = actions::find("checkin").unwrap();
    let n_runs = async || demo.all("/api/v1/audit").await.len();

    let plan = hands.plan(checkin, vec![on().await]).await;
    let before = n_runs().await;
    let (outcome, _) = hands.carry_out(confirmed(plan), Guard::ReadOnly, &[]).await;
    assert_eq!(outcome.word(), "unsent", "{outcome:?}");
    assert!(
        outcome.words().contains("this context is read-only"),
        "{outcome:?}"
    );
    assert_eq!(n_runs().await, before);

    // The API says no to it: a token that only looks. The row could be written, and is not.
    let reissue = actions::find("reissue").unwrap();
    let certificate = target(&demo, EntityKind::Certificate).await;
    let viewer = Hands::with_token(&demo, &demo.text("/viewer_token"), tmp.path());
    let plan = viewer.plan(reissue, vec![certificate]).await;
    let (outcome, _) = viewer.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert_eq!(outcome.word(), "refused", "{outcome:?}");
    assert!(
        outcome
            .words()
            .contains("the API refuses to put the run on record")
            && !outcome.words().contains("can't be written"),
        "{outcome:?}"
    );
}

/// A Vault that takes its time with shares.
#[derive(Clone)]
struct Slow {
    to: String,
    http: reqwest::Client,
    takes: Arc<Semaphore>,
}

async fn pass_on(State(slow): State<Slow>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if head.method == Method::PUT && head.uri.path().ends_with("/sys/unseal") {
        slow.takes.acquire().await.unwrap().forget();
    }
    let body: Bytes = to_bytes(body, 1 << 20).await.unwrap();
    let mut headers = head.headers;
    headers.remove("host");
    let url = format!("{}{}", slow.to, head.uri);
    let answer = slow
        .http
        .request(head.method, url)
        .headers(headers)
        .body(body)
        .send();
    let answer = answer.await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.bytes().await.unwrap()).into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_is_under_way_at_a_slow_vault_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let slow = Slow {
        to: demo.text("/vault"),
        http: reqwest::Client::new(),
        takes: Arc::new(Semaphore::new(0)),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(pass_on).with_state(slow.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let hands = Hands::at(&demo, &demo.text("/api"), &address, tmp.path());
    let mut on = target(&demo, EntityKind::Vault).await;
    on.id = address;
    let plan = hands.plan(actions::find("unseal").unwrap(), vec![on]).await;
    let three = &shares(&demo)[..3];
    let watched = async {
        for n in 1..=3 {
            let words = format!("sending share {n} of 3…");
            demo::eventually(&words, async || {
                hands.said.lock().unwrap().contains(&words).then_some(())
            })
            .await;
            let given = slow.takes.available_permits();
            assert_eq!(given, 0, "it waits for Vault while that is said");
            slow.takes.add_permits(1);
        }
    };
    let ((outcome, said), ()) =
        tokio::join!(hands.carry_out(confirmed(plan), Guard::ReadWrite, three), watched);
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
}
