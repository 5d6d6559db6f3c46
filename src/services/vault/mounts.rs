//! The mount table: what is mounted where, and how long what comes from it may live.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::capability::Capability;
use super::lifetime::LONGEST;
use super::reply::uuid;
use super::{Core, Reply, storage};
use crate::domain::duration::duration;

/// Where the table is kept.
const PATH: &str = "core/mounts";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Mount {
    #[serde(rename = "type")]
    kind: String,
    description: String,
    accessor: String,
    uuid: String,
    #[serde(default)]
    options: Value,
    #[serde(default, deserialize_with = "as_written")]
    config: Config,
}

/// Times in seconds, 0 for Vault's own.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Config {
    default_lease_ttl: i64,
    max_lease_ttl: i64,
    force_no_cache: bool,
}

/// Times were once kept as they were given, `87600h` or nothing at all.
fn as_written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Config, D::Error> {
    let written = Value::deserialize(deserializer)?;
    Ok(configured(Config::default(), &written).unwrap_or_default())
}

type Mounts = BTreeMap<String, Mount>;

/// Writes the table of a new server.
pub(super) fn write_first(core: &Core) -> std::io::Result<()> {
    let system = Mount {
        kind: "system".to_owned(),
        description: "system endpoints used for control, policy and debugging".to_owned(),
        accessor: format!("system_{}", &uuid()[..8]),
        uuid: uuid(),
        options: Value::Null,
        config: Config::default(),
    };
    core.barrier
        .write(PATH, &Mounts::from([("sys/".to_owned(), system)]))
}

fn table(core: &Core) -> Mounts {
    core.barrier.read_or_default(PATH)
}

/// The mount that `path` is below, without its last slash, and its type.
pub(super) fn mount_of(core: &Core, path: &str) -> Option<(String, String)> {
    table(core)
        .into_iter()
        .filter(|(_, mount)| mount.kind != "system")
        .map(|(name, mount)| (name.trim_end_matches('/').to_owned(), mount.kind))
        .filter(|(name, _)| path == name || path.starts_with(&format!("{name}/")))
        .max_by_key(|(name, _)| name.len())
}

/// How long what comes from a mount lives if nothing is said, and at most, in seconds.
pub(super) fn lifetimes(core: &Core, mount: &str) -> (i64, i64) {
    let config = table(core).remove(&format!("{mount}/")).map(|mount| mount.config);
    let or_usual = |ttl: i64| if ttl > 0 { ttl } else { LONGEST };
    let config = config.unwrap_or_default();
    (or_usual(config.default_lease_ttl), or_usual(config.max_lease_ttl))
}

/// The whole table.
pub(super) fn all(core: &Core) -> Reply {
    Reply::twice(serde_json::to_value(table(core)).unwrap_or_default())
}

fn is_version_2(body: &Value) -> bool {
    let version = &body["options"]["version"];
    version.as_str() == Some("2") || version.as_u64() == Some(2)
}

fn kind(body: &Value) -> Result<&'static str, Reply> {
    match body["type"].as_str().unwrap_or_default() {
        "pki" => Ok("pki"),
        // Vault takes a bare `kv` as version 1, which this server doesn't speak.
        "kv" if !is_version_2(body) => Err(Reply::error(
            400,
            "this server speaks KV version 2 only: mount \"kv-v2\", or set options.version to \"2\"",
        )),
        "kv" | "kv-v2" => Ok("kv"),
        "" => Err(Reply::error(400, "backend type must be specified as a string")),
        other => Err(Reply::error(
            400,
            &format!("plugin not found in the catalog: {other}"),
        )),
    }
}

/// The configuration with what `given` says of it.
fn configured(before: Config, given: &Value) -> Result<Config, Reply> {
    let time = |field: &str, before: i64| match &given[field] {
        Value::Null => Ok(before),
        Value::String(text) if text.is_empty() => Ok(before),
        value => duration(value)
            .ok_or_else(|| Reply::error(400, &format!("unable to parse {field}: invalid duration {value}"))),
    };
    Ok(Config {
        default_lease_ttl: time("default_lease_ttl", before.default_lease_ttl)?,
        max_lease_ttl: time("max_lease_ttl", before.max_lease_ttl)?,
        force_no_cache: given["force_no_cache"].as_bool().unwrap_or(before.force_no_cache),
    })
}

/// `sys/mounts/<name>`; the name ends in a slash.
pub(super) fn route(core: &mut Core, operation: Capability, name: &str, body: &Value) -> Reply {
    let answer = match operation {
        Capability::Update => add(core, name, body),
        Capability::Delete => remove(core, name),
        _ => match table(core).remove(name) {
            Some(mount) => Ok(Reply::data(serde_json::to_value(mount).unwrap_or_default())),
            None => Err(none(name)),
        },
    };
    answer.unwrap_or_else(|refusal| refusal)
}

fn none(name: &str) -> Reply {
    Reply::error(400, &format!("No secret engine mount at {name}"))
}

fn add(core: &Core, name: &str, body: &Value) -> Result<Reply, Reply> {
    let mut mounts = table(core);
    let kind = kind(body)?;
    let mut used = mounts.keys();
    if let Some(used) = used.find(|used| used.starts_with(name) || name.starts_with(used.as_str())) {
        return Err(Reply::error(400, &format!("path is already in use at {used}")));
    }
    let mount = Mount {
        kind: kind.to_owned(),
        description: body["description"].as_str().unwrap_or_default().to_owned(),
        accessor: format!("{kind}_{}", &uuid()[..8]),
        uuid: uuid(),
        options: if kind == "kv" {
            json!({"version": "2"})
        } else {
            Value::Null
        },
        config: configured(Config::default(), &body["config"])?,
    };
    mounts.insert(name.to_owned(), mount);
    write(core, &mounts)
}

fn remove(core: &Core, name: &str) -> Result<Reply, Reply> {
    let mut mounts = table(core);
    match mounts.remove(name) {
        Some(mount) if mount.kind == "system" => Err(Reply::error(400, &format!("cannot unmount {name:?}"))),
        Some(mount) => {
            // What was mounted goes with the mount, so that another one at its path finds nothing.
            let folder = format!("{}/{}", mount.kind, name.trim_end_matches('/'));
            core.barrier
                .remove_all(&folder)
                .map_err(|error| storage(&error))?;
            write(core, &mounts)
        }
        // Vault doesn't tell whether there was one.
        None => Ok(Reply::empty()),
    }
}

/// `sys/mounts/<name>/tune`.
pub(super) fn tune(core: &Core, operation: Capability, name: &str, body: &Value) -> Reply {
    let tuned = || {
        let mut mounts = table(core);
        let Some(mount) = mounts.get_mut(name) else {
            let words = format!("cannot fetch sysview for path {name:?}");
            return Err(Reply::error(400, &words));
        };
        if operation == Capability::Update {
            mount.config = configured(mount.config, body)?;
            return write(core, &mounts);
        }
        let (usual, most) = lifetimes(core, name.trim_end_matches('/'));
        Ok(Reply::data(json!({
            "default_lease_ttl": usual, "max_lease_ttl": most, "force_no_cache": mount.config.force_no_cache,
            "description": mount.description, "options": mount.options,
        })))
    };
    tuned().unwrap_or_else(|refusal| refusal)
}

fn write(core: &Core, mounts: &Mounts) -> Result<Reply, Reply> {
    core.barrier
        .write(PATH, mounts)
        .map(|()| Reply::empty())
        .map_err(|error| storage(&error))
}
