//! The terminal console; `demo` starts the embedded platform beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmp_console::cli::console::main()
}
