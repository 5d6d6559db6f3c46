//! A terminal that is closed, and a console that is left while the platform is at something or a thread hangs: it ends
//! in time.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::FREE_PORTS;
use super::port::free_port;
use super::pty::{self, Pty};

/// The platform waits for what is under way for three seconds; a person who leaves by a key waits that long.
const DRAINS: Duration = Duration::from_millis(2_500);

/// Has a thread of the console wait for ever: the disk with its log, under `logs`, gives no answer.
fn hang(pty: &mut Pty, logs: &Path) {
    let log = logs.join("cmp-console/console.log");
    std::fs::rename(&log, log.with_extension("before")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&log).status().unwrap();
    assert!(made.success());
    pty.send("L");
    pty.wait_for("asking…");
}

/// Leaves the console by a key, or by closing its terminal.
fn leave(pty: &mut Pty, by: &str) {
    match by {
        "a key" => pty.send("q"),
        _ => rustix::process::kill_process(pty.pid(), rustix::process::Signal::HUP).unwrap(),
    }
}

/// The beginning of a change whose end never comes: the API has it under way.
fn half_a_change(api: u16, state: &Path) -> TcpStream {
    let text = std::fs::read_to_string(state.join("demo-secrets.json")).unwrap();
    let secrets: serde_json::Value = serde_json::from_str(&text).unwrap();
    let token = secrets["operator_token"].as_str().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", api)).unwrap();
    write!(
        stream,
        "POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    )
    .unwrap();
    stream.flush().unwrap();
    stream
}

/// Time that the program takes to end, left by a key or by a hang-up, while both hold it up.
fn ends_after(leaves: &str) -> Duration {
    let home = tempfile::tempdir().unwrap();
    let (state, logs) = (home.path().join("demo"), home.path().join("state"));
    let api = free_port();
    let (port, kept) = (api.to_string(), state.display().to_string());
    let mut arguments = vec!["demo", "--state", &kept, "--api-port", &port];
    arguments.extend(["--vault-port", "0", "--agent-port", "0", "--tls-port", "0"]);
    let env = [("XDG_STATE_HOME", &*logs.display().to_string())];
    let program = pty::program().display().to_string();
    let mut pty = Pty::start_over(pty::Line::default(), &env, &program, &arguments, 120, 40);
    pty.wait_for("is sealed");
    hang(&mut pty, &logs);
    let _under_way = half_a_change(api, &state);
    let began = Instant::now();
    leave(&mut pty, leaves);
    assert!(
        pty.is_gone_within(Duration::from_secs(20)),
        "{leaves}: {}",
        pty.screen()
    );
    began.elapsed()
}

#[test]
fn a_hang_up_waits_neither_for_the_platform_nor_for_a_thread() {
    // A run that is under way does hold up who waits for it.
    let by_key = ends_after("a key");
    assert!(by_key >= DRAINS, "nothing was under way: {by_key:?}");
    let by_hang_up = ends_after("a hang-up");
    assert!(by_hang_up < DRAINS, "{by_hang_up:?}");
}

/// A pseudo-terminal of our own, so that closing it closes the last end.
fn bare_terminal() -> (std::os::fd::OwnedFd, std::fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = rustix::termios::Winsize {
        ws_row: 40,
        ws_col: 120,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&master, size).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = std::path::PathBuf::from(name.to_str().unwrap());
    let slave = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    (master, slave)
}

#[test]
fn a_terminal_that_is_gone_ends_the_program_within_a_second_though_sighup_is_ignored() {
    let home = tempfile::tempdir().unwrap();
    let (master, slave) = bare_terminal();
    // It is not the program's controlling terminal, and the shell ignores the signal before it becomes
    // the program, which inherits that: nothing but the terminal itself tells that it is gone.
    let mut child = std::process::Command::new("sh")
        .arg("-c")
        .arg("trap '' HUP; exec \"$0\" demo \"$@\"")
        .arg(pty::program())
        .args(FREE_PORTS)
        .env("XDG_STATE_HOME", home.path())
        .env("TMPDIR", home.path())
        .stdin(slave.try_clone().unwrap())
        .stdout(slave.try_clone().unwrap())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(slave);
    let mut seen = Vec::new();
    let mut buffer = [0_u8; 8192];
    while !String::from_utf8_lossy(&seen).contains("is sealed") {
        let n = rustix::io::read(&master, &mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..n]);
    }
    drop(master);
    let gone = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(
            gone.elapsed() < Duration::from_secs(1),
            "it runs on without a terminal"
        );
        std::thread::yield_now();
    }
    let left: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "cmp-console")
        .collect();
    assert!(left.is_empty(), "the embedded platform left {left:?} behind");
}

#[test]
fn a_console_ends_whatever_hangs_on_a_thread_of_its_own() {
    for leaves in ["a key", "a hang-up"] {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config.toml");
        std::fs::write(&config, "[contexts.night]\napi = \"http://127.0.0.1:1\"\n").unwrap();
        let state = home.path().join("state");
        let program = pty::program().display().to_string();
        let arguments = ["--config", &config.display().to_string()];
        let env = [
            ("CMP_TOKEN", "cmp_of-the-test"),
            ("XDG_STATE_HOME", &state.display().to_string()),
        ];
        let mut pty = Pty::start_over(pty::Line::default(), &env, &program, &arguments, 120, 40);
        pty.wait_for("API DOWN");
        hang(&mut pty, &state);
        leave(&mut pty, leaves);
        assert!(
            pty.is_gone_within(Duration::from_secs(20)),
            "{leaves}: it waits for the thread: {}",
            pty.screen()
        );
    }
}
