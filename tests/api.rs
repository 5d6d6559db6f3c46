//! The API over real HTTP: what each route promises to whoever calls it.

#![allow(clippy::unwrap_used, reason = "a test that cannot get its fixture has failed")]

#[path = "api/agents.rs"]
mod agents;
#[path = "api/bad_input.rs"]
mod bad_input;
#[path = "api/crowd.rs"]
mod crowd;
#[path = "api/document.rs"]
mod document;
#[path = "api/edge.rs"]
mod edge;
#[path = "api/events.rs"]
mod events;
#[path = "api/findings.rs"]
mod findings;
#[path = "api/routes.rs"]
mod routes;
#[path = "api/runbooks.rs"]
mod runbooks;
#[path = "api/support.rs"]
mod support;
#[path = "api/twice.rs"]
mod twice;
