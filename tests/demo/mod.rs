//! The headless demo as its users start it: the real program in a process of its own, spoken to over
//! its sockets. Shared by the tests that start it.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's helper fails the test"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_cmp-console");
/// Nothing here takes longer, on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running demo; killed when dropped.
pub(crate) struct Demo {
    child: Child,
    /// What it said when it was ready.
    pub(crate) ready: Value,
    /// How long that took.
    pub(crate) took: Duration,
    http: reqwest::Client,
}

impl Demo {
    /// Starts it on free ports and waits for its line. `tmp` is its temporary directory.
    pub(crate) fn start(tmp: &Path, state: Option<&Path>) -> Self {
        Self::start_in(tmp, state, &[])
    }

    /// The same with this in its environment.
    pub(crate) fn start_in(tmp: &Path, state: Option<&Path>, env: &[(&str, &str)]) -> Self {
        let began = Instant::now();
        let mut command = command(tmp, state);
        command.envs(env.iter().copied());
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().unwrap();
        let (sender, line) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(read.map(|_| line));
        });
        let line = line
            .recv_timeout(LIMIT)
            .expect("it says that it is ready in time")
            .unwrap();
        let took = began.elapsed();
        let ready =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("one line of JSON, not `{line}`: {e}"));
        Self {
            child,
            ready,
            took,
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(20))
                .build()
                .unwrap(),
        }
    }

    pub(crate) fn text(&self, pointer: &str) -> String {
        self.ready
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("the ready line has {pointer}"))
            .to_owned()
    }

    pub(crate) fn api(&self, path: &str) -> String {
        format!("{}{path}", self.text("/api"))
    }

    /// An agent of the ready line.
    pub(crate) fn agent(&self, hostname: &str) -> Value {
        let agents = self.ready["agents"].as_array().unwrap();
        let found = agents.iter().find(|agent| agent["hostname"] == hostname);
        found
            .unwrap_or_else(|| panic!("there is an agent {hostname}"))
            .clone()
    }

    pub(crate) async fn read(&self, path: &str) -> Value {
        self.look(path).await.unwrap_or_else(|| panic!("{path} is there"))
    }

    /// The same of what may not be there.
    pub(crate) async fn look(&self, path: &str) -> Option<Value> {
        let reply = self
            .http
            .get(self.api(path))
            .bearer_auth(self.text("/operator_token"))
            .send()
            .await
            .unwrap();
        if reply.status().as_u16() == 404 {
            return None;
        }
        assert!(
            reply.status().is_success(),
            "{path}: {}",
            reply.text().await.unwrap()
        );
        Some(reply.json().await.unwrap())
    }

    /// All rows of a list.
    pub(crate) async fn all(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let page = self.read(&format!("{path}{mark}limit=500{after}")).await;
            rows.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return rows,
            }
        }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let reply = self
            .http
            .post(self.api(path))
            .bearer_auth(self.text("/operator_token"))
            .json(&body)
            .send()
            .await
            .unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn vault(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}/v1/{path}", self.text("/vault"));
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, url)
            .header("X-Vault-Token", self.text("/vault_root_token"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap_or(Value::Null))
    }

    /// A raw body, such as a CRL.
    pub(crate) async fn vault_text(&self, path: &str) -> String {
        let url = format!("{}/v1/{path}", self.text("/vault"));
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Gives three of the five shares.
    pub(crate) async fn unseal(&self) {
        let keys = self.ready["unseal_keys"].as_array().unwrap();
        assert_eq!((keys.len(), &self.ready["unseal_threshold"]), (5, &json!(3)));
        let mut last = Value::Null;
        // Any three do; the first three would hide a mistake.
        for key in [&keys[4], &keys[1], &keys[2]] {
            let (status, reply) = self.vault("PUT", "sys/unseal", Some(json!({"key": key}))).await;
            assert_eq!(status, 200, "{reply}");
            last = reply;
        }
        assert_eq!(last["sealed"], json!(false), "{last}");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: nothing can be done about it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it ends when it is told to");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command(tmp: &Path, state: Option<&Path>) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["demo", "--headless"]);
    for port in ["--api-port", "--vault-port", "--agent-port", "--tls-port"] {
        command.args([port, "0"]);
    }
    if let Some(state) = state {
        command.arg("--state").arg(state);
    }
    command
        .env("TMPDIR", tmp)
        .env_remove("VAULT_ADDR")
        .env_remove("VAULT_TOKEN");
    command
}

/// Asks until the answer is there.
pub(crate) async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < until, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What demos left in a temporary directory.
pub(crate) fn leftovers(tmp: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(tmp).unwrap().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains("cmp-demo"))
        .collect()
}

/// Whether a program is installed. With CI set, it has to be.
pub(crate) fn has(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    assert!(
        found || std::env::var_os("CI").is_none(),
        "CI has `{program}`, and this test needs it"
    );
    if !found {
        println!("skipped: `{program}` is not installed");
    }
    found
}
