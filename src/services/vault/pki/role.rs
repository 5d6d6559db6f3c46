//! Roles: what may be signed.

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::policy::Capability;
use super::super::{Core, Reply, storage};
use crate::domain::duration::duration;

/// Words of `not_after_bound`.
pub(super) const PERMIT: &str = "permit";
pub(super) const FORBID: &str = "forbid";
pub(super) const TTL_LIMITED: &str = "ttl-limited";

/// One role, with Vault's defaults.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) allowed_domains: Vec<String>,
    pub(super) allow_subdomains: bool,
    pub(super) allow_bare_domains: bool,
    pub(super) allow_glob_domains: bool,
    pub(super) allow_any_name: bool,
    pub(super) allow_localhost: bool,
    pub(super) allow_ip_sans: bool,
    pub(super) enforce_hostnames: bool,
    pub(super) require_cn: bool,
    /// Seconds; 0 for the mount's default.
    pub(super) ttl: i64,
    /// Seconds; 0 for the mount's.
    pub(super) max_ttl: i64,
    /// Freedom of a request's `not_after`: all (`permit`), nothing (`forbid`), what `max_ttl` allows
    /// (`ttl-limited`), or nothing later than this time.
    pub(super) not_after_bound: String,
    pub(super) server_flag: bool,
    pub(super) client_flag: bool,
    pub(super) no_store: bool,
    /// Seconds that a certificate is valid before it was signed.
    pub(super) not_before_duration: i64,
    pub(super) use_csr_common_name: bool,
    pub(super) use_csr_sans: bool,
    pub(super) key_type: String,
    pub(super) key_bits: i64,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            allowed_domains: Vec::new(),
            allow_subdomains: false,
            allow_bare_domains: false,
            allow_glob_domains: false,
            allow_any_name: false,
            allow_localhost: true,
            allow_ip_sans: true,
            enforce_hostnames: true,
            require_cn: true,
            ttl: 0,
            max_ttl: 0,
            not_after_bound: PERMIT.to_owned(),
            server_flag: true,
            client_flag: true,
            no_store: false,
            not_before_duration: 30,
            use_csr_common_name: true,
            use_csr_sans: true,
            key_type: "rsa".to_owned(),
            key_bits: 0,
        }
    }
}

impl Role {
    pub(super) fn read(core: &Core, mount: &str, name: &str) -> Result<Self, Reply> {
        match core.barrier.read(&format!("pki/{mount}/roles/{name}")) {
            Ok(Some(role)) => Ok(role),
            Ok(None) => Err(Reply::error(400, &format!("unknown role: {name}"))),
            Err(error) => Err(storage(&error)),
        }
    }
}

/// `roles/<name>`.
pub(super) fn route(
    core: &mut Core,
    operation: Capability,
    mount: &str,
    name: &str,
    body: &Value,
) -> Result<Reply, Reply> {
    let path = format!("pki/{mount}/roles/{name}");
    match operation {
        Capability::Update => {
            let role = from_body(body)?;
            core.barrier
                .write(&path, &role)
                .map_err(|error| storage(&error))?;
            Ok(Reply::data(view(&role)))
        }
        Capability::Delete => core
            .barrier
            .remove(&path)
            .map(|()| Reply::empty())
            .map_err(|error| storage(&error)),
        Capability::Read => match core.barrier.read::<Role>(&path) {
            Ok(Some(role)) => Ok(Reply::data(view(&role))),
            Ok(None) => Err(Reply::not_found()),
            Err(error) => Err(storage(&error)),
        },
        _ => Err(Reply::unsupported()),
    }
}

/// The role with Vault's defaults under what the body says; text is taken where Vault takes it.
fn from_body(body: &Value) -> Result<Role, Reply> {
    let mut value = json!(Role::default());
    let Some(known) = value.as_object_mut() else {
        return Ok(Role::default());
    };
    for (field, given) in body.as_object().into_iter().flatten() {
        let Some(kept) = known.get_mut(field) else {
            continue;
        };
        let bad = || Reply::error(400, &format!("error converting input for field \"{field}\""));
        *kept = match (field.as_str(), &*kept, given) {
            ("ttl" | "max_ttl" | "not_before_duration", _, given) => json!(duration(given).ok_or_else(bad)?),
            (_, Value::Array(_), Value::String(text)) => {
                json!(
                    text.split(',')
                        .map(str::trim)
                        .filter(|part| !part.is_empty())
                        .collect::<Vec<_>>()
                )
            }
            (_, Value::Bool(_), Value::String(text)) => json!(text.parse::<bool>().map_err(|_| bad())?),
            (_, Value::Number(_), Value::String(text)) => json!(text.parse::<i64>().map_err(|_| bad())?),
            (_, _, given) => given.clone(),
        };
    }
    let mut role: Role =
        serde_json::from_value(value).map_err(|error| Reply::error(400, &error.to_string()))?;
    role.key_bits = bits(&role.key_type, role.key_bits)?;
    let bound = role.not_after_bound.as_str();
    if ![PERMIT, FORBID, TTL_LIMITED].contains(&bound) && DateTime::parse_from_rfc3339(bound).is_err() {
        return Err(Reply::error(
            400,
            &format!("not_after_bound is {PERMIT}, {FORBID}, {TTL_LIMITED} or a time, and not {bound:?}"),
        ));
    }
    if role.max_ttl > 0 && role.ttl > role.max_ttl {
        return Err(Reply::error(
            400,
            "\"ttl\" value must be less than \"max_ttl\" value",
        ));
    }
    Ok(role)
}

/// The size of a type's keys: what is asked for, or Vault's own.
fn bits(kind: &str, wanted: i64) -> Result<i64, Reply> {
    let refused = |words: String| Err(Reply::error(400, &words));
    match (kind, wanted) {
        ("rsa", 0) => Ok(2048),
        ("ec", 0) => Ok(256),
        ("any" | "ed25519", _) => Ok(0),
        ("rsa", 2048 | 3072 | 4096 | 8192) | ("ec", 224 | 256 | 384 | 521) => Ok(wanted),
        ("rsa" | "ec", _) => refused(format!("unsupported bit length for {kind} key: {wanted}")),
        (other, _) => refused(format!("unknown key type {other}")),
    }
}

fn view(role: &Role) -> Value {
    let mut view = json!(role);
    view["ext_key_usage"] = json!([]);
    view["key_usage"] = json!(["DigitalSignature", "KeyAgreement", "KeyEncipherment"]);
    view["issuer_ref"] = json!("default");
    view
}
