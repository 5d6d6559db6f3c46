//! `sys/`: initialisation, seal, health, mounts, policies.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::policy::Capability;
use super::reply::uuid;
use super::seal::Entered;
use super::token::{self, Token};
use super::{Core, Reply, Request, policy, storage};

/// The version that this server speaks like.
const VERSION: &str = "1.20.0+cmp";

/// Where the mount table is kept.
const MOUNTS: &str = "core/mounts";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Mount {
    #[serde(rename = "type")]
    kind: String,
    description: String,
    accessor: String,
    uuid: String,
    #[serde(default)]
    options: Value,
    #[serde(default)]
    config: Value,
}

type Mounts = BTreeMap<String, Mount>;

impl Core {
    /// The paths that work without an open barrier and without a token.
    pub(super) fn without_barrier(&mut self, request: &Request<'_>, token: Option<&str>) -> Option<Reply> {
        let writes = request.operation == Capability::Update;
        Some(match (request.path, writes) {
            ("sys/init", false) => Reply::bare(json!({"initialized": self.seal.is_initialized()})),
            ("sys/init", true) => self.initialize(request.body),
            ("sys/seal-status", false) => Reply::bare(self.seal_status()),
            ("sys/unseal", true) => self.unseal(request.body),
            ("sys/health", false) => self.health(),
            ("sys/seal", true) if self.barrier.is_open() => {
                let caller = token.and_then(|token| token::find(self, token));
                let may = caller.is_some_and(|caller| {
                    caller.is_root() || policy::allows(self, &caller.policies, request.path, Capability::Sudo)
                });
                if !may {
                    return Some(Reply::error(403, "permission denied"));
                }
                self.barrier.lock();
                self.seal.reset();
                Reply::empty()
            }
            _ => return None,
        })
    }

    fn initialize(&mut self, body: &Value) -> Reply {
        if self.seal.is_initialized() {
            return Reply::error(400, "Vault is already initialized");
        }
        let number = |name: &str| body[name].as_u64().and_then(|n| u8::try_from(n).ok());
        let (Some(shares), Some(threshold)) = (number("secret_shares"), number("secret_threshold")) else {
            return Reply::error(400, "invalid seal configuration: shares must be at least one");
        };
        if shares == 0 || threshold == 0 || threshold > shares || (threshold == 1 && shares > 1) {
            let words = match threshold {
                0 => "threshold must be at least one",
                1 => "threshold must be greater than one for multiple shares",
                _ if shares == 0 => "shares must be at least one",
                _ => "threshold cannot be larger than shares",
            };
            return Reply::error(400, &format!("invalid seal configuration: {words}"));
        }
        let (keyring, parts) = match self.seal.initialize(shares, threshold) {
            Ok(made) => made,
            Err(error) => return storage(&error),
        };
        // Vault is sealed after its initialisation; the barrier is open for the first entries only.
        let written = self.barrier.unlock(&keyring).and_then(|()| {
            self.barrier.write(MOUNTS, &default_mounts())?;
            policy::write_default(self)?;
            token::create_root(self)
        });
        self.barrier.lock();
        let root = match written {
            Ok(root) => root,
            Err(error) => return storage(&error),
        };
        let in_hex: Vec<String> = parts.iter().map(hex::encode).collect();
        let in_base64: Vec<String> = parts.iter().map(|part| STANDARD.encode(part)).collect();
        Reply::bare(json!({"keys": in_hex, "keys_base64": in_base64, "root_token": root}))
    }

    fn seal_status(&self) -> Value {
        let config = self.seal.config.as_ref();
        let mut status = json!({
            "type": "shamir",
            "initialized": config.is_some(),
            "sealed": !self.barrier.is_open(),
            "t": config.map_or(0, |config| config.threshold),
            "n": config.map_or(0, |config| config.shares),
            "progress": self.seal.progress(),
            "nonce": self.seal.nonce,
            "version": VERSION,
            "build_date": "2026-01-01T00:00:00Z",
            "migration": false,
            "recovery_seal": false,
            "storage_type": "file",
        });
        if let (Some(config), true) = (config, self.barrier.is_open()) {
            status["cluster_name"] = json!("cmp-embedded");
            status["cluster_id"] = json!(config.cluster_id);
        }
        status
    }

    fn unseal(&mut self, body: &Value) -> Reply {
        if !self.seal.is_initialized() {
            return Reply::error(400, "server is not yet initialized");
        }
        if body["reset"].as_bool() == Some(true) {
            if self.barrier.is_open() {
                return Reply::error(400, "vault is unsealed");
            }
            self.seal.reset();
            return Reply::bare(self.seal_status());
        }
        let Some(key) = body["key"].as_str().filter(|key| !key.is_empty()) else {
            return Reply::error(
                400,
                "'key' must be specified in request body as JSON, or 'reset' set to true",
            );
        };
        if self.barrier.is_open() {
            return Reply::bare(self.seal_status());
        }
        match self.seal.enter(key) {
            Entered::More => Reply::bare(self.seal_status()),
            Entered::Opened(keyring) => match self.barrier.unlock(&keyring) {
                Ok(()) => Reply::bare(self.seal_status()),
                Err(error) => storage(&error),
            },
            Entered::Wrong => Reply::error(
                400,
                "Unseal failed, invalid key: failed to decrypt keyring: cipher: message authentication failed",
            ),
            Entered::Malformed => Reply::error(400, "'key' must be a valid hex or base64 string"),
        }
    }

    fn health(&self) -> Reply {
        let status = match (self.seal.is_initialized(), self.barrier.is_open()) {
            (false, _) => 501,
            (true, false) => 503,
            (true, true) => 200,
        };
        let mut body = json!({
            "initialized": self.seal.is_initialized(),
            "sealed": !self.barrier.is_open(),
            "standby": status != 200,
            "performance_standby": false,
            "replication_performance_mode": "disabled",
            "replication_dr_mode": "disabled",
            "server_time_utc": self.clock.now().timestamp(),
            "version": VERSION,
        });
        if let (Some(config), 200) = (&self.seal.config, status) {
            body["cluster_name"] = json!("cmp-embedded");
            body["cluster_id"] = json!(config.cluster_id);
        }
        Reply {
            status,
            ..Reply::bare(body)
        }
    }
}

fn default_mounts() -> Mounts {
    let mount = |kind: &str, description: &str| Mount {
        kind: kind.to_owned(),
        description: description.to_owned(),
        accessor: format!("{kind}_{}", &uuid()[..8]),
        uuid: uuid(),
        options: Value::Null,
        config: json!({"default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": false}),
    };
    [(
        "sys/",
        mount(
            "system",
            "system endpoints used for control, policy and debugging",
        ),
    )]
    .into_iter()
    .map(|(path, mount)| (path.to_owned(), mount))
    .collect()
}

/// The mount that `path` is below, without its last slash, and its type.
pub(super) fn mount_of(core: &Core, path: &str) -> Option<(String, String)> {
    let mounts: Mounts = core.barrier.read_or_default(MOUNTS);
    mounts
        .into_iter()
        .filter(|(_, mount)| mount.kind != "system")
        .map(|(name, mount)| (name.trim_end_matches('/').to_owned(), mount.kind))
        .filter(|(name, _)| path == name || path.starts_with(&format!("{name}/")))
        .max_by_key(|(name, _)| name.len())
}

/// The paths below `sys/` that need a token.
pub(super) fn route(core: &mut Core, request: &Request<'_>, _caller: &Token) -> Option<Reply> {
    let rest = request.path.strip_prefix("sys/")?;
    Some(match (request.operation, rest) {
        (Capability::Read, "mounts") => mounts(core),
        (operation, rest) if rest.starts_with("mounts/") => {
            let name = format!("{}/", rest.trim_start_matches("mounts/").trim_matches('/'));
            mount(core, operation, &name, request.body)
        }
        (Capability::Read | Capability::List, "policies/acl") => {
            let mut names = core.barrier.list(policy::FOLDER);
            names.push("root".to_owned());
            Reply::keys(&names)
        }
        (operation, rest) if rest.starts_with("policies/acl/") => policy::route(
            core,
            operation,
            rest.trim_start_matches("policies/acl/"),
            request.body,
        ),
        _ => return None,
    })
}

fn mounts(core: &Core) -> Reply {
    let mounts: Mounts = core.barrier.read_or_default(MOUNTS);
    let value = serde_json::to_value(&mounts).unwrap_or_default();
    // Vault answers the table twice: at the top, as it did at first, and in `data`.
    let mut reply = Reply::data(value.clone());
    if let (super::Body::Json(Value::Object(top)), Value::Object(mounts)) = (&mut reply.body, value) {
        top.extend(mounts);
    }
    reply
}

fn is_version_2(body: &Value) -> bool {
    let version = &body["options"]["version"];
    version.as_str() == Some("2") || version.as_u64() == Some(2)
}

fn mount(core: &mut Core, operation: Capability, name: &str, body: &Value) -> Reply {
    let mut mounts: Mounts = core.barrier.read_or_default(MOUNTS);
    match operation {
        Capability::Update => {
            let kind = match body["type"].as_str().unwrap_or_default() {
                "pki" => "pki".to_owned(),
                // Vault takes a bare `kv` as version 1, which this server doesn't speak.
                "kv" if !is_version_2(body) => {
                    return Reply::error(
                        400,
                        "this server speaks KV version 2 only: mount \"kv-v2\", or set options.version to \"2\"",
                    );
                }
                "kv" => "kv".to_owned(),
                "kv-v2" => "kv".to_owned(),
                "" => return Reply::error(400, "backend type must be specified as a string"),
                other => return Reply::error(400, &format!("plugin not found in the catalog: {other}")),
            };
            if mounts
                .keys()
                .any(|used| used.starts_with(name) || name.starts_with(used.as_str()))
            {
                return Reply::error(400, &format!("path is already in use at {name}"));
            }
            mounts.insert(
                name.to_owned(),
                Mount {
                    accessor: format!("{kind}_{}", &uuid()[..8]),
                    description: body["description"].as_str().unwrap_or_default().to_owned(),
                    uuid: uuid(),
                    options: if kind == "kv" {
                        json!({"version": "2"})
                    } else {
                        Value::Null
                    },
                    config: body.get("config").cloned().unwrap_or(Value::Null),
                    kind,
                },
            );
        }
        Capability::Delete => match mounts.get(name) {
            Some(mount) if mount.kind == "system" => {
                return Reply::error(400, &format!("cannot unmount {name:?}"));
            }
            Some(mount) => {
                // What was mounted goes with the mount, so that another one at its path finds nothing.
                let folder = format!("{}/{}", mount.kind, name.trim_end_matches('/'));
                if let Err(error) = core.barrier.remove_all(&folder) {
                    return storage(&error);
                }
                mounts.remove(name);
            }
            // Vault doesn't tell whether there was one.
            None => return Reply::empty(),
        },
        _ => {
            return match mounts.get(name) {
                Some(mount) => Reply::data(serde_json::to_value(mount).unwrap_or_default()),
                None => Reply::error(400, "No secret engine mount at this path"),
            };
        }
    }
    match core.barrier.write(MOUNTS, &mounts) {
        Ok(()) => Reply::empty(),
        Err(error) => storage(&error),
    }
}
