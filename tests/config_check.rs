//! `cmp-console config check`: the real program over the real platform, and over what is wrong with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod demo;
#[path = "support/tls.rs"]
mod tls;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use cmp_console::config::console;
use cmp_console::domain::link::{Backend, BackendHealth, LinkState};
use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::state::keymap::Keymap;
use cmp_console::wire::health::Ready;
use cmp_console::wire::problem_json::{MEDIA_TYPE, ProblemJson};
use demo::{Demo, PROGRAM};
use serde_json::json;

/// What the check says of `contexts`, without any token in the environment but `env`.
fn check(contexts: &str, arguments: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, contexts).unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .args(["config", "check", "--config"])
        .arg(&file)
        .args(arguments);
    command.env("HOME", home.path()).env_remove("VAULT_CACERT");
    for name in ["CMP_TOKEN", "VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID"] {
        command.env_remove(name);
    }
    let output = command.envs(env.iter().copied()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(
        !said.contains('\x1b'),
        "no colours where there is no terminal: {said}"
    );
    (output.status.code(), said)
}

/// The line that has all these words.
fn line<'a>(said: &'a str, words: &[&str]) -> &'a str {
    let mut lines = said.lines();
    lines
        .find(|line| words.iter().all(|word| line.contains(word)))
        .unwrap_or_else(|| panic!("a line with {words:?} in:\n{said}"))
}

#[tokio::test]
async fn it_says_what_answers_and_never_a_token() {
    let home = tempfile::tempdir().unwrap();
    let demo = Demo::start(home.path(), None);
    let (api, vault) = (demo.text("/api"), demo.text("/vault"));
    let (token, root) = (demo.text("/operator_token"), demo.text("/vault_root_token"));
    let good = format!(
        "[contexts.night]\napi = \"{api}\"\nvault = \"{vault}\"\n\
         vault_token = {{ command = [\"sh\", \"-c\", \"printf %s $ROOT\"] }}\n"
    );
    let env = [("CMP_TOKEN", token.as_str()), ("ROOT", root.as_str())];
    let (code, said) = check(&good, &[], &env);
    assert_eq!(code, Some(0), "{said}");
    line(&said, &["night", "api", &api, "ok", "ready", "without TLS"]);
    line(
        &said,
        &[
            "api",
            "token",
            "ok",
            "operator",
            "the environment variable `CMP_TOKEN`",
        ],
    );
    line(&said, &["vault", &vault, "look", "sealed"]);
    line(
        &said,
        &["vault", "token", "look", "the command `sh`", "once Vault is open"],
    );
    assert!(!said.contains(&token) && !said.contains(&root), "{said}");

    demo.unseal().await;
    let (code, said) = check(&good, &[], &env);
    assert_eq!(code, Some(0), "{said}");
    line(&said, &["vault", &vault, "ok", "open, active"]);
    line(&said, &["vault", "token", "ok", "accepted"]);

    // A platform without Vault has nothing to ask there, and nothing is wrong with that.
    let without = format!("[contexts.night]\napi = \"{api}\"\n");
    let (code, said) = check(&without, &[], &env);
    assert_eq!(code, Some(0), "{said}");
    line(&said, &["vault", "ok", "not configured"]);
    assert!(!said.contains(&vault), "{said}");

    let database =
        "[contexts.night.database]\nhosts = [\"127.0.0.1:1\"]\npassword = { command = [\"false\"] }\n";
    let (code, said) = check(&format!("{good}{database}"), &[], &env);
    assert_eq!(code, Some(1), "{said}");
    line(&said, &["night", "database", "127.0.0.1:1", "failed", "refused"]);
    line(&said, &["database", "password", "failed", "the command `false`"]);

    let (code, said) = check(&good, &[], &[("CMP_TOKEN", "cmp_wrong"), ("ROOT", "hvs.wrong")]);
    assert_eq!(code, Some(1), "{said}");
    line(
        &said,
        &[
            "api",
            "token",
            "failed",
            "it comes from the environment variable `CMP_TOKEN`",
        ],
    );
    line(
        &said,
        &["vault", "token", "failed", "no longer takes", "the command `sh`"],
    );
    assert!(
        !said.contains("cmp_wrong") && !said.contains("hvs.wrong"),
        "{said}"
    );

    // Two contexts: all are looked at, unless one is named; nothing of the other is run then.
    let mark = home.path().join("was-run");
    let two = format!(
        "{good}\n[contexts.other]\napi = \"http://127.0.0.1:1\"\nvault = \"{vault}\"\n\
         api_token = {{ command = [\"sh\", \"-c\", \"touch {}; echo it is locked >&2; exit 5\"] }}\n",
        mark.display()
    );
    let (code, said) = check(&two, &["--context", "night"], &env);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("other") && !mark.exists(), "{said}");
    let (code, said) = check(&two, &[], &env);
    assert_eq!(code, Some(1), "{said}");
    line(
        &said,
        &[
            "other",
            "api",
            "http://127.0.0.1:1",
            "failed",
            "can't be reached",
            "hint",
        ],
    );
    line(&said, &["other", "api", "token", "failed", "exit code 5"]);
    line(&said, &["night", "api", "ready"]);
    let there = two.replace("http://127.0.0.1:1", &api);
    let (code, said) = check(&there, &["--context", "other"], &env);
    assert_eq!(code, Some(1), "{said}");
    line(
        &said,
        &[
            "api",
            "token",
            "failed",
            "`sh` ended with exit code 5 and said: it is locked",
        ],
    );
}

#[test]
fn a_wrong_configuration_is_told_apart_from_one_that_nobody_answers() {
    let context = "[contexts.x]\napi = \"http://127.0.0.1:1\"\nvault = \"http://127.0.0.1:1\"\n";
    for (text, arguments, words) in [
        (format!("{context}vualt = 1\n"), &[][..], "line 4"),
        (context.to_owned(), &["--context", "y"][..], "`y` is no context"),
        (
            format!("{context}api_token = \"hunter2\"\n"),
            &[][..],
            "line 4: a secret stands",
        ),
        (format!("{context}[keys]\ncopy = [\"X\"]\n"), &[][..], "line 5"),
        (String::new(), &[][..], "is no context"),
    ] {
        let (code, said) = check(&text, arguments, &[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words) && !said.contains("hunter2"), "{said}");
    }
    let (code, said) = check(context, &[], &[]);
    assert_eq!(code, Some(1), "{said}");
    line(&said, &["x", "vault", "failed", "no connection"]);
}

/// Answer of the API or Vault to a request with this first line, on a fixed day of theirs.
fn reply(asked: &str) -> String {
    let health = json!({
        "initialized": true, "sealed": false, "standby": false, "performance_standby": false,
        "replication_performance_mode": "disabled", "replication_dr_mode": "disabled",
        "server_time_utc": 1_767_225_600, "version": "1.18.0", "enterprise": false,
        "cluster_name": "vault-cluster", "cluster_id": "8a7d1f6e-3c1e-4f5b-9d53-2a1f0c4b7e90",
        "echo_duration_ms": 0, "clock_skew_ms": 0,
    });
    let (status, kind, body) = match asked.split_whitespace().nth(1).unwrap_or_default() {
        "/readyz" => {
            let up = |backend| BackendHealth {
                backend,
                state: LinkState::Up,
                note: None,
                latency_ms: Some(1),
            };
            let ready = Ready {
                ready: true,
                backends: vec![up(Backend::Database), up(Backend::Issuer)],
                database: None,
                clock_ahead_ms: None,
                workers: Vec::new(),
            };
            ("200 OK", "application/json", serde_json::to_value(ready).unwrap())
        }
        path if path.starts_with("/v1/sys/health") => ("200 OK", "application/json", health),
        path if path.starts_with("/v1/") => {
            let denied = json!({"errors": ["permission denied"]});
            ("403 Forbidden", "application/json", denied)
        }
        _ => {
            let unknown = Problem::new(ProblemKind::NotAuthenticated, "the token is unknown");
            let problem = serde_json::to_value(ProblemJson::from(unknown)).unwrap();
            ("401 Unauthorized", MEDIA_TYPE, problem)
        }
    };
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status}\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nconnection: close\r\n\
         content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Answers every request with its [`reply`], for as long as the test runs.
fn over_tls(pair: &(String, String)) -> String {
    let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(pair.0.as_bytes()).unwrap();
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(pair.1.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let connection = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, socket);
                let mut head = String::new();
                let mut lines = BufReader::new(&mut stream);
                while lines.read_line(&mut head).is_ok_and(|n| n > 2) {}
                // A client that doesn't trust us is gone.
                let _gone = stream.write_all(reply(&head).as_bytes());
                stream.conn.send_close_notify();
                let _gone = stream.flush();
            });
        }
    });
    address
}

#[test]
fn a_wrong_ca_an_ended_certificate_and_a_wrong_clock_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (
        tls::Ca::new(dir.path(), "ours"),
        tls::Ca::new(dir.path(), "other"),
    );
    let good = over_tls(&ours.issue(2090));
    let ended = over_tls(&ours.issue(2021));
    let said = |address: &str, ca: &tls::Ca| {
        let ca = ca.file.display();
        let text = format!(
            "[contexts.x]\napi = \"{address}\"\napi_ca = \"{ca}\"\nvault = \"{address}\"\nvault_ca = \"{ca}\"\n"
        );
        let (code, said) = check(&text, &[], &[("CMP_TOKEN", "t")]);
        assert_eq!(code, Some(1), "{said}");
        said
    };
    let fine = said(&good, &ours);
    line(&fine, &["api", &good, "ok", "TLS, the CA of `api_ca`"]);
    line(&fine, &["api", "clock", "look", "ahead of the API's", "hint"]);
    let wrong = said(&good, &other);
    line(
        &wrong,
        &["api", "failed", "from a CA that isn't trusted here", "`api_ca`"],
    );
    line(
        &wrong,
        &[
            "vault",
            "failed",
            "from a CA that isn't trusted here",
            "`vault_ca`",
        ],
    );
    let late = said(&ended, &ours);
    line(&late, &["api", "failed", "has expired", "renew it"]);
    line(&late, &["vault", "failed", "has expired", "renewed"]);
}

#[test]
fn nothing_on_this_machine_goes_through_a_proxy_and_what_does_is_named() {
    let home = tempfile::tempdir().unwrap();
    // A proxy that says no to whatever it is asked, and notes it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://kim:hunter2@{}", listener.local_addr().unwrap());
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let _read = BufReader::new(&stream).read_line(&mut line);
            noted.lock().unwrap().push(line);
            let _sent = (&stream)
                .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let set = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, proxy.as_str()));
    // The whole platform is on loopback: it gets ready, and nobody but itself is asked.
    let demo = Demo::start_in(home.path(), None, &set);
    let (api, vault, token) = (
        demo.text("/api"),
        demo.text("/vault"),
        demo.text("/operator_token"),
    );
    let env = [set.as_slice(), &[("CMP_TOKEN", token.as_str())]].concat();
    let here = format!("[contexts.night]\napi = \"{api}\"\nvault = \"{vault}\"\n");
    let (code, said) = check(&here, &[], &env);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("proxy"), "{said}");
    assert_eq!(asked.lock().unwrap().as_slice(), [] as [String; 0]);
    let there =
        "[contexts.night]\napi = \"http://cmp.example.com\"\nvault = \"http://vault.example.com:8200\"\n";
    let (code, said) = check(there, &[], &env);
    assert_eq!(code, Some(1), "{said}");
    for words in [
        ["api", "http://cmp.example.com"],
        ["vault", "http://vault.example.com:8200"],
    ] {
        line(
            &said,
            &[
                words[0],
                words[1],
                "look",
                "through the proxy",
                "tokens and unseal shares",
            ],
        );
    }
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!asked.lock().unwrap().is_empty());
}

const EXAMPLE: &str = include_str!("../config.example.toml");

/// The example with its places on this machine: where the demo is, and for the rest where nobody is.
fn example_at(api: &str, vault: &str) -> String {
    let there = [
        ("http://api:8082", api),
        ("http://api.staging:8082", api),
        ("http://vault:8200", vault),
        ("http://vault.staging:8200", vault),
        ("http://vault-1:8200", vault),
        ("http://vault-2:8200", vault),
        ("http://vault-3:8200", vault),
        ("db-1:5432", "127.0.0.1:1"),
        ("db-2:5432", "127.0.0.1:2"),
    ];
    there.iter().fold(EXAMPLE.to_owned(), |text, (from, to)| {
        let quoted = format!("\"{from}\"");
        assert!(text.contains(&quoted), "{from} is not in the example");
        text.replace(&quoted, &format!("\"{to}\""))
    })
}

#[tokio::test]
async fn the_example_passes_but_for_what_is_not_running() {
    let home = tempfile::tempdir().unwrap();
    let demo = Demo::start(home.path(), None);
    demo.unseal().await;
    let (api, vault) = (demo.text("/api"), demo.text("/vault"));
    let token = demo.text("/operator_token");
    let root = demo.text("/vault_root_token");
    let env = [
        ("CMP_TOKEN", token.as_str()),
        ("VAULT_TOKEN", root.as_str()),
        ("CMP_DATABASE_PASSWORD", "none-needed"),
    ];
    let (code, said) = check(&example_at(&api, &vault), &[], &env);
    // The hosts of the database are the one thing that isn't there.
    assert_eq!(code, Some(1), "{said}");
    let failed: Vec<&str> = said.lines().filter(|line| line.contains("failed")).collect();
    assert_eq!(failed.len(), 2, "{said}");
    for line in failed {
        assert!(
            line.contains("prod-eu") && line.contains("127.0.0.1:") && line.contains("refused"),
            "{said}"
        );
    }
    for context in ["prod-eu", "staging"] {
        line(&said, &[context, "api", &api, "ok", "ready"]);
        line(&said, &[context, "vault", &vault, "ok", "open"]);
        line(&said, &[context, "vault", "token", "ok", "accepted"]);
    }
}

/// The example with one of its commented lines as a setting, in place of the one that it is an alternative to.
fn uncommented() -> Vec<(String, String)> {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let is_table = |line: &str| line.starts_with('[');
    let key_of = |line: &str| {
        let (key, value) = line.split_once(" = ")?;
        let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        // Prose that holds an equals sign is no setting.
        let is_value = toml::from_str::<toml::Table>(&format!("it = {value}")).is_ok();
        (is_key && is_value).then(|| key.to_owned())
    };
    let settings = lines.iter().enumerate().filter_map(|(at, line)| {
        let setting = line.strip_prefix("# ")?;
        Some((at, setting, key_of(setting)?))
    });
    let variants = settings.map(|(at, setting, key)| {
        let from = lines[..at].iter().rposition(|line| is_table(line)).unwrap_or(0);
        let rest = lines[at..].iter().position(|line| is_table(line));
        let to = rest.map_or(lines.len(), |rest| at + rest);
        let text = lines.iter().enumerate().filter_map(|(i, line)| match i {
            i if i == at => Some(setting),
            i if (from..to).contains(&i) && key_of(line).as_ref() == Some(&key) => None,
            _ => Some(*line),
        });
        (setting.to_owned(), text.collect::<Vec<_>>().join("\n"))
    });
    variants.collect()
}

#[test]
fn each_commented_line_of_the_example_may_be_used() {
    let variants = uncommented();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    for (setting, text) in &variants {
        std::fs::write(&file, text).unwrap();
        let opened = console::open_all(Some(&file), None).unwrap_or_else(|why| panic!("{setting}: {why}"));
        assert_eq!(opened.contexts.len(), 2, "{setting}");
        if let Err((name, why)) = Keymap::with(&opened.keys.keys) {
            panic!("{setting}: {name}: {why}");
        }
    }
    // Each setting of the example that is only told of is among them.
    for key in [
        "api_ca",
        "vault_ca",
        "vault_namespace",
        "api_token",
        "vault_token",
        "vault_role_id",
        "vault_secret_id",
        "ca",
        "look",
        "ascii",
        "revoke",
        "down",
    ] {
        let is_there = variants
            .iter()
            .any(|(setting, _)| setting.starts_with(&format!("{key} = ")));
        assert!(is_there, "{key}");
    }
}
