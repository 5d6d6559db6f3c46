//! The listener on which CAs look for the answers to their HTTP challenges: a port that anybody may call. It takes
//! no input but a token, and holds few connections, of which idle ones make room.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path as Params, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::host::Host;
use super::stopped;
use crate::services::serve::{Bounds, Served};

/// Connections at a time; a CA looks from a handful of places.
const MAX_CONNECTIONS: usize = 64;

/// Answers on `listener`, if there is one, until `shutdown` says true.
pub(super) async fn serve(
    listener: Option<TcpListener>,
    host: Arc<Host>,
    mut shutdown: watch::Receiver<bool>,
) {
    let Some(listener) = listener else {
        return;
    };
    let routes = Router::new()
        .route("/.well-known/acme-challenge/{token}", get(answer))
        .with_state(host);
    let served = Served::plain(routes, Bounds::of_few(MAX_CONNECTIONS));
    if let Err(error) = served.on(listener, stopped(&mut shutdown)).await {
        tracing::error!(%error, "the challenges of CAs are not answered");
    }
}

async fn answer(State(host): State<Arc<Host>>, Params(token): Params<String>) -> Response {
    match host.challenges.answer(&token, host.clock.now()) {
        Some(text) => ([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response(),
        None => (StatusCode::NOT_FOUND, "no such challenge\n").into_response(),
    }
}
