//! The agent on a host: reads its configuration, then serves until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cmp_console::clients::agent_api::AgentApi;
use cmp_console::clock::Clock;
use cmp_console::config::agent::AgentConfig;
use cmp_console::config::memory;
use cmp_console::services::agent::{Agent, one_time_token};
use color_eyre::eyre::{Context, Result};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Makes keys, installs certificates and reports to the certificate management platform.
#[derive(Debug, Parser)]
#[command(name = "cmp-agent", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/cmp/cmp-agent.toml")]
    config: PathBuf,
    /// Only check the configuration file, and that what it names can be read: the CA, the one-time token.
    /// Run it as the agent's own user.
    #[arg(long)]
    check: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    color_eyre::install()?;
    // Before anything secret is read.
    let _refused = memory::keep_private();
    let config = match AgentConfig::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            // No report with a backtrace: the file is wrong, not the program.
            eprint(&format!("cmp-agent: {error}"));
            return Ok(ExitCode::from(2));
        }
    };
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_env("CMP_LOG").unwrap_or_else(|_| EnvFilter::new("info")))
        .init();
    memory::keep_private_or_say();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .wrap_err("the runtime can't be started")?;
    if arguments.check {
        return Ok(match runtime.block_on(check(&config)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(report) => {
                eprint(&format!("cmp-agent: {report:#}"));
                ExitCode::from(2)
            }
        });
    }
    Ok(match runtime.block_on(serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            eprint(&format!("cmp-agent: {report:#}"));
            ExitCode::FAILURE
        }
    })
}

async fn check(config: &AgentConfig) -> Result<()> {
    AgentApi::trusting(&config.api, config.server_ca.as_deref()).wrap_err("`server_ca` is of no use")?;
    one_time_token(config.enrol_token.as_ref())
        .await
        .wrap_err("`enrol_token` is of no use")?;
    Ok(())
}

async fn serve(config: AgentConfig) -> Result<()> {
    let listen = config.listen;
    let token = one_time_token(config.enrol_token.as_ref())
        .await
        .wrap_err("`enrol_token` is of no use")?;
    let agent = Agent::new(config, Clock::system(), token)?;
    let listener = TcpListener::bind(listen).await.wrap_err_with(|| {
        format!("cannot listen on {listen} (hint: another agent may run; choose another `listen`)")
    })?;
    let (stop, stopping) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("told to stop");
        notify(NotifyState::Stopping);
        // The agent may have ended by itself meanwhile.
        let _ = stop.send(true);
    });
    tracing::info!(%listen, "the agent runs, wake-up on {listen}");
    notify(NotifyState::Ready);
    agent.serve(listener, stopping).await?;
    Ok(())
}

/// Tells systemd, where it asked to be told.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd can't be told how the agent is");
    }
}

#[expect(
    clippy::print_stderr,
    reason = "nothing else speaks to the terminal before the log does"
)]
fn eprint(line: &str) {
    eprintln!("{line}");
}
