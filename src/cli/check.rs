//! `cmp-console config check`: what each context would connect to, and what answers. It asks with the
//! console's own clients and changes nothing; a token is never shown, only where it comes from.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use chrono::TimeDelta;
use futures::future::join_all;

use super::{USAGE, failed, small_runtime};
use crate::clients::vault::{VaultError, VaultReader};
use crate::clock::Clock;
use crate::config::console::{self as config, Context, Opened, VaultKey, state_dir};
use crate::console::backends::Backends;
use crate::domain::link::{Backend, LinkState};
use crate::problem::{Problem, ProblemKind};
use crate::state::keymap::Keymap;

/// A clock that is off by more makes tokens and certificates seem ended.
const CLOCK_OFF: TimeDelta = TimeDelta::minutes(1);

/// One thing that was looked at.
struct Line {
    /// `api`, `vault`.
    what: &'static str,
    /// Which one, or what about it.
    which: String,
    verdict: Verdict,
    /// What was found, and the next step if it is none that one wants.
    words: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Ok,
    /// It answers, and somebody should look at it.
    Look,
    /// It doesn't answer, or refuses.
    Failed,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Look => "look",
            Self::Failed => "failed",
        }
    }

    /// Green, yellow, red; the word says it too.
    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Look => "\x1b[33m",
            Self::Failed => "\x1b[31m",
        }
    }
}

/// Checks the named context, or all.
pub(super) fn main(file: Option<&Path>, name: Option<&str>) -> ExitCode {
    let wrong = |error: &dyn std::fmt::Display| {
        let _code = failed(error);
        ExitCode::from(USAGE)
    };
    let opened = match config::open_all(file, name) {
        Ok(opened) => opened,
        Err(error) => return wrong(&error),
    };
    if let Err((name, error)) = Keymap::with(&opened.keys.keys) {
        return wrong(&opened.keys.wrong(&name, error.to_string()));
    }
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let (lines, is_usable) = runtime.block_on(all(&opened, name));
    if print(&lines).is_err() {
        // Whoever reads it has gone.
        return ExitCode::FAILURE;
    }
    let all_answer = lines.iter().all(|(_, line)| line.verdict != Verdict::Failed);
    match (is_usable, all_answer) {
        (false, _) => ExitCode::from(USAGE),
        (true, false) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
    }
}

/// The lines of every context, with its name, and whether all contexts can be used at all.
async fn all(opened: &Opened, name: Option<&str>) -> (Vec<(String, Line)>, bool) {
    let wanted = opened
        .contexts
        .iter()
        .filter(|(it, _)| name.is_none_or(|name| name == *it));
    let looked = wanted.map(async |(name, context)| (name, one(context).await));
    let mut lines = Vec::new();
    let mut is_usable = true;
    for (name, looked) in join_all(looked).await {
        match looked {
            Ok(found) => lines.extend(found.into_iter().map(|line| (name.clone(), line))),
            Err(problem) => {
                is_usable = false;
                let line = failed_line("config", String::new(), problem.to_string());
                lines.push((name.clone(), line));
            }
        }
    }
    (lines, is_usable)
}

async fn one(context: &Context) -> Result<Vec<Line>, Problem> {
    let tokens = context.tokens().await;
    let (has_token, vault_key) = (tokens.api.is_ok(), tokens.vault.clone());
    let backends = Backends::new(context, tokens, &state_dir(), Clock::system())?;
    let (mut lines, vault) = tokio::join!(
        api(context, &backends, has_token),
        vault(context, &backends, &vault_key)
    );
    lines.extend(vault);
    Ok(lines)
}

async fn api(context: &Context, backends: &Backends, has_token: bool) -> Vec<Line> {
    let reader = &backends.reads.api;
    let began = Instant::now();
    let (ready, took_ms) = (reader.ready_at().await, began.elapsed().as_millis());
    let mut lines = Vec::new();
    let address = || reader.base().to_owned();
    match ready {
        Err(problem) => {
            lines.push(failed_line("api", address(), problem.to_string()));
            if has_token {
                let from = context.api_token_source();
                let words = format!("from {from}; whether it is accepted is seen once the API answers");
                return with(lines, line("api", "token".to_owned(), Verdict::Look, words));
            }
        }
        Ok((ready, at)) => {
            let tls = match (reader.base().starts_with("https://"), &context.api_ca) {
                (false, _) => "without TLS",
                (true, None) => "TLS, a CA of this system's",
                (true, Some(_)) => "TLS, the CA of `api_ca`",
            };
            let words = format!("{took_ms} ms, {tls}");
            lines.push(match ready.ready {
                true => line("api", address(), Verdict::Ok, format!("ready, {words}")),
                false => failed_line(
                    "api",
                    address(),
                    format!("answers but is not ready, {words} (hint: the lines below say what is missing)"),
                ),
            });
            for health in ready.backends {
                let verdict = match health.state {
                    LinkState::Up | LinkState::Absent => Verdict::Ok,
                    LinkState::Down if health.backend == Backend::Database => Verdict::Failed,
                    _ => Verdict::Look,
                };
                let state = format!("{:?}", health.state).to_lowercase();
                let words = health
                    .note
                    .map_or_else(|| state.clone(), |note| format!("{state}: {note}"));
                lines.push(line(
                    "api",
                    format!("its {}", health.backend.word()),
                    verdict,
                    words,
                ));
            }
            lines.extend(at.and_then(|at| {
                let off = backends.reads.clock.now() - at;
                (off.abs() > CLOCK_OFF).then(|| clock_line(off))
            }));
        }
    }
    let source = context.api_token_source();
    lines.push(match reader.me().await {
        Ok(me) => line(
            "api",
            "token".to_owned(),
            Verdict::Ok,
            format!("`{}` with the role {}, from {source}", me.name, me.role.word()),
        ),
        Err(problem) if problem.kind == ProblemKind::NotAuthenticated => failed_line(
            "api",
            "token".to_owned(),
            format!("{problem}; it comes from {source}"),
        ),
        Err(problem) => failed_line("api", "token".to_owned(), problem.to_string()),
    });
    lines
}

fn clock_line(off: TimeDelta) -> Line {
    let direction = if off > TimeDelta::zero() {
        "ahead of"
    } else {
        "behind"
    };
    let words = format!(
        "this machine is {} s {direction} the API's (hint: certificates and tokens seem ended or not valid yet; set \
         the clock that is wrong, such as with chrony)",
        off.num_seconds().abs()
    );
    line("api", "clock".to_owned(), Verdict::Look, words)
}

async fn vault(context: &Context, backends: &Backends, key: &Result<VaultKey, String>) -> Vec<Line> {
    let readers: Vec<&VaultReader> = std::iter::once(&backends.reads.vault)
        .chain(&backends.reads.vault_nodes)
        .collect();
    let asked = join_all(readers.iter().map(|reader| node(context, reader))).await;
    let is_open = asked.iter().any(|(_, is_open)| *is_open);
    let lines: Vec<Line> = asked.into_iter().map(|(line, _)| line).collect();
    let source = match key {
        Ok(VaultKey::Token(_)) => Some(context.vault_token_source().to_string()),
        Ok(VaultKey::Role(..)) => Some("AppRole".to_owned()),
        Ok(VaultKey::Nobody) | Err(_) => None,
    };
    let which = "token".to_owned();
    let words = match (key, source) {
        (Err(why), _) => {
            return with(
                lines,
                failed_line("vault", which, format!("there is none: {why}")),
            );
        }
        (Ok(_), Some(source)) => source,
        (Ok(_), None) => {
            let words = "none: seal and unseal work, revocation's proof and test issuance don't (hint: set \
                         VAULT_TOKEN, or `vault_token` of the context)";
            return with(lines, line("vault", which, Verdict::Look, words.to_owned()));
        }
    };
    let found = match backends.reads.vault.let_in().await {
        Ok(()) if is_open => line("vault", which, Verdict::Ok, format!("accepted, from {words}")),
        Err(error) if is_open => {
            let problem = Problem::from(error);
            failed_line("vault", which, format!("{problem}; it comes from {words}"))
        }
        _ => {
            let words = format!("from {words}; whether it is accepted is seen once Vault is open");
            line("vault", which, Verdict::Look, words)
        }
    };
    with(lines, found)
}

fn with(mut lines: Vec<Line>, line: Line) -> Vec<Line> {
    lines.push(line);
    lines
}

/// One address of Vault, and whether it is open.
async fn node(context: &Context, reader: &VaultReader) -> (Line, bool) {
    let address = reader.address().to_owned();
    let began = Instant::now();
    match reader.health().await {
        Ok(health) => {
            let took_ms = began.elapsed().as_millis();
            let standby = if health.standby { "standby" } else { "active" };
            let tls = match (address.starts_with("https://"), &context.vault_ca) {
                (false, _) => "without TLS",
                (true, None) => "TLS",
                (true, Some(_)) => "TLS, the CA of `vault_ca`",
            };
            let version = match health.version.as_str() {
                "" => String::new(),
                version => format!(", version {version}"),
            };
            let (verdict, words) = match (health.initialized, health.sealed) {
                (false, _) => (
                    Verdict::Failed,
                    "not initialised (hint: `vault operator init`)".to_owned(),
                ),
                (true, true) => (
                    Verdict::Look,
                    format!("sealed, {took_ms} ms, {tls}{version} (hint: unseal it with `u` in the console)"),
                ),
                (true, false) => (
                    Verdict::Ok,
                    format!("open, {standby}, {took_ms} ms, {tls}{version}"),
                ),
            };
            let is_open = health.initialized && !health.sealed;
            (line("vault", address, verdict, words), is_open)
        }
        Err(error) => (failed_line("vault", address, vault_words(error)), false),
    }
}

fn vault_words(error: VaultError) -> String {
    let problem = Problem::from(error);
    let problem = match problem.hint {
        Some(_) => problem,
        None => problem
            .hint("check that Vault runs there, that the address is right, and that no firewall is between"),
    };
    problem.to_string()
}

fn line(what: &'static str, which: String, verdict: Verdict, words: String) -> Line {
    Line {
        what,
        which,
        verdict,
        words,
    }
}

fn failed_line(what: &'static str, which: String, words: String) -> Line {
    line(what, which, Verdict::Failed, words)
}

/// Columns; colours on a terminal only.
fn print(lines: &[(String, Line)]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let in_colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let widest = |of: fn(&(String, Line)) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let name_width = widest(|(name, _)| name.chars().count());
    let which_width = widest(|(_, line)| line.which.chars().count());
    for (name, line) in lines {
        let (begin, end) = match in_colour {
            true => (line.verdict.colour(), "\x1b[0m"),
            false => ("", ""),
        };
        writeln!(
            out,
            "{name:name_width$}  {:6}  {:which_width$}  {begin}{:6}{end}  {}",
            line.what,
            line.which,
            line.verdict.word(),
            line.words
        )?;
    }
    out.flush()
}
