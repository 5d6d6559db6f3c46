//! A terminal that is closed while the platform is at something, and a thread hangs: nobody is there who waits for it.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::port::free_port;
use super::pty::{self, Pty};

/// The platform waits for what is under way for three seconds; a person who leaves by a key waits that long.
const DRAINS: Duration = Duration::from_millis(2_500);

/// The beginning of a change whose end never comes: the API has it under way.
fn half_a_change(api: u16, state: &std::path::Path) -> TcpStream {
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
    // A disk that gives no answer: who opens it waits for ever.
    let log = logs.join("cmp-console/console.log");
    std::fs::rename(&log, log.with_extension("before")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&log).status().unwrap();
    assert!(made.success());
    pty.send("L");
    pty.wait_for("asking…");
    let _under_way = half_a_change(api, &state);
    let began = Instant::now();
    match leaves {
        "a key" => pty.send("q"),
        _ => rustix::process::kill_process(pty.pid(), rustix::process::Signal::HUP).unwrap(),
    }
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
