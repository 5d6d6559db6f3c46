//! The real `cmp-server` in a process of its own, over a fresh database, with the lines that it logs.

#![allow(dead_code, reason = "each test uses its part")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cmp_console::clock::Clock;
use cmp_console::store::Store;
use serde_json::Value;

/// Nothing here takes longer, on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const TOKEN: &str = "cmp_a-token-for-tests-of-the-server";

pub(crate) struct Daemon {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    database: String,
    /// `127.0.0.1:port` of the API, or of the health checks where there is no API.
    pub(crate) address: String,
}

impl Daemon {
    /// Starts the API on a free port over a SQLite in `dir`, with more `arguments`, and waits until it says
    /// that it started.
    pub(crate) async fn start(dir: &Path, arguments: &[&str]) -> Self {
        let database = format!("sqlite://{}/cmp.db", dir.display());
        let api = ["--listen", "127.0.0.1:0", "--roles", "api"];
        Self::over(&database, &[&api, arguments].concat(), &[]).await
    }

    /// Starts it over this database, with more in its environment, and waits until it says that it started.
    pub(crate) async fn over(database: &str, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let mut it = Self::spawn(database, arguments, env);
        it.started().await;
        it
    }

    /// The same without waiting.
    pub(crate) fn spawn(database: &str, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_cmp-server"));
        Self::by(program, database, arguments, env)
    }

    /// One that isn't ended by a write beyond the limit on the size of its files: the write fails.
    pub(crate) async fn ignoring_file_size(database: &str, arguments: &[&str]) -> Self {
        Self::by_shell("trap '' XFSZ", database, arguments).await
    }

    /// One in whose process the shell does something first.
    pub(crate) async fn by_shell(first: &str, database: &str, arguments: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        let line = format!(r#"{first}; exec "$0" "$@""#);
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_cmp-server")]);
        let mut it = Self::by(shell, database, arguments, &[]);
        it.started().await;
        it
    }

    fn by(mut program: Command, database: &str, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        program
            .args(["--database", database])
            .args(arguments)
            .env("CMP_ADMIN_TOKEN", TOKEN)
            .envs(env.iter().copied());
        Self::run(program, database)
    }

    /// Starts it with `arguments` alone; `database` is the one that they or a file name.
    #[allow(dead_code, reason = "not every test binary uses all of it")]
    pub(crate) async fn start_plain(database: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmp-server"));
        command.args(arguments);
        let mut it = Self::run(command, database);
        it.started().await;
        it
    }

    fn run(mut command: Command, database: &str) -> Self {
        let mut child = command
            .env("CMP_LOG", "info,cmp_console=debug")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            lines,
            database: database.to_owned(),
            address: String::new(),
        }
    }

    /// Waits until it says that it started.
    pub(crate) async fn started(&mut self) {
        self.listens(r#""message":"started""#).await;
    }

    /// Waits until it says that it waits for its database.
    pub(crate) async fn waiting(&mut self) {
        self.listens("meanwhile the API says why").await;
    }

    async fn listens(&mut self, message: &str) {
        let line = self.logged(message, 1).await;
        let line: Value = serde_json::from_str(&line).unwrap();
        let fields = &line["fields"];
        let listens = [&fields["listen"], &fields["health_listen"]];
        let listens = listens.iter().find_map(|it| it.as_str());
        self.address = listens.unwrap_or_default().to_owned();
    }

    /// As by SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The line that holds `text`, once there are `n` of them.
    pub(crate) async fn logged(&self, text: &str, n: usize) -> String {
        eventually(&format!("it logs {n} of `{text}`"), async || {
            let lines = self.lines.lock().unwrap();
            lines
                .iter()
                .filter(|line| line.contains(text))
                .nth(n - 1)
                .cloned()
        })
        .await
    }

    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.database, Clock::system()).await.unwrap()
    }

    pub(crate) fn pid(&self) -> i32 {
        rustix::process::Pid::from_child(&self.child)
            .as_raw_nonzero()
            .get()
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("it ends", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < LIMIT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
