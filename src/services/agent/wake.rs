//! The wake-up: `POST /checkin` makes the agent report now. Anybody may call it, so it takes no
//! input, and a flood of calls shares the one check-in that is about to start.

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::{mpsc, oneshot};

use crate::problem::{Problem, ProblemKind};
use crate::services::serve::{Bounds, Served};
use crate::wire::agents::WakeReply;
use crate::wire::problem_json::{MEDIA_TYPE, ProblemJson};

/// Callers that may wait for one check-in.
const MAX_WAITING: usize = 64;
/// Connections at once: more than may wait, so that the next caller is told.
const MAX_CONNECTIONS: usize = 2 * MAX_WAITING;

/// One caller that waits for the next check-in.
pub(super) type Caller = oneshot::Sender<WakeReply>;

/// The wake-up, and the callers as they come.
pub(super) fn served() -> (Served, mpsc::Receiver<Caller>) {
    let (callers, waiting) = mpsc::channel(MAX_WAITING);
    let router = Router::new()
        .route("/checkin", post(checkin))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { refuse(Problem::not_found("there is no such route on an agent")) })
        .with_state(callers);
    (Served::plain(router, Bounds::of_few(MAX_CONNECTIONS)), waiting)
}

async fn checkin(State(callers): State<mpsc::Sender<Caller>>) -> Response {
    let (caller, answer) = oneshot::channel();
    match callers.try_send(caller) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(_)) => {
            return refuse(
                Problem::new(
                    ProblemKind::TooMany,
                    "too many callers wait for this agent's check-in already",
                )
                .hint("wait for the next one; the agent also checks in by itself"),
            );
        }
        Err(mpsc::error::TrySendError::Closed(_)) => return stopping(),
    }
    match answer.await {
        Ok(reply) => Json(reply).into_response(),
        Err(_) => stopping(),
    }
}

fn stopping() -> Response {
    refuse(Problem::unavailable("the agent is stopping").hint("it checks in when it starts again"))
}

fn refuse(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, MEDIA_TYPE)];
    (status, kind, Json(ProblemJson::from(problem))).into_response()
}
