//! What can be copied of a row, as a choice: names and numbers, a certificate's PEM, and the command that
//! would show the thing in a shell. It copies nothing itself, and knows no secret.

use super::Row;
use super::related::{certificate, request};
use crate::domain::id::EntityKind;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::layer::{Chosen, MenuItem};

/// Everything that can be copied; `y` again takes the row's own.
#[must_use]
pub fn of(state: &State, row: &Row) -> Vec<MenuItem> {
    let mut items = vec![item('y', "this", &row.copy)];
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
            let command = format!("VAULT_ADDR={} vault status", target.id);
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
    if let Some(error) = request(state, &target.id).and_then(|request| request.error_message.as_ref()) {
        items.push(item('e', "error", error));
    }
    let command = format!(
        "curl -H \"Authorization: Bearer $CMP_TOKEN\" {}/api/v1/{path}/{}",
        state.context.api.trim_end_matches('/'),
        target.id
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
