//! The HTTP API on 8082: routes, and what every route shares. One file a route; changes go through
//! `audited` and through nothing else.

mod access;
mod adapters;
mod agents;
mod audit;
mod audited;
mod cached;
mod caller;
mod certs;
mod csr;
mod denial;
mod events;
mod findings;
mod freshness;
mod health;
mod idempotency;
mod idempotency_key;
mod identity;
mod identity_ca;
mod identity_renewal;
mod input;
mod installations;
mod jobs;
mod keys;
mod limits;
mod liveness;
mod me;
mod metrics;
mod openapi;
mod own_run;
mod paths;
mod reply;
mod request_id;
mod requests;
mod retold;
mod run_end;
mod runs;
mod standing;
mod state;
mod streams;
mod together;
mod tokens;
mod trends;
mod turned_away;
mod turns;
mod waiting;
mod waker;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::services::serve::{Served, Tls};

pub use identity_ca::{IdentityCa, IdentityCaError};
pub use liveness::serve_health;
pub use state::{ApiState, Unreached, Wake};
pub use waiting::stand_in;

/// More than any body that means something here.
const BODY_LIMIT: usize = crate::wire::runs::MAX_BEGIN_BYTES;

/// All routes.
pub fn router(state: ApiState) -> Router {
    guarded(routes(), state)
}

fn guarded(routes: OpenApiRouter<ApiState>, state: ApiState) -> Router {
    let (routes, _) = routes.split_for_parts();
    routes
        .fallback(reply::no_route)
        .method_not_allowed_fallback(reply::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(state.clone(), access::around))
        .with_state(state)
}

/// What tells of the process alone, and needs no token.
fn health_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

/// All routes with what they say of themselves.
fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::Base::openapi())
        .merge(health_routes())
        .routes(routes!(openapi::openapi))
        .nest("/api/v1", v1())
}

fn v1() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(me::me))
        .routes(routes!(events::events))
        .routes(routes!(findings::findings))
        .routes(routes!(trends::trends))
        .routes(routes!(installations::list))
        .routes(routes!(jobs::read))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::read))
        .merge(adapters::routes())
        .merge(certs::routes())
        .merge(agents::routes())
        .merge(requests::routes())
        .merge(keys::routes())
        .merge(tokens::routes())
        .routes(routes!(runs::list, runs::begin))
        .routes(routes!(runs::read))
        .routes(routes!(runs::step))
        .routes(routes!(runs::end))
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
    serve_over(listener, None, state, shutdown).await
}

/// The API over TLS, where a pair is given.
///
/// # Errors
/// The listener broke.
pub async fn serve_over(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    state: ApiState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let waker = tokio::spawn(waker::run(state.clone()));
    let forgetting = tokio::spawn(cached::forget_changes(state.clone()));
    let telling = tokio::spawn(turned_away::tell(state.clone()));
    let draining = state.clone();
    let served = Served {
        bounds: state.bounds,
        open: state.metrics.connections(),
        routes: router(state),
        tls,
    };
    let ended = served
        .on(listener, async move {
            shutdown.await;
            draining.drain();
        })
        .await;
    waker.abort();
    forgetting.abort();
    // Ends by itself once the server goes down, after what was counted is written.
    let _ = telling.await;
    ended
}
