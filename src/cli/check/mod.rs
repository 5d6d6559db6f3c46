//! `cmp-console config check`: what each context would connect to, and what answers. It asks with the
//! console's own clients and changes nothing; a token is never shown, only where it comes from.

mod api;
mod database;
mod line;
mod vault;

use std::path::Path;
use std::process::ExitCode;

use futures::future::join_all;

use self::api::api;
use self::database::database;
use self::line::{Line, Verdict, failed_line, line, print};
use self::vault::vault;
use super::{USAGE, failed, small_runtime};
use crate::clients::proxy;
use crate::clock::Clock;
use crate::config::console::{self as config, Context, Opened, state_dir};
use crate::console::backends::Backends;
use crate::problem::Problem;
use crate::state::keymap::Keymap;

/// Checks the named context, or all.
pub(in crate::cli) fn main(file: Option<&Path>, name: Option<&str>) -> ExitCode {
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
    let (has_token, vault_key, password) =
        (tokens.api.is_ok(), tokens.vault.clone(), tokens.database.clone());
    let backends = Backends::new(context, tokens, &state_dir(), Clock::system())?;
    let (api, vault, database) = tokio::join!(
        api(context, &backends, has_token),
        vault(context, &backends, &vault_key),
        database(&backends, &password)
    );
    let proxies = proxies(&backends);
    Ok(proxies
        .into_iter()
        .chain(api)
        .chain(vault)
        .chain(database)
        .collect())
}

/// The proxies of the environment that are on the way: they see what goes to an address without TLS, and shares and
/// tokens are among that.
fn proxies(backends: &Backends) -> Vec<Line> {
    let api = std::iter::once(("api", backends.reads.api.base()));
    let vaults = backends.reads.vault.iter().chain(&backends.reads.vault_nodes);
    let places = api.chain(vaults.map(|vault| ("vault", vault.address())));
    let through = places.filter_map(|(what, address)| {
        let proxy = proxy::through(address)?;
        let (verdict, seen) = match address.starts_with("https://") {
            true => (Verdict::Ok, "which passes TLS on"),
            false => (
                Verdict::Look,
                "which sees all of it: tokens and unseal shares too",
            ),
        };
        let words = format!(
            "through the proxy {}, {seen} (hint: NO_PROXY excepts hosts)",
            proxy.words()
        );
        Some(line(what, address.to_owned(), verdict, words))
    });
    through.collect()
}
