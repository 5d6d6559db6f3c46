//! The API and, by role, the issuer.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmp_console::cli::server::main()
}
