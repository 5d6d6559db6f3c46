//! KV version 2: versioned secrets with check-and-set, soft deletion and destruction.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::policy::Capability;
use super::{Core, Reply, Request, storage};

#[derive(Clone, Serialize, Deserialize)]
struct Version {
    data: Option<Value>,
    created_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    destroyed: bool,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Secret {
    versions: BTreeMap<u64, Version>,
    current: u64,
}

/// The versions that a secret keeps, as Vault's default.
const KEPT: usize = 10;

/// `<mount>/{data,metadata,delete,undelete,destroy}/<path>`.
pub(super) fn route(core: &mut Core, request: &Request<'_>, mount: &str, rest: &str) -> Option<Reply> {
    let (verb, path) = rest.split_once('/').unwrap_or((rest, ""));
    let entry = format!("kv/{mount}/{path}");
    let secret = || core.barrier.read::<Secret>(&entry);
    let numbers = || -> Vec<u64> {
        request.body["versions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect()
    };
    let now = core.clock.now();
    Some(match (request.operation, verb) {
        (Capability::List, "metadata") => Reply::keys(&core.barrier.list(&entry)),
        (Capability::Read, "data") => match secret() {
            Ok(Some(secret)) => read(&secret, &request.body["version"]),
            Ok(None) => Reply::not_found(),
            Err(error) => storage(&error),
        },
        (Capability::Update, "data") => write(core, &entry, request.body),
        (Capability::Patch, "data") => patch(core, &entry, request.body),
        (Capability::Read, "metadata") => match secret() {
            Ok(Some(secret)) => Reply::data(metadata(&secret)),
            Ok(None) => Reply::not_found(),
            Err(error) => storage(&error),
        },
        (Capability::Delete, "metadata") => core
            .barrier
            .remove(&entry)
            .map_or_else(|error| storage(&error), |()| Reply::empty()),
        (Capability::Delete, "data") => change(
            core,
            &entry,
            |number, current| number == current,
            |version| version.deleted_at = Some(now),
        ),
        (Capability::Update, "delete") => {
            let numbers = numbers();
            change(
                core,
                &entry,
                |number, _| numbers.contains(&number),
                |version| version.deleted_at = Some(now),
            )
        }
        (Capability::Update, "undelete") => {
            let numbers = numbers();
            change(
                core,
                &entry,
                |number, _| numbers.contains(&number),
                |version| version.deleted_at = None,
            )
        }
        (Capability::Update, "destroy") => {
            let numbers = numbers();
            change(
                core,
                &entry,
                |number, _| numbers.contains(&number),
                |version| {
                    version.data = None;
                    version.destroyed = true;
                },
            )
        }
        _ => return None,
    })
}

fn about(number: u64, version: &Version) -> Value {
    json!({
        "created_time": version.created_at.to_rfc3339(),
        "custom_metadata": null,
        "deletion_time": version.deleted_at.map(|at| at.to_rfc3339()).unwrap_or_default(),
        "destroyed": version.destroyed,
        "version": number,
    })
}

fn read(secret: &Secret, wanted: &Value) -> Reply {
    let wanted = wanted
        .as_u64()
        .or_else(|| wanted.as_str()?.parse().ok())
        .filter(|n| *n > 0);
    let number = wanted.unwrap_or(secret.current);
    let Some(version) = secret.versions.get(&number) else {
        return Reply::not_found();
    };
    let gone = version.destroyed || version.deleted_at.is_some();
    let data = if gone { None } else { version.data.clone() };
    let reply = Reply::data(json!({"data": data, "metadata": about(number, version)}));
    if gone {
        Reply { status: 404, ..reply }
    } else {
        reply
    }
}

fn write(core: &mut Core, entry: &str, body: &Value) -> Reply {
    let Some(data) = body.get("data").filter(|data| data.is_object()) else {
        return Reply::error(400, "no data provided");
    };
    let secret: Secret = match core.barrier.read(entry) {
        Ok(secret) => secret.unwrap_or_default(),
        Err(error) => return storage(&error),
    };
    add(core, entry, secret, data.clone(), &body["options"]["cas"])
}

/// Merges into the newest version, as RFC 7396 has it; that one must be readable.
fn patch(core: &mut Core, entry: &str, body: &Value) -> Reply {
    let Some(changes) = body.get("data").filter(|data| data.is_object()) else {
        return Reply::error(400, "no data provided");
    };
    let secret: Secret = match core.barrier.read(entry) {
        Ok(Some(secret)) => secret,
        Ok(None) => return Reply::not_found(),
        Err(error) => return storage(&error),
    };
    let newest = secret.versions.get(&secret.current);
    let newest = newest.filter(|version| !version.destroyed && version.deleted_at.is_none());
    let Some(mut data) = newest.and_then(|version| version.data.clone()) else {
        return Reply::not_found();
    };
    merge(&mut data, changes);
    add(core, entry, secret, data, &body["options"]["cas"])
}

fn merge(into: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        return into.clone_from(changes);
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Value::Object(fields) = into else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Adds a version, if the check-and-set parameter allows it; a number as text is one too.
fn add(core: &Core, entry: &str, mut secret: Secret, data: Value, cas: &Value) -> Reply {
    let wanted = match cas {
        Value::Null => None,
        cas => match cas.as_u64().or_else(|| cas.as_str()?.parse().ok()) {
            Some(number) => Some(number),
            None => return Reply::error(400, "error parsing check-and-set parameter"),
        },
    };
    if wanted.is_some_and(|cas| cas != secret.current) {
        return Reply::error(400, "check-and-set parameter did not match the current version");
    }
    secret.current += 1;
    let version = Version {
        data: Some(data),
        created_at: core.clock.now(),
        deleted_at: None,
        destroyed: false,
    };
    let view = about(secret.current, &version);
    secret.versions.insert(secret.current, version);
    while secret.versions.len() > KEPT {
        secret.versions.pop_first();
    }
    core.barrier
        .write(entry, &secret)
        .map_or_else(|error| storage(&error), |()| Reply::data(view))
}

fn change(
    core: &mut Core,
    entry: &str,
    which: impl Fn(u64, u64) -> bool,
    how: impl Fn(&mut Version),
) -> Reply {
    let mut secret: Secret = match core.barrier.read(entry) {
        Ok(Some(secret)) => secret,
        // Vault doesn't tell whether there was one.
        Ok(None) => return Reply::empty(),
        Err(error) => return storage(&error),
    };
    let current = secret.current;
    secret
        .versions
        .iter_mut()
        .filter(|(number, _)| which(**number, current))
        .for_each(|(_, version)| how(version));
    core.barrier
        .write(entry, &secret)
        .map_or_else(|error| storage(&error), |()| Reply::empty())
}

fn metadata(secret: &Secret) -> Value {
    let versions: BTreeMap<String, Value> = secret
        .versions
        .iter()
        .map(|(number, version)| (number.to_string(), about(*number, version)))
        .collect();
    json!({
        "current_version": secret.current,
        // Vault counts it from the first version that it dropped.
        "oldest_version": secret.versions.keys().next().filter(|first| **first > 1).unwrap_or(&0),
        "created_time": secret.versions.values().next().map(|version| version.created_at.to_rfc3339()),
        "updated_time": secret.versions.values().last().map(|version| version.created_at.to_rfc3339()),
        "custom_metadata": null,
        "delete_version_after": "0s",
        "max_versions": 0,
        "cas_required": false,
        "versions": versions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_merges_as_rfc_7396_has_it() {
        let mut data = json!({"a": 1, "b": {"c": 2, "d": 3}});
        merge(&mut data, &json!({"a": null, "b": {"c": 4}, "e": [1]}));
        assert_eq!(data, json!({"b": {"c": 4, "d": 3}, "e": [1]}));
    }
}
