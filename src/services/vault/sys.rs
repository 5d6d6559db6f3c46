//! `sys/`: initialisation, seal, health, mounts, policies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::policy::Capability;
use super::seal::{self, Entered, LONGEST, SHORTEST};
use super::token::{self, Token};
use super::{Core, Reply, Request, auth, mounts, policy, storage};

/// The version that this server speaks like.
const VERSION: &str = "1.20.0+cmp";

impl Core {
    /// The paths that work without an open barrier and without a token.
    pub(super) fn without_barrier(&mut self, request: &Request<'_>, token: Option<&str>) -> Option<Reply> {
        let writes = request.operation == Capability::Update;
        let reads = request.operation == Capability::Read;
        Some(match (request.path, writes) {
            ("sys/seal-status" | "sys/health", _) if !reads => Reply::wrong_method(),
            ("sys/unseal", false) => Reply::wrong_method(),
            ("sys/init", false) => Reply::bare(json!({"initialized": self.seal.is_initialized()})),
            ("sys/init", true) => self.initialize(request.body),
            ("sys/seal-status", false) => Reply::bare(self.seal_status()),
            ("sys/unseal", true) => self.unseal(request.body),
            ("sys/health", false) => self.health(),
            ("sys/seal", true) if !self.barrier.is_open() => Reply::empty(),
            ("sys/seal", true) => {
                let caller = token.and_then(|token| token::find(self, token));
                let allows =
                    |caller: &Token, what| policy::allows(self, &caller.policies, request.path, what);
                let may = caller.is_some_and(|caller| {
                    caller.is_root()
                        || allows(&caller, Capability::Update) && allows(&caller, Capability::Sudo)
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
            mounts::write_first(self)?;
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
        if self.barrier.is_open() && seal::is_share(key) {
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
                "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: cipher: message authentication failed",
            ),
            Entered::Malformed => Reply::error(400, "'key' must be a valid hex or base64 string"),
            Entered::OfWrongLength => Reply::error(
                400,
                &format!(
                    "invalid key: key is shorter than minimum {SHORTEST} bytes or longer than maximum {LONGEST} bytes"
                ),
            ),
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
            "replication_performance_mode": if status == 200 { "disabled" } else { "unknown" },
            "replication_dr_mode": if status == 200 { "disabled" } else { "unknown" },
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

/// The paths below `sys/` that need a token.
pub(super) fn route(core: &mut Core, request: &Request<'_>, caller: &Token) -> Option<Reply> {
    let rest = request.path.strip_prefix("sys/")?;
    Some(match (request.operation, rest) {
        (Capability::Read, "mounts") => mounts::all(core),
        (Capability::Read, "auth") => auth::all(core),
        (Capability::Update, "capabilities-self") => policy::capabilities(core, caller, request.body),
        (operation, rest) if rest.starts_with("mounts/") => {
            let name = rest.trim_start_matches("mounts/").trim_matches('/');
            match name.strip_suffix("/tune") {
                Some(name) => mounts::tune(core, operation, &format!("{name}/"), request.body),
                None => mounts::route(core, operation, &format!("{name}/"), request.body),
            }
        }
        (operation, rest) if rest.starts_with("auth/") => {
            let name = rest.trim_start_matches("auth/").trim_matches('/');
            auth::route(core, operation, &format!("{name}/"), request.body)
        }
        (Capability::List, "policies/acl") => {
            let mut names = core.barrier.list(policy::FOLDER);
            names.push("root".to_owned());
            Reply::keys(&names)
        }
        (_, "policies/acl") => Reply::unsupported(),
        (operation, rest) if rest.starts_with("policies/acl/") => policy::route(
            core,
            operation,
            // Vault knows no capitals in names of policies.
            &rest.trim_start_matches("policies/acl/").to_lowercase(),
            request.body,
        ),
        _ => return None,
    })
}
