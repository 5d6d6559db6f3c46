//! A real `redis-server` on a socket in a directory of its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cmp_console::clients::cache::{Address, Cache, Serving};
use tempfile::TempDir;

/// Nothing here takes longer, on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Redis {
    dir: TempDir,
    child: Child,
}

impl Redis {
    /// `None` where there is none, which is said; in CI that is a failure.
    pub(crate) fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        match run(&dir) {
            Ok(child) => Some(Self { dir, child }),
            Err(_) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped: `redis-server` is not installed");
                None
            }
            Err(error) => panic!("`redis-server` can't be started: {error}"),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}/redis.sock", self.dir.path().display())
    }

    /// A cache over it, once it is in use.
    pub(crate) async fn cache(&self) -> Cache {
        let cache = Cache::redis(&Address::from_argument(&self.url()).unwrap()).unwrap();
        serves(&cache, Serving::Redis).await;
        cache
    }

    /// A connection of one's own.
    pub(crate) async fn client(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// As by SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = run(&self.dir).unwrap();
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(dir: &TempDir) -> std::io::Result<Child> {
    Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no"])
        .args(["--unixsocket", "redis.sock", "--dir", "."])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
}

/// Waits until this one serves.
pub(crate) async fn serves(cache: &Cache, wanted: Serving) {
    until("the right cache serves", async || cache.check().await == wanted).await;
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < LIMIT, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
