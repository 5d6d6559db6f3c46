//! `cmp-server` as operators run it: its configuration, TLS with files that change, signals, and the log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot get its fixture has failed"
)]

#[path = "support/tls.rs"]
mod ca;
#[path = "server/config.rs"]
mod config;
#[path = "support/daemon.rs"]
mod daemon;
#[path = "server/stop.rs"]
mod stop;
#[path = "server/tls.rs"]
mod tls;
