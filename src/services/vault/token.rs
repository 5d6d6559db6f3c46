//! Tokens with a lifetime: made, looked up, renewed, ended. Only a token's hash is stored.

use std::io;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::policy::Capability;
use super::reply::random;
use super::{Core, Reply, Request, storage};

const FOLDER: &str = "core/tokens";
/// A token's lifetime when none is asked for, as in Vault.
const DEFAULT_TTL: i64 = 32 * 24 * 3600;

/// One token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Token {
    /// Names the token without being it.
    pub(super) accessor: String,
    /// What it may do.
    pub(super) policies: Vec<String>,
    display_name: String,
    created_at: DateTime<Utc>,
    /// Seconds that a renewal gives; 0 for ever.
    ttl: i64,
    expires_at: Option<DateTime<Utc>>,
    renewable: bool,
    /// Which entry it is stored as.
    hash: String,
}

impl Token {
    pub(super) fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    fn view(&self, now: DateTime<Utc>) -> Value {
        json!({
            "accessor": self.accessor,
            "creation_time": self.created_at.timestamp(),
            "creation_ttl": self.ttl,
            "display_name": self.display_name,
            "entity_id": "",
            "expire_time": self.expires_at.map(|at| at.to_rfc3339()),
            "explicit_max_ttl": 0,
            "id": "",
            "meta": null,
            "num_uses": 0,
            "orphan": true,
            "path": "auth/token/create",
            "policies": self.policies,
            "renewable": self.renewable,
            "ttl": self.expires_at.map_or(0, |at| (at - now).num_seconds().max(0)),
            "type": "service",
        })
    }
}

fn hash(token: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, token.as_bytes()))
}

/// The token, if there is one and it still lives.
pub(super) fn find(core: &Core, token: &str) -> Option<Token> {
    let found: Token = core.barrier.read(&format!("{FOLDER}/{}", hash(token))).ok()??;
    found
        .expires_at
        .is_none_or(|at| at > core.clock.now())
        .then_some(found)
}

/// Makes the root token of a new server.
pub(super) fn create_root(core: &mut Core) -> io::Result<String> {
    create(core, vec!["root".to_owned()], "root", 0, false).map(|(token, _)| token)
}

fn create(
    core: &mut Core,
    policies: Vec<String>,
    name: &str,
    ttl: i64,
    renewable: bool,
) -> io::Result<(String, Token)> {
    let text = format!("hvs.{}", URL_SAFE_NO_PAD.encode(random::<24>()));
    let now = core.clock.now();
    let token = Token {
        accessor: URL_SAFE_NO_PAD.encode(random::<18>()),
        policies,
        display_name: name.to_owned(),
        created_at: now,
        ttl,
        expires_at: (ttl > 0).then(|| now + Duration::seconds(ttl)),
        renewable,
        hash: hash(&text),
    };
    core.barrier.write(&format!("{FOLDER}/{}", token.hash), &token)?;
    Ok((text, token))
}

fn auth(text: &str, token: &Token) -> Value {
    json!({
        "client_token": text,
        "accessor": token.accessor,
        "policies": token.policies,
        "token_policies": token.policies,
        "metadata": null,
        "lease_duration": token.ttl,
        "renewable": token.renewable,
        "entity_id": "",
        "token_type": "service",
        "orphan": true,
        "mfa_requirement": null,
        "num_uses": 0,
    })
}

/// `auth/token/…`.
pub(super) fn route(core: &mut Core, request: &Request<'_>, rest: &str, caller: &Token) -> Option<Reply> {
    let now = core.clock.now();
    let named = request.body["token"].as_str();
    Some(match (request.operation, rest) {
        (Capability::Update, "create" | "create-orphan") => {
            let mut policies: Vec<String> = match &request.body["policies"] {
                Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            };
            if policies.is_empty() {
                policies.clone_from(&caller.policies);
            }
            // A token's child may do no more than the token itself.
            if !caller.is_root() && policies.iter().any(|policy| !caller.policies.contains(policy)) {
                return Some(Reply::error(400, "child policies must be subset of parent"));
            }
            let ttl = match super::pki::duration(&request.body["ttl"]) {
                Some(0) | None if policies.iter().any(|policy| policy == "root") => 0,
                Some(0) | None => DEFAULT_TTL,
                Some(ttl) => ttl,
            };
            let name = request.body["display_name"]
                .as_str()
                .map_or("token".to_owned(), |name| format!("token-{name}"));
            let renewable = request.body["renewable"].as_bool().unwrap_or(true) && ttl > 0;
            match create(core, policies, &name, ttl, renewable) {
                Ok((text, token)) => Reply::enveloped(&Value::Null, &Value::Null, &auth(&text, &token)),
                Err(error) => storage(&error),
            }
        }
        (_, "lookup-self") => Reply::data(caller.view(now)),
        (Capability::Update | Capability::Read, "lookup") => {
            match named.and_then(|token| find(core, token)) {
                Some(token) => Reply::data(token.view(now)),
                None => Reply::error(403, "bad token"),
            }
        }
        (Capability::Update, "renew-self") => renew(core, caller.clone(), now),
        (Capability::Update, "revoke-self") => end(core, caller),
        (Capability::Update, "revoke") => match named.and_then(|token| find(core, token)) {
            Some(token) => end(core, &token),
            None => Reply::empty(),
        },
        _ => return None,
    })
}

fn renew(core: &mut Core, mut token: Token, now: DateTime<Utc>) -> Reply {
    if !token.renewable {
        return Reply::error(400, "lease is not renewable");
    }
    token.expires_at = Some(now + Duration::seconds(token.ttl));
    match core.barrier.write(&format!("{FOLDER}/{}", token.hash), &token) {
        Ok(()) => Reply::enveloped(&Value::Null, &Value::Null, &auth("", &token)),
        Err(error) => storage(&error),
    }
}

fn end(core: &mut Core, token: &Token) -> Reply {
    core.barrier
        .remove(&format!("{FOLDER}/{}", token.hash))
        .map_or_else(|error| storage(&error), |()| Reply::empty())
}
