//! Holds the floors (ARCHITECTURE.md): modules import downward only, and what touches the outside world
//! stays in its room.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floor of each top-level module; a module may import its own floor's rooms below it and itself.
fn floor(module: &str) -> Option<u8> {
    Some(match module {
        "clock" | "problem" | "domain" | "config" | "telemetry" => 0,
        "store" | "clients" | "wire" => 1,
        "plan" => 2,
        "actions" => 3,
        "services" => 4,
        "state" => 5,
        "views" | "widgets" => 6,
        "console" => 7,
        "cli" => 8,
        _ => return None,
    })
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            (
                path.strip_prefix(&root).unwrap().display().to_string(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

/// The file up to its unit tests. Other items for tests alone may stand anywhere before them.
fn before_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// The code before the unit tests, without comment lines.
fn code(text: &str) -> String {
    before_tests(text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn module(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}

#[test]
fn modules_import_downward_only() {
    let mut wrong = Vec::new();
    for (path, text) in all() {
        let Some(own) = floor(module(&path)) else { continue };
        for used in code(&text).split("crate::").skip(1) {
            let used = used
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            let Some(theirs) = floor(used) else { continue };
            // The services stand beside the console's rooms: neither sees the other.
            let beside = own == 4 && (5..=7).contains(&theirs) || (5..=7).contains(&own) && theirs == 4;
            if theirs > own || beside {
                wrong.push(format!(
                    "src/{path} (floor {own}) imports crate::{used} (floor {theirs})"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_touches_the_outside_world_stays_in_its_room() {
    let rooms: [(&str, &[&str]); 18] = [
        ("sqlx::", &["store/"]),
        ("reqwest::", &["clients/"]),
        ("vaultrs::", &["clients/"]),
        ("redis::", &["clients/cache/"]),
        ("moka::", &["clients/cache/", "store/counted", "store/scans"]),
        ("crossterm::event", &["console/input.rs", "console/terminal.rs"]),
        ("Utc::now", &["clock.rs"]),
        // Bodies that others send, which have a limit there.
        (".chunk()", &["clients/body.rs"]),
        (".bytes().await", &["clients/body.rs"]),
        (".bytes_stream()", &["clients/body.rs"]),
        (".text().await", &["clients/body.rs"]),
        (".json().await", &["clients/body.rs"]),
        ("rustify::clients", &[]),
        // Calls, of which those that only ask are asked again where a kept connection was closed.
        // The others have a client for each call, or nothing to ask.
        (
            ".send()",
            &["clients/agent.rs", "clients/agent_api.rs", "clients/crl.rs"],
        ),
        ("kept.execute(", &["clients/exchange.rs"]),
        // Clients, which let go of their connections before our servers do.
        ("Client::builder()", &["clients/http.rs"]),
        // Connections that others open, which have bounds there.
        ("axum::serve(", &[]),
        (".serve_connection(", &["services/serve/"]),
    ];
    let mut wrong = Vec::new();
    for (path, text) in all() {
        for (what, allowed) in rooms {
            if code(&text).contains(what) && !allowed.iter().any(|room| path.starts_with(room)) {
                wrong.push(format!("src/{path} uses {what}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A plan that went by this computer's clock would call an agent silent that its screen calls healthy.
#[test]
fn what_is_planned_goes_by_the_platforms_clock() {
    for (path, text) in all() {
        let is_planned = path.starts_with("actions/") || path.starts_with("plan/") && path != "plan/ports.rs";
        assert!(
            !is_planned || !code(&text).contains("clock.now()"),
            "src/{path} judges by this computer's clock: `Reads::now` is the platform's"
        );
    }
}

#[test]
fn every_http_client_knows_the_proxies_by_one_rule_or_uses_none() {
    for (path, text) in all() {
        let code = code(&text);
        let n_made = code.matches("client_builder()").count() + code.matches("Http::new(").count();
        let rules = ["by_environment(", "trusting(", ".no_proxy()"];
        let n_by_rule: usize = rules.iter().map(|rule| code.matches(rule).count()).sum();
        assert!(
            n_made == 0
                || n_by_rule > 0
                || ["clients/http.rs", "clients/exchange.rs"].contains(&path.as_str()),
            "{path} makes a client that goes by a proxy to this machine"
        );
        assert!(
            !code.contains("reqwest::Client::new()"),
            "{path} makes such a client"
        );
    }
}

#[test]
fn what_is_drawn_and_decided_waits_for_nothing() {
    for (path, text) in all() {
        let pure = ["state/", "views/", "widgets/"]
            .iter()
            .any(|room| path.starts_with(room))
            || [
                "console/update.rs",
                "console/lists.rs",
                "console/dialogs.rs",
                "console/command_line.rs",
            ]
            .contains(&path.as_str());
        if pure {
            let code = code(&text);
            assert!(
                !code.contains(".await") && !code.contains("tokio::"),
                "src/{path} waits"
            );
        }
    }
}

#[test]
fn only_the_executor_makes_writes_and_only_the_confirm_rules_make_confirmed() {
    for (path, text) in all() {
        let code = code(&text);
        if code.contains("Writes::new(") {
            assert_eq!(path, "plan/executor.rs");
        }
        if code.contains("Confirmed {") {
            assert!(
                path == "plan/confirm.rs" || !code.contains("Ok(Confirmed {"),
                "src/{path} makes a Confirmed"
            );
        }
        if code.contains("ApiWriter::new(") || code.contains("VaultWriter::new(") {
            let rooms = ["console/backends.rs", "services/", "clients/"];
            assert!(
                rooms.iter().any(|room| path.starts_with(room)),
                "src/{path} makes a writer"
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    let mut wrong = Vec::new();
    for (path, text) in all() {
        if !text.starts_with("//!") {
            wrong.push(format!("src/{path} does not begin with what it is for"));
        }
        let lines = before_tests(&text).lines().count();
        if lines > 600 {
            wrong.push(format!("src/{path} has {lines} lines"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_of_a_registry_is_registered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in ["actions", "views"] {
        let registry = fs::read_to_string(root.join(folder).join("mod.rs")).unwrap();
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if name != "mod" {
                assert!(
                    registry.contains(&format!("mod {name};")),
                    "{folder}/{name} is not registered"
                );
            }
        }
    }
}

/// Whether one may use what is under this SPDX expression with nothing but the `allowed` licences.
fn may_be_used(expression: &str, allowed: &[&str]) -> bool {
    // `/` is how it was written before SPDX.
    let text = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut at = 0;
    let may = any_of(&words, &mut at, allowed);
    assert_eq!(at, words.len(), "`{expression}` can't be read");
    may
}

fn any_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut may = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        may |= all_of(words, at, allowed);
    }
    may
}

fn all_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut may = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        may &= one(words, at, allowed);
    }
    may
}

fn one(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let first = words[*at];
    *at += 1;
    if first == "(" {
        let may = any_of(words, at, allowed);
        *at += 1;
        return may;
    }
    let mut name = first.to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{first} WITH {}", words[*at + 1]);
        *at += 2;
    }
    allowed.contains(&name.as_str())
}

#[test]
fn every_dependency_may_be_used_by_its_licence_and_comes_from_the_registry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let deny: toml::Table = fs::read_to_string(root.join("deny.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let allowed = deny["licenses"]["allow"].as_array().unwrap();
    let allowed: Vec<&str> = allowed.iter().filter_map(toml::Value::as_str).collect();
    for (expression, may) in [
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("(MIT OR GPL-3.0-only) AND Unicode-3.0", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("MIT WITH something", false),
    ] {
        assert_eq!(may_be_used(expression, &allowed), may, "{expression}");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let says = |arguments: &[&str]| {
        let output = std::process::Command::new(&cargo)
            .args(arguments)
            .current_dir(root)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    let version = says(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    // Those that are built here, which are there for sure: other platforms' are looked at by `.ci/deny`.
    let metadata = says(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--offline",
        "--filter-platform",
        host.unwrap(),
    ]);
    let told: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = told["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    let mut wrong = Vec::new();
    for package in packages {
        let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or_default());
        if licence.is_empty() || !may_be_used(licence, &allowed) {
            wrong.push(format!(
                "{name} is under `{licence}`, which deny.toml doesn't allow"
            ));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| {
            !source.starts_with("registry+https://github.com/rust-lang/crates.io-index")
        }) {
            wrong.push(format!("{name} comes from {source:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
