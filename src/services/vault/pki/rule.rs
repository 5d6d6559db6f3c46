//! `config/crl`: how long a list is valid, and when it is made anew. Deltas are kept and given back only.

use serde_json::{Value, json};

use super::super::policy::Capability;
use super::super::{Core, Reply, storage};
use crate::domain::duration::duration;

fn path(mount: &str) -> String {
    format!("pki/{mount}/config/crl")
}

/// Vault's defaults, under what was configured.
fn read(core: &Core, mount: &str) -> Value {
    let mut rule = json!({
        "allow_expired_cert_revocation": false, "expiry": "72h", "disable": false, "ocsp_disable": false, "ocsp_expiry": "12h",
        "auto_rebuild": false, "auto_rebuild_grace_period": "12h",
        "enable_delta": false, "delta_rebuild_interval": "15m",
    });
    let kept: Value = core.barrier.read_or_default(&path(mount));
    for (field, value) in kept.as_object().into_iter().flatten() {
        rule[field] = value.clone();
    }
    rule
}

/// How the list is made.
pub(super) struct Rule {
    /// How long a list is valid, in seconds.
    pub(super) valid: i64,
    /// How long before its end it is made anew by itself; nothing where it is made with each revocation.
    pub(super) grace: Option<i64>,
    /// Nothing is listed.
    pub(super) disabled: bool,
    /// What has expired can be revoked too.
    pub(super) expired_too: bool,
}

impl Rule {
    /// The rule of a mount.
    pub(super) fn of(core: &Core, mount: &str) -> Self {
        let rule = read(core, mount);
        let is = |field: &str| rule[field].as_bool() == Some(true);
        Self {
            valid: duration(&rule["expiry"]).unwrap_or(72 * 3600),
            grace: is("auto_rebuild")
                .then(|| duration(&rule["auto_rebuild_grace_period"]).unwrap_or(12 * 3600)),
            disabled: is("disable"),
            expired_too: is("allow_expired_cert_revocation"),
        }
    }
}

/// `config/crl`; the answer, and whether the list has to be made anew for it to hold.
pub(super) fn route(
    core: &Core,
    operation: Capability,
    mount: &str,
    body: &Value,
) -> Result<(Reply, bool), Reply> {
    let before = read(core, mount);
    match operation {
        Capability::Read => return Ok((Reply::data(before), false)),
        Capability::Update => {}
        _ => return Err(Reply::unsupported()),
    }
    let mut rule = before.clone();
    for (field, value) in body.as_object().into_iter().flatten() {
        let Some(kept) = rule.get_mut(field) else { continue };
        *kept = match (&*kept, value) {
            (Value::Bool(_), Value::Bool(_)) => value.clone(),
            (Value::Bool(_), Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
                json!(text == "true")
            }
            (Value::String(_), _) if duration(value).is_some() => match value {
                Value::String(_) => value.clone(),
                seconds => json!(seconds.to_string()),
            },
            _ => {
                let words = format!("given {field} could not be decoded: {value}");
                return Err(Reply::error(400, &words));
            }
        };
    }
    check(&rule)?;
    core.barrier
        .write(&path(mount), &rule)
        .map_err(|error| storage(&error))?;
    // Who turns the list off or on has it so at once.
    let remade = rule["disable"] != before["disable"];
    Ok((Reply::data(rule), remade))
}

fn check(rule: &Value) -> Result<(), Reply> {
    let seconds = |field: &str| duration(&rule[field]).unwrap_or_default();
    let auto = rule["auto_rebuild"].as_bool() == Some(true);
    let delta = rule["enable_delta"].as_bool() == Some(true);
    let refused = |words: &str| Err(Reply::error(400, words));
    if auto && seconds("auto_rebuild_grace_period") >= seconds("expiry") {
        let text = |field: &str| rule[field].as_str().unwrap_or_default().to_owned();
        return refused(&format!(
            "CRL auto-rebuilding grace period ({}) must be strictly shorter than CRL expiry ({}) value when auto-rebuilding of CRLs is enabled",
            text("auto_rebuild_grace_period"),
            text("expiry")
        ));
    }
    if delta && !auto {
        return refused(
            "Delta CRLs cannot be enabled when auto rebuilding is disabled as the complete CRL is always regenerated!",
        );
    }
    Ok(())
}
