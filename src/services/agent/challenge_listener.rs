//! Where CAs look for the answers to their HTTP challenges: a port that anybody may call. It takes no input but
//! a token, and holds few connections, each for a short time.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path as Params, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::host::Host;
use super::stopped;

/// Connections at a time; a CA looks from a handful of places.
const MAX_CONNECTIONS: usize = 64;
/// How long one connection may last, a slow caller's too.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);
/// The pause after the system had no connection to give.
const OUT_OF_CONNECTIONS: Duration = Duration::from_millis(100);

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
    let service = TowerToHyperService::new(routes);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut shutdown) => return,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < MAX_CONNECTIONS => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(OUT_OF_CONNECTIONS).await;
                    continue;
                };
                let connection = http1::Builder::new()
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service.clone());
                // A caller that breaks off or is slow is its own loss.
                open.spawn(async move { tokio::time::timeout(CONNECTION_LIMIT, connection).await.is_ok() });
            }
        }
    }
}

async fn answer(State(host): State<Arc<Host>>, Params(token): Params<String>) -> Response {
    match host.challenges.answer(&token, host.clock.now()) {
        Some(text) => ([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response(),
        None => (StatusCode::NOT_FOUND, "no such challenge\n").into_response(),
    }
}
