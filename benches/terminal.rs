//! The real program in a real pseudo-terminal over the embedded platform: the first frame, a key to its
//! first byte, a held key on a slow link, and a minute at rest. Beside it, in turns, the same of whatever
//! other full-screen monitor is installed (`btm`, `htop`), so that a busy machine hits both.
//!
//! `cargo bench --bench terminal`; `REST_S=10` shortens the rest.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench says what it measured, and may panic"
)]

#[path = "../tests/demo/mod.rs"]
mod demo;
#[allow(dead_code, reason = "a bench uses a part of it")]
#[path = "../tests/support/pty.rs"]
mod pty;

use std::time::{Duration, Instant};

use demo::Demo;
use pty::{Line, Pty};

/// Keys pressed, one after the other.
const KEYS: usize = 400;
/// Starts.
const STARTS: usize = 20;
/// How long a screen is left alone, in seconds.
const REST_S: u64 = 60;

struct Night {
    demo: Demo,
    config: String,
    _home: tempfile::TempDir,
}

impl Night {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let demo = Demo::start(home.path(), None);
        let path = home.path().join("config.toml");
        let (api, vault) = (demo.text("/api"), demo.text("/vault"));
        std::fs::write(
            &path,
            format!("[contexts.night]\napi = \"{api}\"\nvault = \"{vault}\"\n"),
        )
        .unwrap();
        Self {
            demo,
            config: path.display().to_string(),
            _home: home,
        }
    }

    fn console(&self, line: Line, columns: u16, rows: u16) -> Pty {
        let tokens = (
            self.demo.text("/operator_token"),
            self.demo.text("/vault_root_token"),
        );
        let env = [
            ("CMP_TOKEN", tokens.0.as_str()),
            ("VAULT_TOKEN", tokens.1.as_str()),
        ];
        let program = pty::program().display().to_string();
        Pty::start_over(line, &env, &program, &["--config", &self.config], columns, rows)
    }
}

fn main() {
    // `cargo test` runs benches too, once and without measuring.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let night = Night::start();
    let others = ["btm", "htop"]
        .into_iter()
        .filter(|program| is_installed(program));
    let others: Vec<&str> = others.collect();
    first_frame(&night, &others);
    keys(&night, &others);
    held_key(&night);
    rest(&night, &others);
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !found {
        println!("skipped: `{program}` is not installed");
    }
    found
}

fn first_frame(night: &Night, others: &[&str]) {
    let mut took: Vec<(String, Vec<Duration>)> = vec![("cmp-console".to_owned(), Vec::new())];
    took.extend(others.iter().map(|other| ((*other).to_owned(), Vec::new())));
    for _ in 0..STARTS {
        for (name, times) in &mut took {
            let began = Instant::now();
            let pty = match name.as_str() {
                "cmp-console" => night.console(Line::default(), 120, 40),
                other => Pty::start_by(other, &[], 120, 40),
            };
            pty.wait("something on screen", |screen| !screen.trim().is_empty());
            times.push(began.elapsed());
        }
    }
    for (name, times) in &mut took {
        print_times("first frame", name, times);
    }
}

/// From a key to the first byte that comes of it.
fn keys(night: &Night, others: &[&str]) {
    let ours = night.console(Line::default(), 120, 40);
    ours.wait_for("is sealed (0 of 3 shares)");
    let mut programs = vec![("cmp-console", ours, Vec::new())];
    for other in others {
        let pty = Pty::start_by(other, &[], 120, 40);
        pty.wait("something on screen", |screen| !screen.trim().is_empty());
        programs.push((other, pty, Vec::new()));
    }
    programs[0].1.send("2");
    programs[0].1.wait_for("Triage > Certificates");
    for (_, pty, _) in &programs {
        while pty.bytes_within(Duration::from_millis(500)) > 0 && programs.len() == 1 {}
    }
    for index in 0..KEYS {
        for (_, pty, times) in &mut programs {
            // What moves by itself isn't taken for the answer.
            while pty.bytes_within(Duration::from_millis(20)) > 0 {}
            let before = pty.bytes();
            let began = Instant::now();
            pty.send(if index % 20 < 10 { "\x1b[B" } else { "\x1b[A" });
            while pty.bytes() == before && began.elapsed() < Duration::from_secs(1) {
                std::thread::yield_now();
            }
            times.push(began.elapsed());
        }
    }
    for (name, _, times) in &mut programs {
        print_times("key to first byte", name, times);
    }
}

/// A held key on 25 KB/s: how long after its release the cursor comes to rest.
fn held_key(night: &Night) {
    let line = Line {
        bytes_per_second: Some(25_000),
        ..Line::default()
    };
    for (columns, rows) in [(80, 24), (120, 40)] {
        let mut pty = night.console(line, columns, rows);
        pty.wait_for("is sealed (0 of 3 shares)");
        pty.send("5");
        pty.wait_for("Triage > Audit");
        let mut times = Vec::new();
        for round in 0..10 {
            while pty.bytes_within(Duration::from_millis(500)) > 0 {}
            let mut released = Instant::now();
            // 37 steps at a keyboard's rate: over a page and into the next.
            for _ in 0..37 {
                pty.send(if round % 2 == 0 { "j" } else { "k" });
                released = Instant::now();
                pty.bytes_within(Duration::from_millis(33));
            }
            let mut rested = Instant::now();
            let mut bytes = pty.bytes();
            while rested.elapsed() < Duration::from_millis(400) {
                pty.bytes_within(Duration::from_millis(5));
                if pty.bytes() != bytes {
                    bytes = pty.bytes();
                    rested = Instant::now();
                }
            }
            times.push(rested.saturating_duration_since(released));
        }
        print_times(
            &format!("held j at 25 KB/s, {columns}x{rows}, after its release"),
            "cmp-console",
            &mut times,
        );
    }
}

/// A while in which nobody types, on every screen.
fn rest(night: &Night, others: &[&str]) {
    let seconds = std::env::var("REST_S").ok().and_then(|text| text.parse().ok());
    let rest = Duration::from_secs(seconds.unwrap_or(REST_S));
    let mut ours = night.console(Line::default(), 120, 40);
    ours.wait_for("is sealed (0 of 3 shares)");
    for screen in ["1", "2", "3", "4", "5", "6", "7", "8", "@"] {
        ours.send(screen);
        while ours.bytes_within(Duration::from_secs(3)) > 0 {}
        at_rest(&format!("cmp-console, screen {screen}"), &ours, rest);
    }
    for other in others {
        let pty = Pty::start_by(other, &[], 120, 40);
        pty.bytes_within(Duration::from_secs(3));
        at_rest(other, &pty, rest);
    }
}

fn at_rest(name: &str, pty: &Pty, rest: Duration) {
    let pid = pty.pid().as_raw_nonzero().get();
    let before = Used::of(pid);
    let bytes = pty.bytes_within(rest);
    let after = Used::of(pid);
    let seconds = rest.as_secs_f64();
    println!(
        "at rest: {name}: {bytes} bytes, {:.2} % of a core, {:.1} wake-ups a second, {} MB",
        (after.cpu_s - before.cpu_s) / seconds * 100.0,
        (after.wake_ups - before.wake_ups) / seconds,
        after.rss_kb / 1024
    );
}

/// What a process has used so far.
struct Used {
    cpu_s: f64,
    wake_ups: f64,
    rss_kb: u64,
}

impl Used {
    fn of(pid: i32) -> Self {
        let mut used = Self {
            cpu_s: 0.0,
            wake_ups: 0.0,
            rss_kb: 0,
        };
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            // In nanoseconds, by the scheduler: ticks are too coarse for so little.
            let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let ran = stat.split(' ').next().and_then(|text| text.parse::<f64>().ok());
            used.cpu_s += ran.unwrap_or(0.0) / 1e9;
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            used.wake_ups += field(&status, "voluntary_ctxt_switches:");
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a size"
        )]
        let rss = field(&status, "VmRSS:") as u64;
        used.rss_kb = rss;
        used
    }
}

fn field(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn print_times(what: &str, name: &str, times: &mut [Duration]) {
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!(
        "{what}: {name}: {:.2?} at p50, {:.2?} at p99, {:.2?} at most, of {}",
        at(50),
        at(99),
        times[times.len() - 1],
        times.len()
    );
}
