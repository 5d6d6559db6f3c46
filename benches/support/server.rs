//! The real `cmp-server`, as a process of its own.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Upper bound for the time that it takes to start.
const STARTS: Duration = Duration::from_secs(120);

pub(crate) struct Server {
    child: Child,
    /// Addresses, as `127.0.0.1:port`; empty where no role listens there.
    pub(crate) api: String,
    pub(crate) health: String,
}

impl Server {
    /// Starts it with these arguments and secrets, and waits until it listens. It logs into the file `log`.
    pub(crate) fn start(log: &Path, arguments: &[&str], secrets: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_cmp-server"))
            .args(["--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(secrets.iter().copied())
            .env("CMP_LOG", "info")
            .stdin(Stdio::null())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        let (api, health) = started(log);
        Self { child, api, health }
    }

    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The addresses that it listens at, once its log says so.
fn started(log: &Path) -> (String, String) {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(log).unwrap();
        if let Some(line) = text.lines().find(|line| line.contains(r#""message":"started""#)) {
            let fields = &serde_json::from_str::<Value>(line).unwrap()["fields"];
            let at = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
            return (at("listen"), at("health_listen"));
        }
        assert!(began.elapsed() < STARTS, "the server doesn't start: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
