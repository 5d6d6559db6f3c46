//! What can be copied of a row, as a choice: names and numbers, a certificate's PEM, and the command that
//! would show the thing in a shell. It copies nothing itself, and knows no secret.

use super::Row;
use super::related::{agent, certificate, installation, request};
use crate::domain::id::EntityKind;
use crate::domain::plain::shell_word;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::cmd::Cmd;
use crate::state::layer::{Chosen, MenuItem};

/// Everything that can be copied; the key that opened the choice takes the row's own.
#[must_use]
pub fn of(state: &State, row: &Row) -> Vec<MenuItem> {
    let mut keys = state.keymap.key_of(Cmd::Copy).chars();
    let again = match (keys.next(), keys.next()) {
        (Some(key), None) => key,
        _ => 'y',
    };
    let mut items = vec![item(again, "this", &row.copy)];
    if let Some(place) = installation(state, &row.id) {
        items.push(item('a', "path", &format!("{}:{}", place.hostname, place.path)));
        items.extend(place.tls_address.as_ref().map(|at| item('t', "TLS address", at)));
        items.push(item('f', "expected fingerprint", &place.expected_sha256));
    }
    for target in &row.targets {
        from_target(state, target, &mut items);
    }
    items
}

fn from_target(state: &State, target: &Target, items: &mut Vec<MenuItem>) {
    let path = match target.kind {
        EntityKind::Certificate => "certs",
        EntityKind::Agent => "agents",
        EntityKind::Request => "requests",
        EntityKind::Vault => {
            let command = format!("VAULT_ADDR={} vault status", shell_word(&target.id));
            return items.extend([item('a', "address", &target.id), item('c', "command", &command)]);
        }
        _ => return,
    };
    if let Some(certificate) = certificate(state, &target.id) {
        items.extend([
            item('s', "serial", &certificate.serial),
            item('f', "fingerprint", &certificate.fingerprint_sha256),
            item('k', "key's SHA-256", &certificate.spki_sha256),
            MenuItem {
                key: 'p',
                what: "PEM".to_owned(),
                leads: Chosen::CopyPem(certificate.id.clone()),
            },
        ]);
    }
    if let Some(agent) = agent(state, &target.id) {
        items.push(item('a', "address", &agent.address));
    }
    if let Some(error) = request(state, &target.id).and_then(|request| request.error_message.as_ref()) {
        items.push(item('e', "error", error));
    }
    let command = format!(
        "curl -H \"Authorization: Bearer $CMP_TOKEN\" {}",
        shell_word(&format!(
            "{}/api/v1/{path}/{}",
            state.context.api.trim_end_matches('/'),
            target.id
        ))
    );
    items.extend([
        item('n', "name", &target.name),
        item('i', "id", &target.id),
        item('c', "command", &command),
    ]);
}

fn item(key: char, what: &str, text: &str) -> MenuItem {
    MenuItem {
        key,
        what: format!("{what}: {text}"),
        leads: Chosen::Copy(text.to_owned()),
    }
}
