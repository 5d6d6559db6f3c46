//! The real program in a pseudo-terminal: keys in, screen out. It waits for what is on the screen,
//! never for time.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long a condition may take to come about before a test fails.
const LIMIT: Duration = Duration::from_secs(30);

struct Seen {
    parser: vt100::Parser,
    bytes: usize,
    closed: bool,
}

/// One program in one pseudo-terminal.
pub(crate) struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
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
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(cells(rows), cells(columns), 0);
        let seen = Arc::new((
            Mutex::new(Seen {
                parser,
                bytes: 0,
                closed: false,
            }),
            Condvar::new(),
        ));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let mut seen = shared.0.lock().unwrap();
                seen.parser.process(&buffer[..read]);
                seen.bytes += read;
                seen.closed = read == 0;
                shared.1.notify_all();
                if seen.closed {
                    return;
                }
            }
        });
        Self {
            master: Some(pair.master),
            writer: Some(writer),
            child,
            seen,
            home,
        }
    }

    /// Types keys, as they are sent by a terminal.
    pub(crate) fn send(&mut self, keys: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
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
            if wanted(&screen) {
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

    /// Bytes written within `time`, in which nobody types.
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

impl Drop for Pty {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
