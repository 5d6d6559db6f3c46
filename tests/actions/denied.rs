//! Ends that the platform's records deny: the console's own word for the run is the one that is on record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cmp_console::actions;
use cmp_console::domain::id::EntityKind;
use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::wire::problem_json::{MEDIA_TYPE, ProblemJson};
use serde_json::Value;

use super::demo::{Demo, eventually};
use super::{Hands, confirmed, target};

/// A way to the API on which an agent has not reported yet when a run's end is told.
#[derive(Clone)]
struct Way {
    to: String,
    http: reqwest::Client,
    /// "Done" is answered as while an agent has not reported yet.
    is_early: Arc<AtomicBool>,
}

impl Way {
    async fn to(demo: &Demo) -> (Self, String) {
        let way = Self {
            to: demo.text("/api"),
            http: reqwest::Client::new(),
            is_early: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass_on).with_state(way.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (way, address)
    }
}

async fn pass_on(State(way): State<Way>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body: Bytes = to_bytes(body, 1 << 20).await.unwrap();
    if head.uri.path().ends_with("/end") {
        let end: Value = serde_json::from_slice(&body).unwrap();
        if end["outcome"] == "done" && way.is_early.load(Ordering::Relaxed) {
            let early = Problem::new(
                ProblemKind::NotYet,
                "run is still under way: its agent has not reported",
            );
            let json = serde_json::to_string(&ProblemJson::from(early)).unwrap();
            return (StatusCode::CONFLICT, [("content-type", MEDIA_TYPE)], json).into_response();
        }
    }
    let mut headers = head.headers;
    headers.remove("host");
    let url = format!("{}{}", way.to, head.uri);
    let sent = way.http.request(head.method, url).headers(headers).body(body);
    let answer = sent.send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let media = answer.headers().get("content-type").cloned();
    let headers: HeaderMap = media
        .into_iter()
        .map(|it| (axum::http::header::CONTENT_TYPE, it))
        .collect();
    (status, headers, answer.bytes().await.unwrap()).into_response()
}

fn ends(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.starts_with("Ended(")).collect()
}

async fn said(hands: &Hands, words: &str) {
    eventually(words, async || {
        hands.said.lock().unwrap().contains(words).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_was_denied_while_an_agent_had_not_reported_is_told_again_until_it_is_on_record() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let (way, api) = Way::to(&demo).await;
    way.is_early.store(true, Ordering::Relaxed);
    let hands = Hands::new(&demo, &api, tmp.path());
    let on = target(&demo, EntityKind::Certificate).await;
    let plan = hands.plan(actions::find("install").unwrap(), vec![on]).await;
    let run = format!("/api/v1/runs/{}", plan.run_id);
    let meanwhile = async {
        said(&hands, "\nEnded(Unknown(").await;
        assert_eq!(demo.read(&run).await["outcome"], "unknown");
        way.is_early.store(false, Ordering::Relaxed);
    };
    let ((_, said), ()) = tokio::join!(hands.carry_out_and_follow(confirmed(plan)), meanwhile);
    let ends = ends(&said);
    assert!(
        ends.len() == 2 && ends[1].starts_with("Ended(Proven("),
        "{ends:?}\n{said}"
    );
    assert_eq!(demo.read(&run).await["outcome"], "done");
}
