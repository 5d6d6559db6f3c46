//! Policies: which paths a token may do what at. Enough of Vault's HCL for paths and capabilities;
//! parameters, templates and Sentinel are not spoken.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::token::Token;
use super::{Core, Reply, mounts, path, storage};

pub(super) use super::capability::Capability;

/// Where policies are kept.
pub(super) const FOLDER: &str = "core/policies";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rule {
    path: String,
    capabilities: Vec<Capability>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Policy {
    text: String,
    rules: Vec<Rule>,
}

/// Whether any of the policies allows it and none denies it. For each policy the most specific rule
/// that matches counts.
pub(super) fn allows(core: &Core, policies: &[String], path: &str, wanted: Capability) -> bool {
    let granted = match wanted {
        // A list is of what is below a path.
        Capability::List => granted(core, policies, &format!("{path}/")),
        _ => granted(core, policies, path),
    };
    // Only where things are there or not, as in KV, is a write told apart by that; elsewhere it is an update.
    let creates = wanted == Capability::Update
        && granted.contains(&Capability::Create)
        && mounts::mount_of(core, path).is_some_and(|(_, kind)| kind == "kv");
    creates || granted.contains(&wanted)
}

/// What the policies together grant at a path; `deny` alone where nothing is, or where any of them says so.
fn granted(core: &Core, policies: &[String], path: &str) -> BTreeSet<Capability> {
    let mut granted = BTreeSet::new();
    let path = path.trim_start_matches('/');
    // Who asks for what is below a path is served by a rule for the path too, and not the other way round.
    let itself = path.strip_suffix('/').unwrap_or(path);
    for name in policies {
        let policy: Policy = core.barrier.read_or_default(&format!("{FOLDER}/{name}"));
        let best = policy
            .rules
            .into_iter()
            .filter(|rule| matches(&rule.path, path) || matches(&rule.path, itself))
            .max_by_key(|rule| specificity(&rule.path));
        granted.extend(best.into_iter().flat_map(|rule| rule.capabilities));
    }
    if granted.is_empty() || granted.contains(&Capability::Deny) {
        return BTreeSet::from([Capability::Deny]);
    }
    granted
}

/// `sys/capabilities-self`: what the caller may do at each of the paths that it asks for.
pub(super) fn capabilities(core: &Core, caller: &Token, body: &Value) -> Reply {
    let mut paths: Vec<&str> = body["paths"]
        .as_array()
        .map_or_else(Vec::new, |paths| paths.iter().filter_map(Value::as_str).collect());
    paths.extend(body["path"].as_str());
    if paths.is_empty() {
        return Reply::error(400, "paths must be supplied");
    }
    let mut answer = json!({});
    for path in &paths {
        answer[path] = match caller.is_root() {
            true => json!(["root"]),
            false => {
                // Of what a request for it would be asked about; what is below it keeps its slash.
                let below = if path.ends_with('/') { "/" } else { "" };
                let asked = format!("{}{below}", path::normal(path));
                json!(granted(core, &caller.policies, &asked))
            }
        };
    }
    // Of one path it is said once more, under the name that the answer had when only one could be asked for.
    if let [one] = paths[..] {
        answer["capabilities"] = answer[one].clone();
    }
    Reply::twice(answer)
}

/// What is literal for longer counts more; then what doesn't end in `*`, what has fewer `+`, what is longer.
fn specificity(pattern: &str) -> (usize, bool, Reverse<usize>, usize) {
    let part = |text: &str| text.find("/+").map(|at| at + 1);
    let plus = if pattern.starts_with('+') {
        Some(0)
    } else {
        part(pattern)
    };
    let star = pattern.ends_with('*').then(|| pattern.len() - 1);
    let wild = [plus, star].into_iter().flatten().min();
    (
        wild.unwrap_or(usize::MAX),
        star.is_none(),
        Reverse(pattern.split('/').filter(|part| *part == "+").count()),
        pattern.len(),
    )
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, prefix) = pattern
        .strip_suffix('*')
        .map_or((pattern, false), |pattern| (pattern, true));
    let mut wanted = pattern.split('/').peekable();
    let mut given = path.split('/');
    while let Some(part) = wanted.next() {
        let last = wanted.peek().is_none();
        match given.next() {
            Some(given) if part == "+" || part == given => {}
            Some(given) if last && prefix && given.starts_with(part) => return true,
            _ => return false,
        }
        if last && prefix {
            return true;
        }
    }
    given.next().is_none()
}

/// What every token may do unless it was made without: look at itself, renew and end itself, and ask what it may.
const DEFAULT: &str = "path \"auth/token/lookup-self\" { capabilities = [\"read\"] }
path \"auth/token/renew-self\" { capabilities = [\"update\"] }
path \"auth/token/revoke-self\" { capabilities = [\"update\"] }
path \"sys/capabilities-self\" { capabilities = [\"update\"] }
";

/// Writes the policy that a new server has.
pub(super) fn write_default(core: &Core) -> std::io::Result<()> {
    let rules = parse(DEFAULT).map_err(std::io::Error::other)?;
    let text = DEFAULT.to_owned();
    core.barrier
        .write(&format!("{FOLDER}/default"), &Policy { text, rules })
}

/// `sys/policies/acl/<name>`.
pub(super) fn route(core: &mut Core, operation: Capability, name: &str, body: &Value) -> Reply {
    let path = format!("{FOLDER}/{name}");
    let done = |result: std::io::Result<()>| result.map_or_else(|error| storage(&error), |()| Reply::empty());
    match operation {
        Capability::Update if name == "root" => Reply::error(400, "cannot update \"root\" policy"),
        Capability::Delete if matches!(name, "root" | "default") => {
            let name = if name == "root" { "\"root\"" } else { name };
            Reply::error(400, &format!("cannot delete {name} policy"))
        }
        Capability::Update => {
            let text = body["policy"].as_str().unwrap_or_default();
            if text.is_empty() {
                return Reply::error(400, "'policy' parameter not supplied or empty");
            }
            match parse(text) {
                Ok(rules) => done(core.barrier.write(
                    &path,
                    &Policy {
                        text: text.to_owned(),
                        rules,
                    },
                )),
                Err(error) => Reply::error(400, &format!("failed to parse policy: {error}")),
            }
        }
        Capability::Delete => done(core.barrier.remove(&path)),
        _ => match core.barrier.read::<Policy>(&path) {
            Ok(Some(policy)) => Reply::data(json!({"name": name, "policy": policy.text})),
            Ok(None) => Reply::not_found(),
            Err(error) => storage(&error),
        },
    }
}

/// Reads `path "x" { capabilities = ["read"] }` blocks, comments and line breaks anywhere.
fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let clean: String = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    let mut rules = Vec::new();
    let mut rest = clean.trim();
    while !rest.is_empty() {
        rest = rest
            .strip_prefix("path")
            .ok_or("a block begins with `path`")?
            .trim_start();
        let (path, after) = quoted(rest).ok_or("`path` is followed by a quoted path")?;
        let body = after
            .trim_start()
            .strip_prefix('{')
            .ok_or("the path is followed by `{`")?;
        let (body, after) = body.split_once('}').ok_or("a block ends with `}`")?;
        let capabilities = capabilities_in(path, body.trim())?;
        rules.push(Rule {
            path: path.to_owned(),
            capabilities,
        });
        rest = after.trim_start();
    }
    Ok(rules)
}

/// What a block grants. It may be empty, and its list may end in a comma, as people write it.
fn capabilities_in(path: &str, body: &str) -> Result<Vec<Capability>, String> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let list = body
        .strip_prefix("capabilities")
        .ok_or_else(|| format!("this server knows `capabilities` only, and `{path}` says something else"))?;
    let list = list
        .trim_start()
        .strip_prefix('=')
        .ok_or("`capabilities` is followed by `=`")?;
    let list = list.trim().trim_end_matches(';');
    let items = list.strip_suffix(']').map(str::trim_end);
    let whole = match items.and_then(|items| items.strip_suffix(',')) {
        // Behind something: a comma alone is no list.
        Some(items) if items.trim_end().ends_with('"') => format!("{items}]"),
        _ => list.to_owned(),
    };
    serde_json::from_str(&whole).map_err(|error| format!("capabilities of `{path}`: {error}"))
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once('"')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_match_as_vault_matches_them() {
        assert!(matches("cmp-pki/sign/cmp-role", "cmp-pki/sign/cmp-role"));
        assert!(!matches("cmp-pki/sign", "cmp-pki/sign/cmp-role"));
        assert!(matches("cmp-pki/*", "cmp-pki/sign/x"));
        assert!(matches("cmp-pki/si*", "cmp-pki/sign/x"));
        assert!(matches("+/sign/x", "cmp-pki/sign/x"));
        assert!(!matches("+/sign/x", "a/b/sign/x"));
        assert!(matches("*", "anything/at/all"));
    }

    #[test]
    fn blocks_are_read() {
        let text = "# what the issuer may do\npath \"cmp-pki/sign/cmp-role\" {\n  capabilities = [\"create\", \"update\"]\n}\npath \"sys/mounts\" { capabilities = [\"read\"] }";
        let rules = parse(text).unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[1].capabilities, [Capability::Read]);
        assert!(parse("path x {}").is_err());
    }

    #[test]
    fn a_block_grants_what_it_lists_and_nothing_where_it_lists_nothing() {
        let granted = |body: &str| parse(&format!("path \"a\" {{{body}}}")).map(|rules| rules[0].clone());
        assert_eq!(
            granted("capabilities = [\"read\", ]").unwrap().capabilities,
            [Capability::Read]
        );
        assert!(granted(" ").unwrap().capabilities.is_empty());
        for odd in [
            "allowed_parameters = []",
            "capabilities = [,]",
            "capabilities = [",
        ] {
            assert!(granted(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn the_rule_that_is_literal_for_longest_counts() {
        let mut rules = ["box/data/*", "box/+/c", "box/data/c", "*", "box/data/+"];
        rules.sort_by_key(|rule| Reverse(specificity(rule)));
        assert_eq!(rules, ["box/data/c", "box/data/+", "box/data/*", "box/+/c", "*"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,120}", path in "[a-z/+*]{0,20}") {
            let _ = parse(&text);
            let _ = matches(&text, &path);
        }
    }
}
