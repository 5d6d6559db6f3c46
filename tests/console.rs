//! The console's rules, driven by keys through the real `update` without a backend: what is confirmed,
//! what is frozen, what is dropped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[path = "console/allowed.rs"]
mod allowed;
#[path = "console/asked.rs"]
mod asked;
#[path = "console/away.rs"]
mod away;
#[path = "console/bare_pastes.rs"]
mod bare_pastes;
#[path = "console/commands.rs"]
mod commands;
#[path = "console/confirm.rs"]
mod confirm;
#[path = "console/contexts.rs"]
mod contexts;
#[path = "console/copies.rs"]
mod copies;
#[path = "console/crl.rs"]
mod crl;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/fixtures.rs"]
mod fixtures;
#[path = "console/hands.rs"]
mod hands;
#[path = "console/help.rs"]
mod help;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/keys.rs"]
mod keys;
#[path = "console/lists.rs"]
mod lists;
#[path = "console/live.rs"]
mod live;
#[path = "console/marks.rs"]
mod marks;
#[path = "console/own_rows.rs"]
mod own_rows;
#[path = "console/possible.rs"]
mod possible;
#[path = "console/runs.rs"]
mod runs;
#[path = "console/secrets.rs"]
mod secrets;
#[path = "console/services.rs"]
mod services;
#[path = "console/triage.rs"]
mod triage;
#[path = "console/typed.rs"]
mod typed;
#[path = "console/words.rs"]
mod words;
