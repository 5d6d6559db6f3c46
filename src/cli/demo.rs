//! `cmp-console demo`: the embedded platform, with the console over it or alone.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::sync::mpsc::Sender;

use super::open;
use super::stop::StopSignals;
use super::{failed, runtime};
use crate::config::console::{Context, LookConfig, Tokens, VaultKey, state_dir};
use crate::config::memory;
use crate::console::{Setup, Startup};
use crate::plan::guard::Guard;
use crate::services::platform::{Bound, Options, Platform, Ports};
use crate::state::ContextInfo;
use crate::state::keymap::Keymap;
use crate::telemetry;

/// `cmp-console demo`
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Run without the console: print one line of JSON when everything answers, stay until SIGINT or
    /// SIGTERM
    #[arg(long)]
    headless: bool,
    /// Keep the state in this directory (otherwise it is temporary)
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
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
    fn ports(&self) -> Ports {
        Ports {
            api: self.api_port,
            vault: self.vault_port,
            agents: self.agent_port,
            tls: self.tls_port,
        }
    }
}

/// How the person wants the console over it.
pub(super) struct Ways {
    pub(super) read_only: bool,
    pub(super) look: LookConfig,
    pub(super) keymap: Keymap,
}

pub(super) fn main(arguments: &DemoArguments, ways: Ways) -> ExitCode {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return failed(&format!("where this program lies is not known: {error}")),
    };
    if !arguments.headless && !std::io::stdout().is_terminal() {
        return failed(
            &"the console needs a terminal, and standard output is none; `demo --headless` needs none",
        );
    }
    let options = Options {
        state: arguments.state.clone(),
        ports: arguments.ports(),
        program,
    };
    // Before a screen is painted: a port in use is told as a sentence.
    let bound = match Platform::bind(&options) {
        Ok(bound) => bound,
        Err(error) => return failed(&error),
    };
    if arguments.headless {
        headless(bound)
    } else {
        with_console(bound, ways)
    }
}

fn headless(bound: Bound) -> ExitCode {
    telemetry::to_stderr(tracing::Level::WARN);
    memory::keep_private_or_say();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    runtime.block_on(async {
        let mut stop = match StopSignals::catch() {
            Ok(stop) => stop,
            Err(error) => return failed(&error),
        };
        let started = tokio::select! {
            started = bound.start() => started,
            // What was begun goes with its temporary directory, or is begun anew in a kept one.
            () = stop.received() => return ExitCode::SUCCESS,
        };
        let platform = match started {
            Ok(platform) => platform,
            Err(error) => return failed(&error),
        };
        let mut out = std::io::stdout();
        let printed = writeln!(out, "{}", platform.ready_line().expose()).and_then(|()| out.flush());
        if let Err(error) = printed {
            platform.shutdown().await;
            return failed(&format!("nobody reads the ready line: {error}"));
        }
        stop.received().await;
        platform.shutdown().await;
        ExitCode::SUCCESS
    })
}

/// The console over the platform: the first frame is painted before the platform is started.
fn with_console(bound: Bound, ways: Ways) -> ExitCode {
    let read_only = ways.read_only;
    let shares = bound.secrets_file();
    // There is one context, so it is started once.
    let mut bound = Some(bound);
    open::console(
        runtime(),
        Setup {
            context: ContextInfo {
                name: "demo".to_owned(),
                ..ContextInfo::default()
            },
            guard: Guard::of(read_only, false),
            starting: Some("starting the embedded platform".to_owned()),
            keymap: ways.keymap,
            slow_link: ways.look.slow_link.unwrap_or_default(),
            look: open::look(ways.look),
            contexts: BTreeMap::new(),
            state_dir: state_dir(),
            // The next demo is another platform, or one that is always there.
            snapshot: None,
        },
        move |_, startup: Sender<Startup>| {
            let (bound, shares) = (bound.take(), shares.clone());
            async move {
                let platform = match bound?.start().await {
                    Ok(platform) => platform,
                    Err(error) => {
                        let _gone = startup.send(Startup::Failed(error.to_string())).await;
                        return None;
                    }
                };
                let access = platform.access();
                let context = Context {
                    api: access.api.clone(),
                    vault: Some(access.vault.clone()),
                    pki_mount: access.pki_mount.clone(),
                    pki_test_role: access.pki_test_role.clone(),
                    read_only,
                    ..Context::default()
                };
                let tokens = Tokens {
                    api: Ok(access.operator_token.clone()),
                    vault: Ok(VaultKey::Token(access.vault_token.clone())),
                    database: Ok(None),
                };
                open::connect(&context, tokens, Some(shares), &startup).await;
                Some(platform)
            }
        },
        async |platform: Platform| platform.shutdown().await,
        |_| None,
    )
}
