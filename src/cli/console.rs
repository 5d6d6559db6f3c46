//! `cmp-console`: its arguments, and which part of the house each subcommand hands over to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use tokio::sync::mpsc::Sender;

use super::{USAGE, check, demo, failed, open, reload, small_runtime};
use crate::config::console as config;
use crate::config::memory;
use crate::console::{Setup, Startup, backends};
use crate::plan::guard::Guard;
use crate::state::ContextInfo;
use crate::state::keymap::Keymap;

/// A terminal console for the people who are on call for a Certificate Management Platform.
#[derive(Debug, Parser)]
#[command(name = "cmp-console", version, about)]
struct Arguments {
    /// The configuration file (otherwise ~/.config/cmp-console/config.toml)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The context to open (otherwise the file's default)
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Forbid every change from this console
    #[arg(long)]
    read_only: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a small but real platform on this machine, with a night's worth of trouble in it, and the
    /// console over it
    Demo(demo::DemoArguments),
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// What the demo's agents run as their reload command
    #[command(name = reload::SUBCOMMAND, hide = true)]
    DemoReload {
        /// The control socket of the server to be reloaded
        socket: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say what each context (or the one of --context) would connect to, and what answers. Exit code 0:
    /// everything answers; 1: something doesn't; 2: the configuration is wrong
    Check {
        /// The one context to look at (otherwise all)
        #[arg(long, value_name = "NAME")]
        context: Option<String>,
    },
}

/// The command line, for the manual.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
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
    // Before anything secret is read; said again, and in the log, once there is one.
    let _refused = memory::keep_private();
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Demo(_)) if arguments.context.is_some() => {
            let _code = failed(&"the demo is a context of its own: leave --context out");
            ExitCode::from(USAGE)
        }
        Some(Command::Demo(demo)) => match own_ways(&arguments) {
            Ok(ways) => demo::main(demo, ways),
            Err(error) => {
                let _code = failed(&error);
                ExitCode::from(USAGE)
            }
        },
        Some(Command::Config {
            command: ConfigCommand::Check { context },
        }) => {
            let context = context.as_ref().or(arguments.context.as_ref());
            check::main(arguments.config.as_deref(), context.map(String::as_str))
        }
        Some(Command::DemoReload { socket }) => reload::main(socket),
        None => plain_console(&arguments),
    }
}

/// How a person wants the demo: their own keys and look, if they have a configuration, and read-only.
fn own_ways(arguments: &Arguments) -> Result<demo::Ways, config::ContextError> {
    let (look, keys) = config::preferences(arguments.config.as_deref())?;
    let keymap = Keymap::with(&keys.keys).map_err(|(name, error)| keys.wrong(&name, error.to_string()))?;
    Ok(demo::Ways {
        read_only: arguments.read_only,
        look,
        keymap,
    })
}

/// The console over a configured context. A wrong configuration is told before the terminal is touched.
fn plain_console(arguments: &Arguments) -> ExitCode {
    let opened = config::open(arguments.config.as_deref(), arguments.context.as_deref());
    let wrong = |error: &dyn std::fmt::Display| {
        let _code = failed(error);
        ExitCode::from(USAGE)
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => return wrong(&error),
    };
    let keymap = match Keymap::with(&opened.keys.keys) {
        Ok(keymap) => keymap,
        Err((name, error)) => return wrong(&opened.keys.wrong(&name, error.to_string())),
    };
    let contexts: BTreeMap<String, config::Context> = opened
        .contexts
        .into_iter()
        .map(|(name, context)| {
            let read_only = context.read_only || arguments.read_only;
            (name, config::Context { read_only, ..context })
        })
        .collect();
    let setup = |name: &str| {
        let context = contexts.get(name)?;
        let look = context.look.or(opened.look);
        Some(Setup {
            context: ContextInfo {
                name: name.to_owned(),
                protected: context.protected,
                ..ContextInfo::default()
            },
            guard: Guard::of(context.read_only, context.protected),
            starting: None,
            keymap: keymap.clone(),
            slow_link: look.slow_link.unwrap_or_default(),
            look: open::look(look),
            contexts: contexts.clone(),
            state_dir: config::state_dir(),
            snapshot: Some(backends::snapshot_of(&config::state_dir(), &context.api)),
        })
    };
    let connect = |name: &str, startup: Sender<Startup>| {
        let context = contexts.get(name).cloned();
        async move {
            let context = context?;
            let tokens = context.tokens().await;
            open::connect(&context, tokens, None, &startup).await;
            Some(())
        }
    };
    match setup(&opened.name) {
        Some(first) => open::console(small_runtime(), first, connect, async |()| {}, setup),
        None => wrong(&"the configuration has no such context"),
    }
}
