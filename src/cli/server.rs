//! `cmp-server`: the API and, by role, the issuer and the scheduler, over one database.

use std::process::ExitCode;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
