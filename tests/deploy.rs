//! `deploy/`: what is there is what runs. The seeds of configuration are started by the command lines of the
//! units, as an unprivileged user, over a real PostgreSQL; only hosts, ports and directories differ.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot get its fixture has failed"
)]

#[path = "support/tls.rs"]
mod ca;
#[path = "deploy/hardened.rs"]
mod hardened;
#[path = "deploy/kubernetes.rs"]
mod kubernetes;
#[path = "deploy/seeds.rs"]
mod seeds;
#[path = "support/postgres.rs"]
mod server;
#[path = "deploy/unit.rs"]
mod unit;

use std::path::PathBuf;

/// A file of `deploy/`.
fn deployed(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name)
}

fn text(name: &str) -> String {
    let path = deployed(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether a program that isn't there may be done without: not in CI.
fn skipped(program: &str) -> bool {
    let is_there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|dir| dir.join(program).exists());
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "`{program}` is needed in CI"
    );
    if !is_there {
        eprintln!("skipped: `{program}` is not installed");
    }
    !is_there
}
