//! `config check` of Vault: each node's seal, and whether our token is accepted.

use std::time::Instant;

use futures::future::join_all;

use super::line::{Line, Verdict, failed_line, line};
use crate::clients::vault::{VaultError, VaultReader};
use crate::config::console::{Context, VaultKey};
use crate::console::backends::Backends;
use crate::problem::Problem;

/// Vault's lines: each node's, then the token's.
pub(super) async fn vault(
    context: &Context,
    backends: &Backends,
    key: &Result<VaultKey, String>,
) -> Vec<Line> {
    let Some(vault) = &backends.reads.vault else {
        let words = "not configured: nothing to unseal here, and no list of a Vault to look into";
        return vec![line("vault", String::new(), Verdict::Ok, words.to_owned())];
    };
    let readers: Vec<&VaultReader> = std::iter::once(vault)
        .chain(&backends.reads.vault_nodes)
        .collect();
    let asked = join_all(readers.iter().map(|reader| node(context, reader))).await;
    let is_open = asked.iter().any(|(_, is_open)| *is_open);
    let mut lines: Vec<Line> = asked.into_iter().map(|(line, _)| line).collect();
    let source = match key {
        Ok(VaultKey::Token(_)) => Some(context.vault_token_source().to_string()),
        Ok(VaultKey::Role(..)) => Some("AppRole".to_owned()),
        Ok(VaultKey::Nobody) | Err(_) => None,
    };
    let which = "token".to_owned();
    let words = match (key, source) {
        (Err(why), _) => {
            lines.push(failed_line("vault", which, format!("there is none: {why}")));
            return lines;
        }
        (Ok(_), Some(source)) => source,
        (Ok(_), None) => {
            let words = "none: seal and unseal work, revocation's proof and test issuance don't (hint: set \
                         VAULT_TOKEN, or `vault_token` of the context)";
            lines.push(line("vault", which, Verdict::Look, words.to_owned()));
            return lines;
        }
    };
    lines.push(match vault.let_in().await {
        Ok(()) if is_open => line("vault", which, Verdict::Ok, format!("accepted, from {words}")),
        Err(error) if is_open => {
            let problem = Problem::from(error);
            failed_line("vault", which, format!("{problem}; it comes from {words}"))
        }
        _ => {
            let words = format!("from {words}; whether it is accepted is seen once Vault is open");
            line("vault", which, Verdict::Look, words)
        }
    });
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
