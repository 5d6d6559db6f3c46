//! `cmp-console`: its arguments, and which part of the house each subcommand hands over to.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use tokio::sync::mpsc::Sender;

use super::{demo, failed, open, reload};
use crate::config::console as config;
use crate::console::Startup;
use crate::services::platform::Ports;

/// The exit code for a wrong configuration.
const USAGE: u8 = 2;

/// A terminal console for the people who are on call for a Certificate Management Platform.
#[derive(Debug, Parser)]
#[command(name = "cmp-console", version, about)]
struct Arguments {
    /// The configuration file (otherwise ~/.config/cmp-console/config.toml)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The context to open (otherwise the file's default)
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
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
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Demo(arguments)) => demo::main(arguments),
        Some(Command::DemoReload { socket }) => reload::main(socket),
        None => plain_console(&arguments),
    }
}

/// The console over a configured context. A wrong configuration is told before the terminal is touched.
fn plain_console(arguments: &Arguments) -> ExitCode {
    let opened = config::open(arguments.config.as_deref(), arguments.context.as_deref());
    let (name, context) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let _code = failed(&error);
            return ExitCode::from(USAGE);
        }
    };
    let read_only = context.read_only;
    let connect = |startup: Sender<Startup>| async move {
        open::connect(&context, None, &startup).await;
        Some(())
    };
    open::console(&name, None, read_only, connect, async |()| {})
}
