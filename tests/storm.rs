//! Bad luck, with the real `cmp-server` in processes of its own: killed, cut off, out of room, and set up
//! wrongly. What was acknowledged is there afterwards, what happened happened once, and what is wrong is
//! named where people look.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot get its fixture has failed"
)]

#[path = "support/daemon.rs"]
mod daemon;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/pty.rs"]
mod pty;
#[path = "support/postgres.rs"]
mod server;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/vault.rs"]
mod vault;

#[path = "storm/client.rs"]
mod client;
#[path = "storm/killed.rs"]
mod killed;
#[path = "storm/locked.rs"]
mod locked;
#[path = "storm/primary.rs"]
mod primary;
#[path = "storm/read_only.rs"]
mod read_only;
#[path = "storm/restarted.rs"]
mod restarted;
#[path = "storm/room.rs"]
mod room;
#[path = "storm/screen.rs"]
mod screen;
#[path = "storm/wrong.rs"]
mod wrong;
