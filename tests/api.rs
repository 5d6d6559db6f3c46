//! The API over real HTTP: what each route promises to whoever calls it, on SQLite and on PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot get its fixture has failed, and says what it passes over"
)]
#![allow(clippy::duplicate_mod, reason = "one suite, run on both databases")]

#[path = "support/tls.rs"]
mod ca;
#[path = "support/postgres.rs"]
mod server;

#[path = "api/cache_arguments.rs"]
mod cache_arguments;
#[path = "api/suite.rs"]
mod postgres;
#[path = "api/redis.rs"]
mod redis;
#[path = "api/suite.rs"]
mod sqlite;
