//! `cmp-server` as operators run it: TLS with files that change, signals, and the log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot get its fixture has failed"
)]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "server/stop.rs"]
mod stop;
#[path = "server/tls.rs"]
mod tls;
