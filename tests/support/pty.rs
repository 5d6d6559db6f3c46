//! The real program in a pseudo-terminal: keys in, screen out. It waits for what is on the screen,
//! never for time.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long a condition may take to come about before a test fails.
const LIMIT: Duration = Duration::from_mins(1);

struct Seen {
    parser: vt100::Parser,
    bytes: usize,
    /// All that was written.
    raw: Vec<u8>,
    closed: bool,
    /// The terminal takes nothing, as after ctrl-s.
    stopped: bool,
    /// A frame has begun and is not whole yet: nobody sees it.
    open: bool,
}

/// The line between the program and the terminal, and whether the terminal answers when it is asked
/// where its cursor is.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    /// What goes through in a second at most.
    pub(crate) bytes_per_second: Option<u32>,
    /// What an answer needs until it is there.
    pub(crate) round_trip: Duration,
    /// Whether it answers at all.
    pub(crate) answers: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes_per_second: None,
            round_trip: Duration::ZERO,
            answers: true,
        }
    }
}

/// Between two keys of a hand; what keeps time at less than 70 ms is a program that pastes.
const HAND: Duration = Duration::from_millis(80);
/// Between two keys of a very fast hand, which keeps that up for a few of them.
const FAST_HAND: Duration = Duration::from_millis(55);
/// What it takes to read a plan, at the least.
const READS: Duration = Duration::from_millis(700);

/// What the program asks with for the cursor's position (DSR 6).
const ASKED: &[u8] = b"\x1b[6n";
/// What a frame begins with (synchronized output).
const BEGINS: &[u8] = b"\x1b[?2026h";

/// What the header's time may cost when a minute ends at rest, in bytes.
pub(crate) const CLOCK: usize = 100;

/// One program in one pseudo-terminal.
pub(crate) struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Arc<Mutex<Box<dyn Write + Send>>>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    /// Where the program keeps logs and reports.
    pub(crate) home: tempfile::TempDir,
}

fn cells(n: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(n).unwrap()
}

/// The program under test.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_cmp-console"))
}

impl Pty {
    /// Starts `cmp-console` with `arguments`.
    pub(crate) fn start(arguments: &[&str], columns: u16, rows: u16) -> Self {
        Self::start_by(&program().display().to_string(), arguments, columns, rows)
    }

    /// Starts any program in a pseudo-terminal.
    pub(crate) fn start_by(program: &str, arguments: &[&str], columns: u16, rows: u16) -> Self {
        Self::start_over(Line::default(), &[], program, arguments, columns, rows)
    }

    /// Starts any program in a pseudo-terminal over such a line, with `env` in its environment.
    pub(crate) fn start_over(
        line: Line,
        env: &[(&str, &str)],
        program: &str,
        arguments: &[&str],
        columns: u16,
        rows: u16,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env("HOME", home.path());
        command.env("XDG_STATE_HOME", home.path().join("state"));
        command.env("XDG_CONFIG_HOME", home.path().join("config"));
        command.env("TMPDIR", home.path());
        command.env_remove("NO_COLOR");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let parser = vt100::Parser::new(cells(rows), cells(columns), 0);
        let seen = Arc::new((
            Mutex::new(Seen {
                parser,
                bytes: 0,
                raw: Vec::new(),
                closed: false,
                stopped: false,
                open: false,
            }),
            Condvar::new(),
        ));
        let shared = Arc::clone(&seen);
        let keys = Arc::clone(&writer);
        std::thread::spawn(move || {
            // A slow line hands over little at a time.
            let mut buffer = vec![
                0;
                if line.bytes_per_second.is_some() {
                    256
                } else {
                    16 * 1024
                }
            ];
            let mut tail = Vec::new();
            loop {
                let idle = shared.0.lock().unwrap();
                drop(shared.1.wait_while(idle, |seen| seen.stopped).unwrap());
                let read = reader.read(&mut buffer).unwrap_or(0);
                if let Some(rate) = line.bytes_per_second {
                    let read = f64::from(u32::try_from(read).unwrap());
                    be_slow(Duration::from_secs_f64(read / f64::from(rate)));
                }
                let mut seen = shared.0.lock().unwrap();
                for byte in &buffer[..read] {
                    seen.parser.process(&[*byte]);
                    tail.push(*byte);
                    seen.open |= tail.ends_with(BEGINS);
                    if tail.ends_with(ASKED) {
                        tail.clear();
                        seen.open = false;
                        if line.answers {
                            let (row, column) = seen.parser.screen().cursor_position();
                            answer(
                                &keys,
                                line.round_trip,
                                format!("\x1b[{};{}R", row + 1, column + 1),
                            );
                        }
                    }
                }
                seen.bytes += read;
                seen.raw.extend_from_slice(&buffer[..read]);
                seen.closed = read == 0;
                shared.1.notify_all();
                if seen.closed {
                    return;
                }
            }
        });
        Self {
            master: Some(pair.master),
            writer,
            child,
            seen,
            home,
        }
    }

    /// Types keys, as they are sent by a terminal.
    pub(crate) fn send(&mut self, keys: &str) {
        let mut writer = self.writer.lock().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Types keys one after another, as fast as a hand can: what comes faster is a paste.
    pub(crate) fn types(&mut self, keys: &str) {
        for key in keys.chars() {
            be_slow(HAND);
            self.send(&key.to_string());
        }
    }

    /// Types a few keys as fast as a hand can, before what they are for is on the screen.
    pub(crate) fn types_ahead(&mut self, keys: &str) {
        for key in keys.chars() {
            be_slow(FAST_HAND);
            self.send(&key.to_string());
        }
    }

    /// Presses `y` as somebody does who has read what it confirms.
    pub(crate) fn confirm(&mut self) {
        be_slow(READS);
        self.send("y");
    }

    /// Stops the terminal, which takes nothing then, or lets it go on.
    pub(crate) fn stop(&self, stopped: bool) {
        self.seen.0.lock().unwrap().stopped = stopped;
        self.seen.1.notify_all();
    }

    /// Presses keys as somebody does who has seen what came of a paste.
    pub(crate) fn answers_paste(&mut self, keys: &str) {
        be_slow(READS);
        self.send(keys);
    }

    /// The process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        let id = i32::try_from(self.child.process_id().unwrap()).unwrap();
        rustix::process::Pid::from_raw(id).unwrap()
    }

    /// What `look` makes of the screen.
    pub(crate) fn with_screen<T>(&self, look: impl Fn(&vt100::Screen) -> T) -> T {
        look(self.seen.0.lock().unwrap().parser.screen())
    }

    /// The screen's text.
    pub(crate) fn screen(&self) -> String {
        self.seen.0.lock().unwrap().parser.screen().contents()
    }

    /// Whether the program has the alternate screen.
    pub(crate) fn is_alternate(&self) -> bool {
        self.seen.0.lock().unwrap().parser.screen().alternate_screen()
    }

    /// Bytes that the program has written so far.
    pub(crate) fn bytes(&self) -> usize {
        self.seen.0.lock().unwrap().bytes
    }

    /// Waits until the screen is as wanted; gives it.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_within(LIMIT, what, wanted)
    }

    /// The same with another limit.
    pub(crate) fn wait_within(&self, limit: Duration, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + limit;
        let (lock, changed) = &*self.seen;
        let mut seen = lock.lock().unwrap();
        loop {
            let screen = seen.parser.screen().contents();
            if !seen.open && wanted(&screen) {
                return screen;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !seen.closed,
                "waited in vain for {what}; on screen:\n{screen}"
            );
            (seen, _) = changed.wait_timeout(seen, left).unwrap();
        }
    }

    /// Waits for a text.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait(&format!("`{text}`"), |screen| screen.contains(text))
    }

    /// Whether the program has ever written this text, wherever.
    pub(crate) fn ever_wrote(&self, text: &str) -> bool {
        let seen = self.seen.0.lock().unwrap();
        seen.raw.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    }

    /// Sends text without brackets, so many bytes at once with this time between, as serial lines and terminals
    /// without bracketed paste do.
    pub(crate) fn sends_bare(&mut self, text: &str, at_once: usize, between: Duration) {
        for packet in text.as_bytes().chunks(at_once) {
            let mut writer = self.writer.lock().unwrap();
            writer.write_all(packet).unwrap();
            writer.flush().unwrap();
            drop(writer);
            if !between.is_zero() {
                be_slow(between);
            }
        }
    }

    /// The processes that the program has started.
    pub(crate) fn children(&self) -> Vec<rustix::process::Pid> {
        let id = self.pid().as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let children = children.split_whitespace();
        children
            .filter_map(|id| rustix::process::Pid::from_raw(id.parse().unwrap()))
            .collect()
    }

    /// Bytes written within `time`, in which nobody types. Over a minute's end that is the header's time: [`CLOCK`].
    pub(crate) fn bytes_within(&self, time: Duration) -> usize {
        let before = self.bytes();
        let until = Instant::now() + time;
        let (lock, changed) = &*self.seen;
        let mut seen = lock.lock().unwrap();
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            (seen, _) = changed.wait_timeout(seen, left).unwrap();
        }
        seen.bytes - before
    }

    /// Another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.seen
            .0
            .lock()
            .unwrap()
            .parser
            .screen_mut()
            .set_size(cells(rows), cells(columns));
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    /// Whether the program ends within `limit`, whatever the terminal does.
    pub(crate) fn is_gone_within(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    /// Waits for the program's end within `limit`, and for the last that it wrote; gives its exit code.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> Option<u32> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                let (lock, changed) = &*self.seen;
                let left = until.saturating_duration_since(Instant::now());
                let seen = lock.lock().unwrap();
                drop(
                    changed
                        .wait_timeout_while(seen, left, |seen| !seen.closed)
                        .unwrap(),
                );
                return Some(status.exit_code());
            }
            std::thread::yield_now();
        }
        None
    }
}

/// A slow line is no condition to wait for, nor is a hand.
#[expect(
    clippy::disallowed_methods,
    reason = "the line or the hand is slow, nothing is waited for"
)]
fn be_slow(time: Duration) {
    std::thread::sleep(time);
}

/// Sends the terminal's answer, once it has come all the way.
fn answer(keys: &Arc<Mutex<Box<dyn Write + Send>>>, after: Duration, text: String) {
    let keys = Arc::clone(keys);
    let send = move || {
        // The program may be gone already.
        let mut keys = keys.lock().unwrap();
        drop(keys.write_all(text.as_bytes()).and_then(|()| keys.flush()));
    };
    if after.is_zero() {
        return send();
    }
    std::thread::spawn(move || {
        be_slow(after);
        send();
    });
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
