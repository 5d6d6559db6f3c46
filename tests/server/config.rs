//! The server's configuration as it is laid together: arguments over the environment over the file, secrets from
//! where the file says, and a wrong one refused with its line.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::daemon::{Daemon, TOKEN};

fn written(dir: &Path, mode: u32, text: &str) -> PathBuf {
    let path = dir.join("cmp-server.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

/// What `--check` says of a file: its exit code and all that it wrote.
fn checked(text: &str, mode: u32, env: &[(&str, &str)]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), mode, text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmp-server"));
    command.arg("--check").arg("--config").arg(path);
    for name in [
        "CMP_DATABASE_URL",
        "CMP_VAULT_TOKEN",
        "CMP_ADMIN_TOKEN",
        "DB_HOST",
    ] {
        command.env_remove(name);
    }
    let output = command.envs(env.iter().copied()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

const FINE: &str = "roles = [\"api\"]\n[database]\nurl = \"postgres://cmp@db-1/cmp\"\n";

#[test]
fn a_wrong_file_is_told_with_its_line_and_nothing_is_started() {
    assert_eq!(checked(FINE, 0o644, &[]).0, Some(0));
    for (text, mode, said) in [
        ("roles = [\"api\"]\n[databse]\n", 0o644, "line 2"),
        ("roles = [\"api\"]\n", 0o644, "`database.url` is missing"),
        (
            "roles = [\"api\"]\n[database]\nurl = \"sqlite:///x\"\n[api]\ntls_key = \"/k\"\n",
            0o644,
            "line 5: `api.tls_key` needs `api.tls_cert`",
        ),
        (
            "[database]\nurl = \"sqlite:///x\"\n",
            0o644,
            "the issuer needs its token at Vault",
        ),
        (
            "admin_token = \"hunter2\"\n[database]\nurl = \"sqlite:///x\"\n",
            0o644,
            "line 1: a secret stands in a file that everybody",
        ),
        (
            "[database]\nurl = \"postgres://cmp:hunter2@db/cmp\"\n",
            0o644,
            "line 2: a secret stands in a file that everybody",
        ),
        (
            "roles = [\"api\"]\nadmin_token = { file = \"/nowhere/token\" }\n[database]\nurl = \"sqlite:///x\"\n",
            0o644,
            "line 2: `admin_token` is not to be had: the file `/nowhere/token` is not there",
        ),
    ] {
        let (code, words) = checked(text, mode, &[]);
        assert_eq!(code, Some(2), "{text}: {words}");
        assert!(words.contains(said), "{said}: {words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}

#[test]
fn the_environment_names_another_host_of_the_database() {
    let (code, said) = checked(FINE, 0o644, &[("DB_HOST", "db-2:6432")]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("postgres://cmp@db-2:6432/cmp"), "{said}");
    let (code, said) = checked(FINE, 0o644, &[("DB_HOST", "db-2/x")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`DB_HOST` is no host"), "{said}");
}

#[tokio::test]
async fn arguments_go_before_the_file_and_secrets_come_from_where_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let text = "roles = [\"issuer\"]\n[database]\nurl = \"sqlite:///nowhere/cmp.db\"\n\
        [api]\nlisten = \"192.0.2.1:1\"\nlimits = \"reads=3\"\n";
    let path = written(dir.path(), 0o644, text);
    // The daemon says --database, --listen and --roles as arguments, and its admin token in the environment.
    let server = Daemon::start(dir.path(), &["--config", path.to_str().unwrap()]).await;
    let url = format!("http://{}/api/v1/me", server.address);
    let http = reqwest::Client::new();
    let mut last = 0;
    // What only the file says holds; a window may end in between, two can't.
    for _ in 0..8 {
        let answer = http.get(&url).bearer_auth(TOKEN).send().await.unwrap();
        last = answer.status().as_u16();
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn the_file_alone_is_enough_with_a_secret_from_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/cmp.db", dir.path().display());
    let text = format!(
        "roles = [\"api\"]\nadmin_token = {{ command = [\"printf\", \"cmp_token-of-a-command\"] }}\n\
         [database]\nurl = \"{database}\"\n[api]\nlisten = \"127.0.0.1:0\"\n"
    );
    let path = written(dir.path(), 0o644, &text);
    let server = Daemon::start_plain(&database, &["--config", path.to_str().unwrap()]).await;
    let me: Value = reqwest::Client::new()
        .get(format!("http://{}/api/v1/me", server.address))
        .bearer_auth("cmp_token-of-a-command")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(me["name"], "admin");
    assert!(!server.log().contains("cmp_token-of-a-command"));
}

#[tokio::test]
async fn a_process_without_the_api_says_how_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/cmp.db", dir.path().display());
    let arguments = [
        "--database",
        &database,
        "--roles",
        "scheduler",
        "--health-listen",
        "127.0.0.1:0",
    ];
    let server = Daemon::start_plain(&database, &arguments).await;
    let get = async |path: &str| {
        reqwest::get(format!("http://{}{path}", server.address))
            .await
            .unwrap()
    };
    assert_eq!(get("/healthz").await.status(), 200);
    let ready: Value = get("/readyz").await.json().await.unwrap();
    assert_eq!(ready["ready"], true);
    let metrics = get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("cmp_database_up 1"), "{metrics}");
    for path in ["/api/v1/me", "/openapi.json"] {
        assert_eq!(get(path).await.status(), 404, "{path}");
    }
}
