//! The HTTP API on 8082: routes, and what every route shares. One file a route; changes go through
//! `audited` and through nothing else.

mod adapters;
mod agents;
mod audit;
mod audited;
mod cached;
mod caller;
mod certs;
mod csr;
mod events;
mod findings;
mod freshness;
mod health;
mod idempotency;
mod idempotency_key;
mod input;
mod installations;
mod jobs;
mod keys;
mod limits;
mod me;
mod paths;
mod reply;
mod requests;
mod runs;
mod state;
mod trends;
mod waker;

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tokio::net::TcpListener;

pub use limits::Limits;
pub use state::{ApiState, Unreached, Wake};

/// More than any body that means something here.
const BODY_LIMIT: usize = 1024 * 1024;

/// All routes.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .nest("/api/v1", v1())
        .fallback(reply::no_route)
        .method_not_allowed_fallback(reply::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state)
}

fn v1() -> Router<ApiState> {
    Router::new()
        .route("/me", get(me::me))
        .route("/events", get(events::events))
        .route("/findings", get(findings::findings))
        .route("/trends", get(trends::trends))
        .route("/adapters", get(adapters::list))
        .route("/installations", get(installations::list))
        .route("/jobs/{id}", get(jobs::read))
        .route("/audit", get(audit::list))
        .route("/audit/verify", get(audit::verify))
        .merge(certs::routes())
        .merge(agents::routes())
        .merge(requests::routes())
        .merge(keys::routes())
        .route("/runs", get(runs::list).post(runs::begin))
        .route("/runs/{id}", get(runs::read))
        .route("/runs/{id}/steps", post(runs::step))
        .route("/runs/{id}/end", post(runs::end))
}

/// Serves on `listener` until `shutdown`, and wakes agents that have something to do meanwhile. Ends
/// when the requests under way are answered; event streams are cut.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    listener: TcpListener,
    state: ApiState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let waker = tokio::spawn(waker::run(state.clone()));
    let forgetting = tokio::spawn(cached::forget_changes(state.clone()));
    let draining = state.clone();
    let routes = router(state).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, routes)
        .with_graceful_shutdown(async move {
            shutdown.await;
            draining.drain();
        })
        .await;
    waker.abort();
    forgetting.abort();
    served
}
