//! The store's contract: what each function promises, on a real database file.

#![allow(clippy::unwrap_used, reason = "a test that cannot get its fixture has failed")]

#[path = "store/audit.rs"]
mod audit;
#[path = "store/fixture.rs"]
mod fixture;
#[path = "store/issuance.rs"]
mod issuance;
#[path = "store/jobs.rs"]
mod jobs;
#[path = "store/pages.rs"]
mod pages;
#[path = "store/revocation.rs"]
mod revocation;
#[path = "store/states.rs"]
mod states;
#[path = "store/tokens.rs"]
mod tokens;
