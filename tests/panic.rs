//! A panic: the terminal is given back, and the person is told where the report is. The panicking program
//! is this test itself, started once more in a pseudo-terminal, over the console's own hook.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/pty.rs"]
mod pty;

use std::time::Duration;

use cmp_console::console::defects::install_panic_hook;
use cmp_console::console::terminal::Terminal;
use pty::Pty;

/// The part that panics; it does nothing unless it was started by the test below.
#[test]
#[ignore = "it is started by the other test"]
fn the_program_that_panics() {
    let reports = std::env::var_os("HOME").unwrap();
    install_panic_hook(reports.into());
    let mut terminal = Terminal::open().unwrap();
    let area = ratatui::layout::Rect::new(0, 0, 80, 24);
    let mut frame = ratatui::buffer::Buffer::empty(area);
    frame.set_string(0, 0, "a console", ratatui::style::Style::new());
    terminal.painter().show(frame, 0).unwrap();
    panic!("a defect for the test");
}

/// The part whose task panics, on the console's own thread as most tasks run; it goes on.
#[test]
#[ignore = "it is started by the other test"]
fn the_program_whose_task_panics() {
    let reports = std::env::var_os("HOME").unwrap();
    install_panic_hook(reports.into());
    let mut terminal = Terminal::open().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let task = runtime.block_on(async { tokio::spawn(async { panic!("a defect of a task") }).await });
    assert!(task.is_err_and(|error| error.is_panic()));
    let area = ratatui::layout::Rect::new(0, 0, 80, 24);
    let mut frame = ratatui::buffer::Buffer::empty(area);
    frame.set_string(0, 0, "it goes on", ratatui::style::Style::new());
    terminal.painter().show(frame, 0).unwrap();
    // Until the test has seen it, and presses a key. The terminal's answer to the frame comes on the same way.
    let mut key = [0; 1];
    while key != *b"s" {
        std::io::Read::read_exact(&mut std::io::stdin(), &mut key).unwrap();
    }
}

#[test]
fn a_panic_of_a_task_leaves_the_terminal_to_the_console_that_goes_on() {
    let itself = std::env::current_exe().unwrap().display().to_string();
    let arguments = [
        "--ignored",
        "--exact",
        "the_program_whose_task_panics",
        "--nocapture",
    ];
    let mut pty = Pty::start_by(&itself, &arguments, 100, 24);
    pty.wait_for("it goes on");
    assert!(pty.is_alternate(), "the console's screen is still there");
    assert!(!pty.screen().contains("the report is"), "{}", pty.screen());
    // Raw mode: without a line's end, and without an echo.
    pty.send("s");
    assert_eq!(pty.ended_within(Duration::from_secs(10)), Some(0));
    let reports = std::fs::read_dir(pty.home.path()).unwrap();
    let is_report = |name: &str| name.starts_with("panic-");
    let names = reports.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| is_report(name)).count(), 1);
}

#[test]
fn a_panic_gives_the_terminal_back_and_says_where_the_report_is() {
    let itself = std::env::current_exe().unwrap().display().to_string();
    let arguments = ["--ignored", "--exact", "the_program_that_panics", "--nocapture"];
    let mut pty = Pty::start_by(&itself, &arguments, 100, 24);
    let screen = pty.wait_for("the report is");
    assert!(
        !screen.contains("a console"),
        "the console's screen is gone: {screen}"
    );
    assert!(!pty.is_alternate(), "the main screen is back");
    assert_ne!(pty.ended_within(Duration::from_secs(10)), None);
    let report = std::fs::read_dir(pty.home.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("panic-"))
        .unwrap();
    let report = std::fs::read_to_string(report).unwrap();
    assert!(
        report.contains("a defect for the test") && report.contains("panic.rs"),
        "{report}"
    );
}
