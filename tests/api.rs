//! The API over real HTTP: what each route promises to whoever calls it, on SQLite and on PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot get its fixture has failed"
)]
#![allow(clippy::duplicate_mod, reason = "one suite, run on both databases")]

#[path = "support/postgres.rs"]
mod server;

#[path = "api/suite.rs"]
mod postgres;
#[path = "api/suite.rs"]
mod sqlite;
