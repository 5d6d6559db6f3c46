//! The platform as it is installed: `cmp-server` and `cmp-agent` as processes of their own, with an ACME
//! CA for everything that is requested.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cmp_console::clock::Clock;
use cmp_console::domain::role::Role;
use cmp_console::domain::secret::Secret;
use cmp_console::store::Store;
use cmp_console::store::tokens::{self, NewToken, Purpose};
use serde_json::{Value, json};

use super::pebble::Pebble;

use crate::port::free_port;

/// Nothing here takes longer, on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(90);
pub(crate) const ADMIN: &str = "admin-token-of-the-acme-tests";

/// A process that is killed when it is dropped.
pub(crate) struct Running(Child, PathBuf);

impl Running {
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self(child, log.to_owned())
    }
}

impl Drop for Running {
    /// With SIGKILL, so that every end in these tests is the hardest one.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        if std::thread::panicking() {
            let text = std::fs::read_to_string(&self.1).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
            eprintln!("--- the end of {}\n{}", self.1.display(), tail.join("\n"));
        }
    }
}

/// Waits for a condition.
pub(crate) async fn eventually<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"))
}

pub(crate) struct World {
    pub(crate) pebble: Pebble,
    pub(crate) dir: tempfile::TempDir,
    http: reqwest::Client,
    api: u16,
    wake: u16,
    pub(crate) http_port: u16,
    server: Option<Running>,
    agent: Option<Running>,
}

impl World {
    /// With everything but the agent; the server has these roles.
    pub(crate) async fn start(roles: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("ssl")).unwrap();
        let http_port = free_port();
        let mut world = Self {
            pebble: Pebble::start(dir.path(), http_port, false).await,
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
            api: free_port(),
            wake: free_port(),
            http_port,
            server: None,
            agent: None,
            dir,
        };
        world.write_enrol_token().await;
        world.start_server(roles).await;
        world
    }

    pub(crate) fn database(&self) -> String {
        format!("sqlite://{}/cmp.db", self.dir.path().display())
    }

    pub(crate) fn account_file(&self) -> PathBuf {
        self.dir.path().join("acme-account.json")
    }

    async fn write_enrol_token(&self) {
        let store = Store::open(&self.database(), Clock::system()).await.unwrap();
        let secret = "one-time-token-of-the-acme-tests";
        let new = NewToken {
            name: "enrol:shop".to_owned(),
            purpose: Purpose::Enrol,
            role: Role::Agent,
            agent_id: None,
            parent: None,
            expires_at: None,
        };
        let mut tx = store.begin().await.unwrap();
        tokens::create(&mut tx, &new, &Secret::new(secret.to_owned()))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        store.close().await;
        let file = self.dir.path().join("enrol");
        std::fs::write(&file, secret).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) async fn start_server(&mut self, roles: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmp-server"));
        command.args(["--database", &self.database()]);
        command.args([
            "--listen",
            &format!("127.0.0.1:{}", self.api),
            "--name",
            "acme-test",
        ]);
        command.args(["--roles", roles]);
        command.args(["--acme", &self.pebble.directory]);
        command.arg("--acme-account-file").arg(self.account_file());
        command.arg("--acme-ca-file").arg(&self.pebble.ca_file);
        command.args(["--acme-contact", "mailto:pki@example.test"]);
        command
            .env("CMP_ADMIN_TOKEN", ADMIN)
            .env_remove("CMP_VAULT_TOKEN");
        self.server = Some(Running::start(command, &self.dir.path().join("server.log")));
        eventually("the API answers", async || {
            let answer = self.http.get(self.url("/readyz")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    pub(crate) fn kill_server(&mut self) {
        self.server = None;
    }

    pub(crate) fn kill_agent(&mut self) {
        self.agent = None;
    }

    /// The agent on the host that all names lead to; `answers` says whether it has its port for challenges.
    pub(crate) async fn start_agent(&mut self, answers: bool) -> String {
        let dir = self.dir.path().display();
        let wake = self.wake;
        let mut config = format!(
            "hostname = \"shop\"\nstate_dir = \"{dir}/agent\"\napi = \"http://127.0.0.1:{}\"\n\
             listen = \"127.0.0.1:{wake}\"\nadvertise = \"http://127.0.0.1:{wake}\"\n\
             install_dirs = [\"{dir}/ssl\"]\nenrol_token = {{ file = \"{dir}/enrol\" }}\n",
            self.api
        );
        if answers {
            config.push_str(&format!("acme_listen = \"127.0.0.1:{}\"\n", self.http_port));
        }
        let file = self.dir.path().join("agent.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmp-agent"));
        command.arg("--config").arg(file);
        self.agent = Some(Running::start(command, &self.dir.path().join("agent.log")));
        eventually("the agent has enrolled and can be woken", async || {
            let agents = self.get("/api/v1/agents").await;
            let id = agents["items"][0]["id"].as_str()?.to_owned();
            // Started again, it keeps to its schedule of before; somebody wakes it.
            let woken = self
                .post(&format!("/api/v1/agents/{id}/checkin"), json!({}))
                .await;
            (woken["reached"] == json!(true)).then_some(id)
        })
        .await
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join("ssl").join(name).display().to_string()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.api)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(self.url(path))
            .bearer_auth(ADMIN)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let call = self.http.post(self.url(path)).bearer_auth(ADMIN).json(&body);
        let answer = call.send().await.unwrap();
        let status = answer.status();
        let reply: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {reply}");
        reply
    }

    /// Asks for a certificate; returns the request's id.
    pub(crate) async fn request(&self, agent: &str, names: &[&str], file: &str) -> String {
        let body = json!({
            "common_name": names[0], "sans": names, "agent_id": agent,
            "install_path": self.path(file), "adapter": "acme",
        });
        let reply = self.post("/api/v1/certs", body).await;
        reply["requests"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The request once it is where it should be.
    pub(crate) async fn until(&self, id: &str, status: &str, waiting_on: Option<&str>) -> Value {
        eventually(&format!("{id} is {status}"), async || {
            let request = self.get(&format!("/api/v1/requests/{id}")).await;
            assert!(
                status == "failed" || request["status"] != "failed",
                "failed: {}",
                request["error_message"]
            );
            let is_there = request["status"] == status && request["waiting_on"].as_str() == waiting_on;
            is_there.then_some(request)
        })
        .await
    }

    /// The certificate once it is revoked.
    pub(crate) async fn until_revoked(&self, id: &str) -> Value {
        eventually(&format!("{id} is revoked"), async || {
            let detail = self.get(&format!("/api/v1/certs/{id}")).await;
            let certificate = detail["certificate"].clone();
            (!certificate["revocation"]["without_crl_at"].is_null()).then_some(certificate)
        })
        .await
    }

    /// The certificate of a request once the agent has it on disk.
    pub(crate) async fn until_installed(&self, request: &Value) -> Value {
        let id = request["certificate_id"].as_str().unwrap();
        eventually(&format!("{id} is installed"), async || {
            let detail = self.get(&format!("/api/v1/certs/{id}")).await;
            let certificate = detail["certificate"].clone();
            let on_disk = &detail["installations"][0]["on_disk_sha256"];
            (*on_disk == certificate["fingerprint_sha256"]).then_some(certificate)
        })
        .await
    }
}
