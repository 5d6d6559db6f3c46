//! `cmp-console`: its arguments, and which part of the house each subcommand hands over to.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use super::{demo, failed, reload};
use crate::services::platform::Ports;

/// A terminal console for the people who are on call for a Certificate Management Platform.
#[derive(Debug, Parser)]
#[command(name = "cmp-console", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a small but real platform on this machine, with a night's worth of trouble in it, and the
    /// console over it
    Demo(DemoArguments),
    /// What the demo's agents run as their reload command
    #[command(name = reload::SUBCOMMAND, hide = true)]
    DemoReload {
        /// The control socket of the server to be reloaded
        socket: PathBuf,
    },
}

/// `cmp-console demo`
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Run without the console: print one line of JSON when everything answers, stay until SIGINT or
    /// SIGTERM
    #[arg(long)]
    pub(super) headless: bool,
    /// Keep the state in this directory (otherwise it is temporary)
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
    /// The API's port, 0 for a free one
    #[arg(long, value_name = "N", default_value_t = Ports::default().api)]
    api_port: u16,
    /// Vault's port, 0 for a free one
    #[arg(long, value_name = "N", default_value_t = Ports::default().vault)]
    vault_port: u16,
    /// The first agent's port, the others follow; 0 for free ones
    #[arg(long, value_name = "N", default_value_t = Ports::default().agents)]
    agent_port: u16,
    /// The first agent's TLS port, the others follow; 0 for free ones
    #[arg(long, value_name = "N", default_value_t = Ports::default().tls)]
    tls_port: u16,
}

impl DemoArguments {
    pub(super) fn ports(&self) -> Ports {
        Ports {
            api: self.api_port,
            vault: self.vault_port,
            agents: self.agent_port,
            tls: self.tls_port,
        }
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    // The reload command runs while a handshake waits for it, so nothing is set up for it.
    if let Some(code) = reload::main_if_asked() {
        return code;
    }
    if let Err(report) = color_eyre::install() {
        return failed(&report);
    }
    match Arguments::parse().command {
        Some(Command::Demo(arguments)) => demo::main(&arguments),
        Some(Command::DemoReload { socket }) => reload::main(&socket),
        None => plain_console(),
    }
}

/// CONSOLE: the console over the configured context starts here.
fn plain_console() -> ExitCode {
    failed(&"the console needs a terminal, and standard output is none")
}
