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

/// The code before the unit tests, without comment lines.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]").next().unwrap_or(text);
    before_tests
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
    let rooms: [(&str, &[&str]); 13] = [
        ("sqlx::", &["store/"]),
        ("reqwest::", &["clients/"]),
        ("vaultrs::", &["clients/"]),
        ("redis::", &["clients/cache/"]),
        ("moka::", &["clients/cache/"]),
        ("crossterm::event", &["console/input.rs", "console/terminal.rs"]),
        ("Utc::now", &["clock.rs"]),
        // Bodies that others send, which have a limit there.
        (".chunk()", &["clients/body.rs"]),
        (".bytes().await", &["clients/body.rs"]),
        (".bytes_stream()", &["clients/body.rs"]),
        (".text().await", &["clients/body.rs"]),
        (".json().await", &["clients/body.rs"]),
        ("rustify::clients", &[]),
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

#[test]
fn every_http_client_knows_the_proxies_by_one_rule_or_uses_none() {
    for (path, text) in all() {
        let code = code(&text);
        let n_made = code.matches("Client::builder()").count();
        let rules = ["by_environment(", "trusting(", ".no_proxy()"];
        let n_by_rule: usize = rules.iter().map(|rule| code.matches(rule).count()).sum();
        assert!(
            n_made == 0 || n_by_rule > 0,
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
        let lines = text.split("#[cfg(test)]").next().unwrap_or(&text).lines().count();
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
