//! What stands between a console and its backends: it passes every call on, notes it, and at one of them loses the
//! answer, or puts one of its own in its place, as gateways do. The call itself has arrived.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The connection ends without it.
    Swallowed,
    /// A gateway's page comes instead, with this status.
    Page(u16),
}

impl Loss {
    pub(crate) const ALL: [Self; 5] = [
        Self::Swallowed,
        Self::Page(502),
        Self::Page(503),
        Self::Page(504),
        Self::Page(200),
    ];

    fn response(self) -> Response {
        match self {
            // Ends the connection's task without a word.
            Self::Swallowed => std::panic::resume_unwind(Box::new(())),
            Self::Page(status) => {
                let html = [(header::CONTENT_TYPE, "text/html")];
                let page = "<html><body>Please sign in</body></html>";
                (StatusCode::from_u16(status).unwrap(), html, page).into_response()
            }
        }
    }
}

/// A call: its method and its path, and which of several; sent again with the same idempotency key it is the same.
pub(crate) type Call = String;

/// From this one on, calls with one name are not told apart: it is asked until an answer is right.
const MANY: usize = 3;

#[derive(Default)]
struct Plan {
    /// The calls so far, each once, in their order.
    calls: Vec<Call>,
    /// The call whose answers are lost, one after the other.
    at: Option<Call>,
    losses: Vec<Loss>,
    n_lost: usize,
}

/// One for each backend; all note and lose by the same plan.
#[derive(Clone)]
pub(crate) struct Between {
    http: reqwest::Client,
    plan: Arc<Mutex<Plan>>,
    /// What is written in answers instead of what, so that the next call comes here too.
    instead: Arc<Mutex<Vec<(String, String)>>>,
}

impl Between {
    pub(crate) fn new() -> Self {
        Self {
            http: reqwest::Client::new(),
            plan: Arc::default(),
            instead: Arc::default(),
        }
    }

    /// Stands before `target`; the address to use instead.
    pub(crate) async fn stand_before(&self, target: &str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let there = (self.clone(), target.to_owned());
        let routes = Router::new().fallback(pass).with_state(there);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let mut instead = self.instead.lock().unwrap();
        instead.push((target.to_owned(), address.clone()));
        address
    }

    /// Forgets what was noted; from now on `losses` befall the answers to `at`, one after the other.
    pub(crate) fn begin(&self, at: Option<&Call>, losses: &[Loss]) {
        *self.plan.lock().unwrap() = Plan {
            at: at.cloned(),
            losses: losses.to_vec(),
            ..Plan::default()
        };
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.plan.lock().unwrap().calls.clone()
    }

    pub(crate) fn n_lost(&self) -> usize {
        self.plan.lock().unwrap().n_lost
    }

    fn befalls(&self, name: String, has_key: bool) -> Option<Loss> {
        let mut plan = self.plan.lock().unwrap();
        let before = plan.calls.iter().filter(|call| call.starts_with(&name)).count();
        let call = match has_key {
            true => name,
            false => format!("{name} #{}", (before + 1).min(MANY)),
        };
        if !plan.calls.contains(&call) {
            plan.calls.push(call.clone());
        }
        if plan.at.as_ref() != Some(&call) {
            return None;
        }
        let loss = plan.losses.get(plan.n_lost).copied();
        plan.n_lost += usize::from(loss.is_some());
        loss
    }
}

async fn pass(State((here, target)): State<(Between, String)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let key = parts
        .headers
        .get("idempotency-key")
        .map(|key| key.to_str().unwrap().to_owned());
    let call = name(parts.method.as_str(), path, key.as_deref());
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let passed = here
        .http
        .request(parts.method, format!("{target}{path}"))
        .headers(headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let status = passed.status();
    let mut headers = passed.headers().clone();
    for hop in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        headers.remove(hop);
    }
    let body = passed.bytes().await.unwrap();
    if let Some(loss) = here.befalls(call, key.is_some()) {
        return loss.response();
    }
    let mut text = body.to_vec();
    if let Ok(words) = String::from_utf8(body.to_vec()) {
        let instead = here.instead.lock().unwrap();
        let words = instead
            .iter()
            .fold(words, |words, (it, instead)| words.replace(it, instead));
        text = words.into_bytes();
    }
    (status, headers, text).into_response()
}

/// What is new with each run is not part of a call's name: ids, and the digest of an end.
fn name(method: &str, path: &str, key: Option<&str>) -> String {
    let path = path.split('?').next().unwrap();
    let parts = path.split('/').map(|part| match part.split_once('_') {
        Some((kind @ ("run" | "crt" | "req" | "job" | "agt"), _)) => kind,
        _ => part,
    });
    let path = parts.collect::<Vec<_>>().join("/");
    let step = key.map(|key| key.split('/').skip(1).take(2).collect::<Vec<_>>().join("/"));
    format!(
        "{method} {path}{}",
        step.map_or_else(String::new, |step| format!(" {step}"))
    )
}
