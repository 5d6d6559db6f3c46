//! AppRole: a role has an id that is no secret and secret ids; who has both gets a token with the role's
//! policies. Addresses that a secret id is bound to are not spoken.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::policy::Capability;
use super::reply::uuid;
use super::token::{self, Terms, Wish};
use super::{Core, Reply, Request, storage};
use crate::domain::duration::duration;

/// A role. Times in seconds, 0 for none.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Role {
    role_id: String,
    policies: Vec<String>,
    ttl: i64,
    max_ttl: i64,
    period: i64,
    #[serde(default)]
    explicit_max_ttl: i64,
    /// Calls that each token is good for; 0 for any number.
    #[serde(default)]
    uses: i64,
    #[serde(default)]
    no_default_policy: bool,
    secret_id_ttl: i64,
    secret_id_num_uses: i64,
}

/// A secret id, stored under its hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SecretId {
    accessor: String,
    /// Logins left; 0 for any number.
    uses: i64,
    ends_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// Where all of a mounted method is kept.
pub(super) fn folder(mount: &str) -> String {
    format!("approle/{mount}")
}

fn path(mount: &str, name: &str) -> String {
    format!("{}/roles/{name}", folder(mount))
}

fn secrets(mount: &str, name: &str) -> String {
    format!("{}/secrets/{name}", folder(mount))
}

fn secret_path(mount: &str, name: &str, secret_id: &str) -> String {
    format!("{}/{}", secrets(mount, name), token::hash(secret_id))
}

fn read(core: &Core, mount: &str, name: &str) -> Result<Role, Reply> {
    let role = core
        .barrier
        .read(&path(mount, name))
        .map_err(|error| storage(&error))?;
    role.ok_or_else(Reply::not_found)
}

fn keep(core: &Core, path: &str, what: &impl Serialize) -> Result<(), Reply> {
    core.barrier.write(path, what).map_err(|error| storage(&error))
}

/// `auth/<mount>/login`.
pub(super) fn login(core: &mut Core, mount: &str, body: &Value) -> Result<Reply, Reply> {
    let given = |field: &str| body[field].as_str().filter(|text| !text.is_empty());
    let refused = || Reply::error(400, "invalid role or secret ID");
    let role_id = given("role_id").ok_or_else(|| Reply::error(500, "missing role_id"))?;
    let names = core.barrier.list(&format!("{}/roles", folder(mount)));
    let found = names.into_iter().find_map(|name| {
        read(core, mount, &name)
            .ok()
            .filter(|role| role.role_id == role_id)
            .map(|role| (name, role))
    });
    let (name, role) = found.ok_or_else(refused)?;
    let secret_id = given("secret_id").ok_or_else(|| Reply::error(400, "missing secret_id"))?;
    let place = secret_path(mount, &name, secret_id);
    let secret: Option<SecretId> = core.barrier.read(&place).map_err(|error| storage(&error))?;
    let now = core.clock.now();
    let secret = secret.filter(|secret| secret.ends_at.is_none_or(|end| end > now));
    let mut secret = secret.ok_or_else(refused)?;
    match secret.uses {
        0 => {}
        1 => core.barrier.remove(&place).map_err(|error| storage(&error))?,
        _ => {
            secret.uses -= 1;
            keep(core, &place, &secret)?;
        }
    }
    let wish = Wish::of_role(&Terms {
        policies: &role.policies,
        with_default: !role.no_default_policy,
        ttl: role.ttl,
        max_ttl: role.max_ttl,
        explicit_max_ttl: role.explicit_max_ttl,
        period: role.period,
        uses: role.uses,
    });
    let made = token::create(core, wish).map_err(|error| storage(&error))?;
    let mut auth = token::auth(&made);
    auth["metadata"] = json!({"role_name": name});
    Ok(Reply::enveloped(&Value::Null, &Value::Null, &auth))
}

/// `auth/<mount>/role…`.
pub(super) fn route(core: &mut Core, request: &Request<'_>, mount: &str, rest: &str) -> Option<Reply> {
    let mut parts = rest.splitn(3, '/');
    if parts.next() != Some("role") {
        return None;
    }
    let Some(name) = parts.next().map(str::to_lowercase) else {
        return Some(match request.operation {
            Capability::List => Reply::keys(&core.barrier.list(&format!("{}/roles", folder(mount)))),
            _ => Reply::unsupported(),
        });
    };
    let reply = match (parts.next().unwrap_or_default(), request.operation) {
        ("", Capability::Update) => write(core, mount, &name, request.body),
        ("", Capability::Delete) => remove(core, mount, &name),
        ("", _) => read(core, mount, &name).map(|role| Reply::data(view(&role))),
        ("role-id", Capability::Read) => {
            read(core, mount, &name).map(|role| Reply::data(json!({"role_id": role.role_id})))
        }
        ("role-id", Capability::Update) => name_role(core, mount, &name, request.body),
        ("secret-id", Capability::Update) => make_secret(core, mount, &name),
        ("secret-id/destroy", Capability::Update) => {
            let secret_id = request.body["secret_id"].as_str().unwrap_or_default();
            core.barrier
                .remove(&secret_path(mount, &name, secret_id))
                .map(|()| Reply::empty())
                .map_err(|error| storage(&error))
        }
        _ => return None,
    };
    Some(reply.unwrap_or_else(|refusal| refusal))
}

fn write(core: &Core, mount: &str, name: &str, body: &Value) -> Result<Reply, Reply> {
    let mut role = match read(core, mount, name) {
        Ok(role) => role,
        Err(refusal) if refusal.status != 404 => return Err(refusal),
        Err(_) => Role {
            role_id: uuid(),
            policies: Vec::new(),
            ttl: 0,
            max_ttl: 0,
            period: 0,
            explicit_max_ttl: 0,
            uses: 0,
            no_default_policy: false,
            secret_id_ttl: 0,
            secret_id_num_uses: 0,
        },
    };
    match &body["token_policies"] {
        Value::String(text) => {
            role.policies = text.split(',').map(|part| part.trim().to_lowercase()).collect();
        }
        Value::Array(list) => {
            role.policies = list
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_lowercase)
                .collect();
        }
        _ => {}
    }
    for (field, kept) in [
        ("token_ttl", &mut role.ttl),
        ("token_max_ttl", &mut role.max_ttl),
        ("token_period", &mut role.period),
        ("token_explicit_max_ttl", &mut role.explicit_max_ttl),
        ("secret_id_ttl", &mut role.secret_id_ttl),
    ] {
        let given = &body[field];
        if !given.is_null() {
            let words = || format!("error converting input for field {field:?}: invalid duration {given}");
            *kept = duration(given).ok_or_else(|| Reply::error(400, &words()))?;
        }
    }
    if let Some(uses) = body["secret_id_num_uses"].as_i64() {
        role.secret_id_num_uses = uses.max(0);
    }
    if let Some(uses) = body["token_num_uses"].as_i64() {
        if uses < 0 {
            return Err(Reply::error(400, "'token_num_uses' cannot be negative"));
        }
        role.uses = uses;
    }
    if let Some(without) = body["token_no_default_policy"].as_bool() {
        role.no_default_policy = without;
    }
    if role.max_ttl > 0 && role.ttl > role.max_ttl {
        return Err(Reply::error(
            400,
            "'token_ttl' cannot be greater than 'token_max_ttl'",
        ));
    }
    keep(core, &path(mount, name), &role).map(|()| Reply::empty())
}

fn remove(core: &Core, mount: &str, name: &str) -> Result<Reply, Reply> {
    core.barrier
        .remove(&path(mount, name))
        .and_then(|()| core.barrier.remove_all(&secrets(mount, name)))
        .map(|()| Reply::empty())
        .map_err(|error| storage(&error))
}

fn name_role(core: &Core, mount: &str, name: &str, body: &Value) -> Result<Reply, Reply> {
    let mut role = read(core, mount, name)?;
    let id = body["role_id"].as_str().filter(|id| !id.is_empty());
    id.ok_or_else(|| Reply::error(400, "missing role_id"))?
        .clone_into(&mut role.role_id);
    keep(core, &path(mount, name), &role).map(|()| Reply::empty())
}

fn make_secret(core: &Core, mount: &str, name: &str) -> Result<Reply, Reply> {
    let role = match read(core, mount, name) {
        Err(refusal) if refusal.status == 404 => {
            return Err(Reply::error(404, &format!("role {name:?} does not exist")));
        }
        role => role?,
    };
    let lives = (role.secret_id_ttl > 0).then(|| chrono::Duration::seconds(role.secret_id_ttl));
    let secret = SecretId {
        accessor: uuid(),
        uses: role.secret_id_num_uses,
        ends_at: lives.map(|lives| core.clock.now() + lives),
    };
    let secret_id = uuid();
    keep(core, &secret_path(mount, name, &secret_id), &secret)?;
    Ok(Reply::data(json!({
        "secret_id": secret_id, "secret_id_accessor": secret.accessor,
        "secret_id_num_uses": secret.uses, "secret_id_ttl": role.secret_id_ttl,
    })))
}

fn view(role: &Role) -> Value {
    json!({
        "bind_secret_id": true,
        "local_secret_ids": false,
        "secret_id_bound_cidrs": null,
        "secret_id_num_uses": role.secret_id_num_uses,
        "secret_id_ttl": role.secret_id_ttl,
        "token_bound_cidrs": [],
        "token_explicit_max_ttl": role.explicit_max_ttl,
        "token_max_ttl": role.max_ttl,
        "token_no_default_policy": role.no_default_policy,
        "token_num_uses": role.uses,
        "token_period": role.period,
        "token_policies": role.policies,
        "token_ttl": role.ttl,
        "token_type": "default",
    })
}
