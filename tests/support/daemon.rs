//! The real `cmp-server` in a process of its own, over a fresh database, with the lines that it logs.

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
    /// Starts the API on a free port with more `arguments`, and waits until it says that it started.
    pub(crate) async fn start(dir: &Path, arguments: &[&str]) -> Self {
        let database = format!("sqlite://{}/cmp.db", dir.display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmp-server"));
        command
            .args([
                "--database",
                &database,
                "--listen",
                "127.0.0.1:0",
                "--roles",
                "api",
            ])
            .args(arguments)
            .env("CMP_ADMIN_TOKEN", TOKEN);
        Self::started(command, database).await
    }

    /// Starts it with `arguments` alone; `database` is the one that they or a file name.
    #[allow(dead_code, reason = "not every test binary uses all of it")]
    pub(crate) async fn start_plain(database: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmp-server"));
        command.args(arguments);
        Self::started(command, database.to_owned()).await
    }

    async fn started(mut command: Command, database: String) -> Self {
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
        let mut it = Self {
            child,
            lines,
            database,
            address: String::new(),
        };
        let line = it.logged(r#""message":"started""#, 1).await;
        let line: Value = serde_json::from_str(&line).unwrap();
        let fields = &line["fields"];
        let listens = [&fields["listen"], &fields["health_listen"]];
        it.address = listens.iter().find_map(|it| it.as_str()).unwrap().to_owned();
        it
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
