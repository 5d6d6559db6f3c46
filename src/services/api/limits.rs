//! How much one token may ask within a time, counted in the cache: for all servers together where it is
//! Redis, for each by itself where it isn't. Every token has counters of its own, and reads, changes and
//! agents' reports are counted apart, so that nobody's flood is anybody else's.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::config::limits::WINDOW_S;
use crate::domain::role::Role;
use crate::problem::{Denial, Problem, ProblemKind};
use crate::store::tokens::Token;

use super::{ApiState, reply};

/// What a request is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asks {
    /// It reads.
    Read,
    /// It changes something, or reports.
    Change,
    /// It came with an agent's token from who did not prove to be that agent: counted apart, so that a
    /// copied token doesn't use up what the agent itself may send.
    Unproven,
}

/// Lets the request in, or answers that there were too many.
pub(super) async fn admit(api: &ApiState, token: &Token, asks: Asks) -> Result<(), Response> {
    let (limit, what) = match (token.role, asks) {
        (_, Asks::Unproven) => (api.limits.reports, "unproven reports"),
        (Role::Agent, _) => (api.limits.reports, "reports"),
        (_, Asks::Read) => (api.limits.reads, "reads"),
        (_, Asks::Change) => (api.limits.changes, "changes"),
    };
    let Some(limit) = limit else { return Ok(()) };
    let now_s = api.clock.now().timestamp();
    let window_s = i64::from(WINDOW_S);
    let (window, into_it) = (now_s.div_euclid(window_s), now_s.rem_euclid(window_s));
    // By the token's id: nothing that follows from the token itself gets into the cache.
    let counter = format!("limit:{what}:{}:{window}", token.id);
    // Servers' clocks differ a little, so it is kept for longer than the window.
    let n = api
        .cache
        .count(&counter, Duration::from_secs(2 * u64::from(WINDOW_S)))
        .await;
    if n <= u64::from(limit) {
        return Ok(());
    }
    let wait_s = window_s - into_it;
    let problem = Problem::new(
        ProblemKind::TooMany,
        format!(
            "the token `{}` has sent more than {limit} {what} within {WINDOW_S} s",
            token.name
        ),
    )
    .hint(format!(
        "go on in {wait_s} s; `cmp-server --limits` sets how many are let in"
    ));
    let problem = match token.role {
        Role::Agent => problem.denial(Denial::Retry),
        _ => problem,
    };
    let mut response = reply::problem(problem);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
    Err(response)
}
