//! `GET /metrics` in the text format of Prometheus: what this server answered, and how the platform is.
//! No token, and nothing in it needs one: counts only.

mod platform;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use platform::Platform;

use super::ApiState;
use super::openapi::Limits;

/// Upper edges in seconds: from a read out of memory to the time limit.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names with values, one set for each series.
type Labels<const N: usize> = [(&'static str, String); N];

/// Everything that is counted. Clones share it.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<Labels<3>, Counter>,
    durations: Family<Labels<2>, Histogram, fn() -> Histogram>,
    connections: Gauge,
    platform: Platform,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("cmp");
        let requests = Family::default();
        registry.register(
            "http_requests",
            "Requests answered, by method, route template and status",
            requests.clone(),
        );
        let durations = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register(
            "http_request_duration_seconds",
            "Time from a request's head to its answer, by method and route template",
            durations.clone(),
        );
        let connections = Gauge::default();
        registry.register(
            "http_connections",
            "Connections that are open now, event streams included",
            connections.clone(),
        );
        let build: Family<Labels<1>, Gauge> = Family::default();
        registry.register("build_info", "The program's version; always 1", build.clone());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        build.get_or_create(&[("version", version)]).set(1);
        let platform = Platform::new(&mut registry);
        Self(Arc::new(Inner {
            registry,
            requests,
            durations,
            connections,
            platform,
        }))
    }

    /// A request was answered.
    pub(super) fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let (method, route) = (("method", method.to_owned()), ("route", route.to_owned()));
        let status = ("status", status.to_string());
        let requests = &self.0.requests;
        requests
            .get_or_create(&[method.clone(), route.clone(), status])
            .inc();
        let durations = &self.0.durations;
        durations
            .get_or_create(&[method, route])
            .observe(took.as_secs_f64());
    }

    /// Where open connections are counted.
    pub(super) fn connections(&self) -> Gauge {
        self.0.connections.clone()
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// Metrics for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    operation_id = "metrics",
    responses((status = 200, body = String, content_type = "application/openmetrics-text", description = "OpenMetrics 1.0 text"), Limits),
)]
pub(super) async fn metrics(State(api): State<ApiState>) -> Response {
    api.metrics.0.platform.refresh(&api.store).await;
    let mut text = String::new();
    // Writing into a string doesn't fail.
    if encode(&mut text, &api.metrics.0.registry).is_err() {
        let _ = writeln!(text, "# EOF");
    }
    let mut response = (StatusCode::OK, text).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}
