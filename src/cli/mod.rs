//! The command lines of the programs: reads arguments, wires the floors below together, turns an
//! error into a sentence and an exit code. 0 done, 1 did not work, 2 wrong usage.

mod check;
pub mod console;
mod demo;
mod open;
mod reload;
pub mod server;
mod stop;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// The exit code for a wrong configuration.
const USAGE: u8 = 2;

/// Says what went wrong, in one line on stderr, and gives the exit code for it.
fn failed(problem: &dyn Display) -> ExitCode {
    // When even stderr is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "error: {problem}");
    ExitCode::FAILURE
}

/// A runtime for a program's tasks.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(n_workers())
        .enable_all()
        .build()
}

/// A runtime for a program that only asks others: one thread, so that one event wakes one thread.
fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// As many as there are cores, two at least, so that one busy task never holds all others up.
fn n_workers() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8))
}
