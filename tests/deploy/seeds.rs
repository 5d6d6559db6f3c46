//! The seeds of configuration, run by the units' command lines as a user without rights.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cmp_console::clock::Clock;
use cmp_console::config::console;
use cmp_console::domain::role::Role;
use cmp_console::domain::secret::Secret;
use cmp_console::store::Store;
use cmp_console::store::tokens::{self, NewToken, Purpose};
use serde_json::Value;

use crate::ca::Ca;
use crate::server::port::free_port;
use crate::server::{self, Database};
use crate::unit::Unit;
use crate::{deployed, skipped, text};

/// Nothing here takes longer, on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);
const ADMIN: &str = "cmp_admin-token-out-of-a-credential";

#[test]
fn the_consoles_seed_is_one() {
    let opened = console::open(Some(&deployed("config/cmp-console.toml")), None).unwrap();
    let context = &opened.contexts[&opened.name];
    assert!(context.protected);
    let vault = context.vault.as_ref().unwrap();
    assert!(context.api.starts_with("https://") && vault.starts_with("https://"));
}

/// A host: a directory in which the units' paths are, and who runs them.
struct HostDir {
    root: tempfile::TempDir,
    /// Who runs the servers, when the tests are root.
    user: Option<(u32, u32)>,
}

/// Who runs the agent then: somebody else, who gets at nothing of the servers'.
const AGENT: (u32, u32) = (64_321, 64_321);

impl HostDir {
    fn new() -> Self {
        let root = tempfile::Builder::new().prefix("cmp-deploy-").tempdir().unwrap();
        std::fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let it = Self {
            root,
            user: server::unprivileged(),
        };
        for dir in [
            "etc/cmp/tls",
            "etc/ssl/cmp",
            "run",
            "usr/bin",
            "var/lib/cmp",
            "var/lib/cmp-agent",
        ] {
            std::fs::create_dir_all(it.path(dir)).unwrap();
        }
        it.give(&it.path("var/lib/cmp"), 0o700);
        // As `cmp.tmpfiles` has it.
        it.give(&it.path("etc/cmp/tls"), 0o750);
        for dir in ["etc/ssl/cmp", "var/lib/cmp-agent"] {
            it.give_agent(&it.path(dir), 0o700);
        }
        for program in [env!("CARGO_BIN_EXE_cmp-server"), env!("CARGO_BIN_EXE_cmp-agent")] {
            let name = Path::new(program).file_name().unwrap();
            let place = it.path("usr/bin").join(name);
            // Where they were built, another user may see nothing.
            if std::fs::hard_link(program, &place).is_err() {
                std::fs::copy(program, &place).unwrap();
            }
        }
        it
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn give(&self, path: &Path, mode: u32) {
        if let Some((uid, gid)) = self.user {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn give_agent(&self, path: &Path, mode: u32) {
        self.give(path, mode);
        if self.user.is_some() {
            chown(path, Some(AGENT.0), Some(AGENT.1)).unwrap();
        }
    }

    fn write(&self, path: &str, text: &str, mode: u32) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        self.give(&path, mode);
    }

    /// The text with its directories under this host's.
    fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for dir in ["/etc/cmp", "/etc/ssl/cmp", "/var/lib/cmp", "/usr/bin/"] {
            let here = format!("{}{dir}", self.root.path().display());
            text = text.replace(dir, &here);
        }
        text
    }

    /// The seed of a unit, changed in nothing but directories and what is given.
    fn configure(&self, name: &str, changes: &[(&str, &str)]) {
        let mut seed = self.here(&text(&format!("config/{name}.toml")));
        for (seeds, ours) in changes {
            assert!(seed.contains(seeds), "{name}.toml has no {seeds}");
            seed = seed.replace(seeds, ours);
        }
        self.write(&format!("etc/cmp/{name}.toml"), &seed, 0o644);
    }

    /// Starts a unit's command line in its environment, as systemd would.
    fn start(&self, unit: &Unit, credentials: &[(&str, &str)], env: &[(&str, &str)]) -> Running {
        let given: BTreeSet<&str> = credentials.iter().map(|(name, _)| *name).collect();
        assert_eq!(given, unit.credentials().into_iter().collect(), "{}", unit.name);
        let folder = format!("run/credentials/{}.service", unit.name);
        for (name, secret) in credentials {
            self.write(&format!("{folder}/{name}"), secret, 0o400);
        }
        let socket = self.path(&format!("run/{}.notify", unit.name));
        let notified = UnixDatagram::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();
        notified.set_read_timeout(Some(LIMIT)).unwrap();
        let log = self.path(&format!("run/{}.log", unit.name));
        let mut command = Command::new("setpriv");
        command.args(["--no-new-privs", "--inh-caps=-all"]);
        let user = match unit.name {
            "cmp-agent" => self.user.map(|_| AGENT),
            _ => self.user,
        };
        if let Some((uid, gid)) = user {
            command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
            command.args(["--clear-groups", "--bounding-set=-all"]);
        }
        let line = self.here(&unit.command().join(" "));
        command
            .args(line.split(' '))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("CREDENTIALS_DIRECTORY", self.path(&folder))
            .env("NOTIFY_SOCKET", &socket)
            .envs(env.iter().copied())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap());
        Running {
            child: command.spawn().unwrap(),
            notified,
            log,
        }
    }
}

struct Running {
    child: Child,
    notified: UnixDatagram,
    log: PathBuf,
}

impl Running {
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// What it tells systemd next.
    fn tells(&self) -> String {
        let mut buffer = [0; 256];
        match self.notified.recv(&mut buffer) {
            Ok(n) => String::from_utf8_lossy(&buffer[..n]).into_owned(),
            Err(error) => panic!("it tells nothing: {error}\n{}", self.log()),
        }
    }

    /// A field of the process, as the kernel has it.
    fn status(&self, field: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn has_no_rights(&self) {
        let uids = self.status("Uid");
        assert!(uids.split(' ').all(|uid| uid != "0"), "{uids}");
        assert_eq!(self.status("CapEff"), "0000000000000000");
        assert_eq!(self.status("NoNewPrivs"), "1");
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn eventually<T>(what: &str, running: &Running, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < LIMIT, "not in time: {what}\n{}", running.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// As the README has it: the schema by its owner, then the accounts.
fn prepared() -> Option<Database> {
    let database = server::empty()?;
    let migrated = Command::new(env!("CARGO_BIN_EXE_cmp-server"))
        .arg("--migrate-only")
        .env("CMP_DATABASE_URL", &database.url)
        .env_remove("DB_HOST")
        .output()
        .unwrap();
    assert!(
        migrated.status.success(),
        "{}",
        String::from_utf8_lossy(&migrated.stderr)
    );
    let roles = database
        .server
        .program("psql")
        .args(["-X", "-q", "-U", "postgres", "-d", &database.name, "-f"])
        .arg(deployed("postgres/roles.sql"))
        .output()
        .unwrap();
    assert!(
        roles.status.success(),
        "{}",
        String::from_utf8_lossy(&roles.stderr)
    );
    Some(database)
}

async fn one_time_token(database: &Database) -> String {
    let secret = "cmp_one-time-token-of-the-first-host";
    let store = Store::open(&database.url, Clock::system()).await.unwrap();
    let new = NewToken {
        name: "enrol:web".to_owned(),
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
    secret.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_units_start_the_seeds_as_a_user_without_rights() {
    if skipped("setpriv") {
        return;
    }
    let Some(database) = prepared() else { return };
    let host = HostDir::new();
    let ca = Ca::new(&host.path("etc/cmp"), "api-ca");
    std::fs::copy(&ca.file, host.path("etc/cmp/tls/vault-ca.pem")).unwrap();
    let (certificate, key) = ca.issue(2090);
    host.write("etc/cmp/tls/tls.crt", &certificate, 0o644);
    host.write("etc/cmp/tls/tls.key", &key, 0o400);
    agents_ca(&host);
    let agents_key = std::fs::read_to_string(host.path("etc/cmp/credentials/agent-ca-key")).unwrap();
    let (api, health, wake, lives) = (free_port(), free_port(), free_port(), free_port());
    let local = |port: u16| format!("127.0.0.1:{port}");
    // The overrides that the seeds speak of: the database is where DB_HOST says. The tests' PostgreSQL speaks no
    // TLS, which the address asks for, so that is given too.
    let socket = database.url.split("host=").nth(1).unwrap();
    let url = format!("postgres://cmp_server@db-host/{}", database.name);
    let env = [("DB_HOST", socket), ("CMP_DATABASE_URL", url.as_str())];
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(&ca.file).unwrap()).unwrap()])
        .build()
        .unwrap();

    let unit = Unit::read("cmp-server");
    host.configure(
        "cmp-server",
        &[("0.0.0.0:8082", &local(api)), ("0.0.0.0:8085", &local(lives))],
    );
    let mut server = host.start(
        &unit,
        &[
            ("database-password", "none-needed"),
            ("admin-token", ADMIN),
            ("agent-ca-key", &agents_key),
        ],
        &env,
    );
    assert_eq!(server.tells().trim(), "READY=1", "{}", server.log());
    server.has_no_rights();
    let base = format!("https://{}", local(api));
    let get = async |path: &str| {
        http.get(format!("{base}{path}"))
            .bearer_auth(ADMIN)
            .send()
            .await
            .unwrap()
    };
    assert_eq!(get("/readyz").await.status(), 200, "{}", server.log());
    let me: Value = get("/api/v1/me").await.json().await.unwrap();
    assert_eq!(me["role"], "admin");

    let unit = Unit::read("cmp-issuer");
    let seeds = [
        ("0.0.0.0:8083", local(health)),
        ("https://vault:8200", format!("https://{}", local(1))),
    ];
    let changes: Vec<(&str, &str)> = seeds.iter().map(|(from, to)| (*from, to.as_str())).collect();
    host.configure("cmp-issuer", &changes);
    let credentials = [
        ("database-password", "none-needed"),
        ("vault-role-id", "role"),
        ("vault-secret-id", "secret"),
    ];
    let issuer = host.start(&unit, &credentials, &env);
    assert_eq!(issuer.tells().trim(), "READY=1", "{}", issuer.log());
    issuer.has_no_rights();
    for path in ["healthz", "readyz"] {
        let answer = reqwest::get(format!("http://{}/{path}", local(health)))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}: {}", issuer.log());
    }

    let unit = Unit::read("cmp-agent");
    let token = one_time_token(&database).await;
    host.write("etc/cmp/enrol-token", &token, 0o400);
    host.give_agent(&host.path("etc/cmp/enrol-token"), 0o400);
    let (wake, api_at) = (local(wake), format!("\"{base}\""));
    let changes = [
        ("0.0.0.0:8084", wake.as_str()),
        ("\"https://api:8082\"", &api_at),
        ("[\"systemctl\", \"reload\", \"nginx\"]", "[\"true\"]"),
    ];
    host.configure("cmp-agent", &changes);
    let agent = host.start(&unit, &[], &[]);
    assert_eq!(agent.tells().trim(), "READY=1", "{}", agent.log());
    agent.has_no_rights();
    let agents = eventually("the agent has checked in", &agent, async || {
        let agents: Value = get("/api/v1/agents").await.json().await.unwrap();
        agents["items"][0]["last_checkin"].is_string().then_some(agents)
    })
    .await;
    let dir = host.path("etc/ssl/cmp").display().to_string();
    assert!(agents.to_string().contains(&dir), "{agents}");
    assert!(
        agents["items"][0]["identity"]["serial"].is_string(),
        "it proves itself: {agents}"
    );

    // A wish, which waits for Vault: all that the dashboard shows has something to tell then.
    let wish = serde_json::json!({
        "common_name": "web.example.com", "sans": ["web.example.com"],
        "agent_id": agents["items"][0]["id"], "install_path": format!("{dir}/web.pem"),
    });
    let asked = http
        .post(format!("{base}/api/v1/certs"))
        .bearer_auth(ADMIN)
        .json(&wish);
    let answer = asked.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    let shown = shown();
    eventually(&format!("told are {shown:?}"), &server, async || {
        let told = get("/metrics").await.text().await.unwrap();
        let told: BTreeSet<&str> = told
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        let is_told = |metric: &String| {
            let endings = ["_total", "_bucket", "_sum", "_count"];
            let family = endings.iter().find_map(|end| metric.strip_suffix(end));
            told.contains(family.unwrap_or(metric))
        };
        shown.iter().all(is_told).then_some(())
    })
    .await;

    // `systemctl reload`, as the unit has it.
    let reload = Unit::read("cmp-server");
    let reload = reload
        .one("ExecReload")
        .replace("$MAINPID", &server.child.id().to_string());
    let words: Vec<&str> = reload.split(' ').collect();
    assert!(
        Command::new(words[0])
            .args(&words[1..])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(get("/readyz").await.status(), 200, "{}", server.log());

    // `systemctl stop`: it says so, is not ready while `shutdown_delay` goes on, and is hurried by a second one.
    server.terminate();
    assert_eq!(server.tells().trim(), "STOPPING=1");
    eventually("it is not ready", &server, async || {
        (get("/readyz").await.status() == 503).then_some(())
    })
    .await;
    server.terminate();
    let pid = server.child.id();
    let ended = tokio::task::block_in_place(|| server.child.wait().unwrap());
    assert!(ended.success(), "{pid}: {}", server.log());
    for running in [&server, &issuer, &agent] {
        let log = running.log();
        assert!(!log.contains(ADMIN) && !log.contains(&token), "{log}");
    }
}

/// Makes the CA for agents as the documentation says.
fn agents_ca(host: &HostDir) {
    std::fs::create_dir_all(host.path("etc/cmp/credentials")).unwrap();
    let page = include_str!("../../docs/server.md");
    let command = page.split("```\n").find(|block| block.starts_with("openssl req"));
    let made = Command::new("sh")
        .args(["-c", &host.here(command.unwrap())])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    host.give(&host.path("etc/cmp/tls/agent-ca.pem"), 0o644);
}

/// The metrics that the dashboard asks for.
fn shown() -> BTreeSet<String> {
    let board: Value = serde_json::from_str(&text("grafana/cmp-console.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let shown: BTreeSet<String> = targets
        .map(|target| target["expr"].as_str().unwrap())
        .flat_map(|expr| expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .filter(|word| word.starts_with("cmp_"))
        .map(str::to_owned)
        .collect();
    assert!(shown.len() > 9, "{shown:?}");
    shown
}
