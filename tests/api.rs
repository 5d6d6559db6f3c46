//! The API over real HTTP: what each route promises to whoever calls it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot get its fixture has failed, and says what it passes over"
)]

#[path = "api/agents.rs"]
mod agents;
#[path = "api/bad_input.rs"]
mod bad_input;
#[path = "api/cache.rs"]
mod cache;
#[path = "api/cache_arguments.rs"]
mod cache_arguments;
#[path = "api/crowd.rs"]
mod crowd;
#[path = "api/events.rs"]
mod events;
#[path = "api/findings.rs"]
mod findings;
#[path = "api/redis.rs"]
mod redis;
#[path = "api/routes.rs"]
mod routes;
#[path = "api/runbooks.rs"]
mod runbooks;
#[path = "api/support.rs"]
mod support;
#[path = "api/twice.rs"]
mod twice;
