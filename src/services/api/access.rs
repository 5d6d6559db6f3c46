//! Around every request: its id, its log line, its place in the metrics, and the time that it may take.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument, Span};

use super::{ApiState, reply, request_id};
use crate::problem::Problem;
use crate::services::serve::date;

/// What is asked all the time by machines: its log lines are for debugging.
const ROUTINE: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Answers within the time allowed, and tells that it did.
pub(super) async fn around(State(api): State<ApiState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id::of(request.headers());
    let method = known(request.method());
    // The template, never the path itself: ids would make a series each, and a query may hold anything.
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method,
        route,
        token = tracing::field::Empty,
        audit_seq = tracing::field::Empty,
    );
    let mut response = within(api.bounds.answer, request, next)
        .instrument(span.clone())
        .await;
    date(api.store.clock().now(), response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    let took = began.elapsed();
    let status = response.status().as_u16();
    span.in_scope(|| told(&route, status, took));
    api.metrics.answered(method, &route, status, took);
    response
}

fn told(route: &str, status: u16, took: Duration) {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match status {
        500.. => tracing::warn!(status, ms, "answered"),
        _ if ROUTINE.contains(&route) => tracing::debug!(status, ms, "answered"),
        _ => tracing::info!(status, ms, "answered"),
    }
}

/// The log and the metrics know these; a visitor can't make up more.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// A question that takes too long is given up. A change is not: cut in the middle of its commit nobody
/// would know what became of it, so it is carried to its end, whoever still waits for the answer.
async fn within(limit: Duration, request: Request, next: Next) -> Response {
    let changes = !(request.method().is_safe());
    let answering = next.run(request).instrument(Span::current());
    if changes {
        let under_way = tokio::spawn(answering);
        return match tokio::time::timeout(limit, under_way).await {
            Ok(ended) => whole(ended),
            Err(_) => reply::problem(
                Problem::no_answer(format!(
                    "it was not done within {} s, and may still be",
                    limit.as_secs()
                ))
                .hint("send it again with the same Idempotency-Key: it is done once, and answered then"),
            ),
        };
    }
    // Dropped with this, it ends.
    let mut under_way = JoinSet::new();
    under_way.spawn(answering);
    match tokio::time::timeout(limit, under_way.join_next()).await {
        Ok(Some(ended)) => whole(ended),
        // There is exactly one task in it.
        Ok(None) => defect(),
        Err(_) => reply::problem(
            Problem::unavailable(format!("there was no answer within {} s", limit.as_secs()))
                .hint("the server is overloaded or its database slow; ask again in a moment"),
        ),
    }
}

fn whole(ended: Result<Response, JoinError>) -> Response {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "a request ended in a defect");
        defect()
    })
}

fn defect() -> Response {
    reply::problem(
        Problem::internal("the server failed over this request")
            .hint("its log has more under the X-Request-Id of this answer"),
    )
}
