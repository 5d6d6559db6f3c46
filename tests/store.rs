//! The store's contract: what each function promises, on a real SQLite file and on a real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot get its fixture has failed"
)]
#![allow(clippy::duplicate_mod, reason = "one suite, run on both databases")]

#[path = "support/postgres.rs"]
mod server;

#[path = "store/suite.rs"]
mod postgres;
#[path = "store/suite.rs"]
mod sqlite;

#[path = "../benches/support/audit.rs"]
mod audit_fill;
#[path = "store/every_statement.rs"]
mod every_statement;
#[path = "../benches/support/filled.rs"]
mod filled;
#[path = "store/plans.rs"]
mod plans;
#[path = "postgres/sized.rs"]
mod sized;
