//! What only PostgreSQL has: several servers on one database, accounts with few rights, backup and
//! restore, and the operators' own SQL.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot get its fixture has failed"
)]

#[path = "support/postgres.rs"]
mod server;

#[path = "../benches/support/audit.rs"]
mod audit_fill;
#[path = "postgres/changes.rs"]
mod changes;
#[path = "../benches/support/filled.rs"]
mod filled;
#[path = "postgres/findings.rs"]
mod findings;
#[path = "store/fixture.rs"]
mod fixture;
#[path = "postgres/hosts.rs"]
mod hosts;
#[path = "postgres/kept_states.rs"]
mod kept_states;
#[path = "postgres/lead.rs"]
mod lead;
#[path = "postgres/lists.rs"]
mod lists;
#[path = "postgres/opening.rs"]
mod opening;
#[path = "postgres/queues.rs"]
mod queues;
#[path = "postgres/roles.rs"]
mod roles;
#[path = "postgres/runbooks.rs"]
mod runbooks;
#[path = "postgres/searches.rs"]
mod searches;
#[path = "postgres/several.rs"]
mod several;
#[path = "postgres/sized.rs"]
mod sized;
#[path = "postgres/sorts.rs"]
mod sorts;
#[path = "postgres/statements.rs"]
mod statements;
#[path = "postgres/upgrade.rs"]
mod upgrade;
