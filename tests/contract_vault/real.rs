//! A real `vault` or `bao` in a private directory on loopback: found in `CMP_TEST_VAULT` or on PATH,
//! started with a storage of its own, ended with its test.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::port::free_port;

/// Names the program; a path, or a name on PATH.
const NAMED: &str = "CMP_TEST_VAULT";

/// A server that runs until this is dropped.
pub(crate) struct Process {
    pub(crate) base: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts one; `None` where there is none, which is said.
    pub(crate) fn start() -> Option<Self> {
        Self::with_storage(|_, _, _| "storage \"inmem\" {}\n".to_owned())
    }

    /// Starts a node of a cluster that `leader` leads, or the first node of one.
    pub(crate) fn start_node(leader: Option<&str>) -> Option<Self> {
        Self::with_storage(|dir, port, cluster| {
            let join = leader.map(|leader| format!("  retry_join {{ leader_api_addr = \"{leader}\" }}\n"));
            fs::create_dir(dir.join("raft")).unwrap();
            format!(
                "storage \"raft\" {{\n  path = \"{}\"\n  node_id = \"{port}\"\n{}}}\ncluster_addr = \"http://127.0.0.1:{cluster}\"\n",
                dir.join("raft").display(),
                join.unwrap_or_default()
            )
        })
    }

    fn with_storage(storage: impl Fn(&Path, u16, u16) -> String) -> Option<Self> {
        let program = program()?;
        // Another program may take the port between our look and its start.
        for _ in 0..3 {
            if let Some(process) = Self::try_start(&program, &storage) {
                return Some(process);
            }
        }
        panic!("`{}` does not start", program.display());
    }

    fn try_start(program: &Path, storage: impl Fn(&Path, u16, u16) -> String) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (port, cluster) = (free_port(), free_port());
        let config = dir.path().join("config.hcl");
        let text = format!(
            "{}listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  cluster_address = \"127.0.0.1:{cluster}\"\n  tls_disable = true\n}}\n\
             api_addr = \"http://127.0.0.1:{port}\"\ndisable_mlock = true\nui = false\n",
            storage(dir.path(), port, cluster)
        );
        fs::write(&config, text).unwrap();
        let mut child = Command::new(program)
            .arg("server")
            .arg("-config")
            .arg(&config)
            .env_clear()
            .env("HOME", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Both are read to their end, or the server would wait for somebody to read them.
        let started = started(child.stdout.take().unwrap());
        let errors = all(child.stderr.take().unwrap());
        // It listens before it says so; a server that ends instead closes its output.
        if started.recv().is_ok() {
            return Some(Self {
                base: format!("http://127.0.0.1:{port}"),
                child,
                _dir: dir,
            });
        }
        child.kill().unwrap();
        child.wait().unwrap();
        eprintln!("{}", errors.join().unwrap());
        None
    }
}

/// Says when the server does; hangs up when it ends before.
fn started(output: impl Read + Send + 'static) -> mpsc::Receiver<()> {
    let (say, hear) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if line.contains("server started!") {
                let _ = say.send(());
            }
        }
    });
    hear
}

fn all(mut output: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = output.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |name: OsString| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(&name))
            .find(|file| file.is_file())
    };
    if let Some(named) = std::env::var_os(NAMED).filter(|named| !named.is_empty()) {
        let found = Some(PathBuf::from(&named)).filter(|path| path.is_file());
        let found = found.or_else(|| on_path(named.clone()));
        // Who names one wants it used.
        return Some(found.unwrap_or_else(|| panic!("{NAMED}={} is no program", named.display())));
    }
    let found = on_path("vault".into()).or_else(|| on_path("bao".into()));
    if found.is_none() {
        eprintln!("skipped: there is no `vault` or `bao` on PATH, and {NAMED} names none");
    }
    found
}
