//! The auth methods: tokens, which are always there, and AppRole wherever it is mounted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::policy::Capability;
use super::reply::uuid;
use super::{Core, Reply, Request, approle, storage};

/// Where the table is kept.
const PATH: &str = "core/auth";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Method {
    #[serde(rename = "type")]
    kind: String,
    description: String,
    accessor: String,
}

/// By their names, which end in a slash; tokens aren't among them.
type Methods = BTreeMap<String, Method>;

fn table(core: &Core) -> Methods {
    core.barrier.read_or_default(PATH)
}

/// `sys/auth`.
pub(super) fn all(core: &Core) -> Reply {
    let mut methods = json!({
        "token/": {"type": "token", "description": "token based credentials", "accessor": "auth_token"},
    });
    for (name, method) in table(core) {
        methods[name] = serde_json::to_value(method).unwrap_or_default();
    }
    Reply::twice(methods)
}

/// `sys/auth/<name>`; the name ends in a slash.
pub(super) fn route(core: &mut Core, operation: Capability, name: &str, body: &Value) -> Reply {
    let mut methods = table(core);
    match operation {
        Capability::Update => {
            let kind = body["type"].as_str().unwrap_or_default();
            if kind != "approle" {
                return Reply::error(400, &format!("plugin not found in the catalog: {kind}"));
            }
            if name == "token/" || methods.contains_key(name) {
                return Reply::error(400, &format!("path is already in use at {name}"));
            }
            let method = Method {
                kind: kind.to_owned(),
                description: body["description"].as_str().unwrap_or_default().to_owned(),
                accessor: format!("auth_approle_{}", &uuid()[..8]),
            };
            methods.insert(name.to_owned(), method);
        }
        Capability::Delete if name == "token/" => {
            return Reply::error(400, "token credential backend cannot be disabled");
        }
        Capability::Delete => {
            methods.remove(name);
            let folder = approle::folder(name.trim_end_matches('/'));
            if let Err(error) = core.barrier.remove_all(&folder) {
                return storage(&error);
            }
        }
        _ => {
            return match methods.remove(name) {
                Some(method) => Reply::data(serde_json::to_value(method).unwrap_or_default()),
                None => Reply::error(400, &format!("No auth engine at {name}")),
            };
        }
    }
    core.barrier
        .write(PATH, &methods)
        .map_or_else(|error| storage(&error), |()| Reply::empty())
}

/// The method that `rest`, which is below `auth/`, is below, and what remains.
fn below<'a>(core: &Core, rest: &'a str) -> Option<(&'a str, &'a str)> {
    let (name, rest) = rest.split_once('/')?;
    table(core)
        .contains_key(&format!("{name}/"))
        .then_some((name, rest))
}

/// A login, which needs no token; `None` if the request is none.
pub(super) fn login(core: &mut Core, request: &Request<'_>) -> Option<Reply> {
    let rest = request.path.strip_prefix("auth/")?;
    let (name, rest) = below(core, rest)?;
    (rest == "login" && request.operation == Capability::Update)
        .then(|| approle::login(core, name, request.body).unwrap_or_else(|refusal| refusal))
}

/// What the method at `rest`, which is below `auth/`, answers.
pub(super) fn method(core: &mut Core, request: &Request<'_>, rest: &str) -> Option<Reply> {
    let (name, rest) = below(core, rest)?;
    let (name, rest) = (name.to_owned(), rest.to_owned());
    let reply = approle::route(core, request, &name, &rest);
    Some(reply.unwrap_or_else(|| Reply::error(404, "1 error occurred:\n\t* unsupported path\n\n")))
}
