//! Stands in for the API while its database can't be used yet, and says why wherever it is asked. It reads
//! and changes nothing.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::domain::link::{Backend, LinkState};
use crate::problem::Problem;
use crate::services::serve::{Bounds, Served, Tls};
use crate::store::Trouble;
use crate::wire::health::Ready;

use super::{health, reply};

/// Answers on `listener` until `end`, with what `why` says then.
///
/// # Errors
/// The listener's address can't be told.
pub async fn stand_in(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    bounds: Bounds,
    why: watch::Receiver<Trouble>,
    end: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let ready = why.clone();
    let routes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(async move || readyz(&ready.borrow())))
        .fallback(async move || refused(&why.borrow()));
    let served = Served {
        tls,
        ..Served::plain(routes, bounds)
    };
    served.on(listener, end).await
}

fn readyz(why: &Trouble) -> Response {
    let database = health::health(Backend::Database, LinkState::Down, Some(why.to_string()));
    // What is behind the database can't be seen without it.
    let hidden = [Backend::Issuer, Backend::Agents, Backend::Cache];
    let mut backends = vec![database];
    backends.extend(hidden.map(|it| health::health(it, LinkState::Unknown, None)));
    health::answer(&Ready {
        ready: false,
        backends,
        database: None,
        clock_ahead_ms: None,
        workers: Vec::new(),
    })
}

fn refused(why: &Trouble) -> Response {
    let problem = Problem::unavailable(format!("the server waits for its database: {}", why.what));
    let mut response = reply::problem(problem.hint(format!("{}; it goes on by itself", why.hint)));
    // Whatever is asked, and however: nothing was looked at.
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
