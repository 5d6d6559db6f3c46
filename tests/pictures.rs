//! The README's pictures, made from the real screens of the real program over the embedded platform:
//! `cargo test --test pictures -- --ignored` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/pty.rs"]
mod pty;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use pty::Pty;
use vt100::{Cell, Color, Screen};

/// Size of a cell in the picture.
const CELL: (usize, usize) = (8, 17);
/// After so long a screen on which nothing changes is as it stays.
const QUIET: Duration = Duration::from_millis(400);
/// The ground and the text on it.
const DARK: (&str, &str) = ("#16181d", "#d4d7dd");

fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/pictures")
}

#[test]
#[ignore = "it writes the README's pictures"]
fn the_pictures_are_made() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let state_words = state.display().to_string();
    let ports = [
        "--api-port",
        "0",
        "--vault-port",
        "0",
        "--agent-port",
        "0",
        "--tls-port",
        "0",
    ];
    let mut arguments = vec!["demo", "--state", &state_words];
    arguments.extend(ports);
    let mut pty = Pty::start(&arguments, 120, 36);
    std::fs::create_dir_all(pictures()).unwrap();
    pty.wait("triage, with every pane", |screen| {
        is_whole(screen) && screen.contains("Audit 5") && screen.contains("Agents 15")
    });
    picture(&pty, "triage");
    pty.send("u");
    pty.wait_for("(typed or pasted, never shown):");
    for n in 1..=3 {
        let share = format!("Share {n} of 3");
        pty.wait_for(&share);
        pty.types("\t");
        pty.wait("the demo's share", |screen| {
            screen.contains(&share) && screen.contains(" characters")
        });
        pty.types("\r");
    }
    pty.wait("the end, and that the issuer goes on", |screen| {
        screen.contains("DONE: unsealed") && !screen.contains("issuer paused")
    });
    picture(&pty, "proof");
    pty.send("\x1b");
    // One that nothing is under way for: it is served, so that there is something to break.
    pty.types("2/blog host:web-01\r");
    pty.wait("one certificate", |screen| {
        screen.contains("Certificates 1")
            && screen.contains("blog.example.com")
            && !screen.contains("auth.example.com")
    });
    pty.send("X");
    let plan = pty.wait_for("the last four of the serial");
    assert!(
        plan.contains("served now: clients that check revocation"),
        "{plan}"
    );
    picture(&pty, "plan");
    pty.send("\x1b");
    pty.wait_for("cancelled");
    pty.send("8");
    pty.wait_for("<84d");
    picture(&pty, "trends");
    pty.send("q");
}

/// Every pane has its answer: the console's own finding, of a sealed Vault, is there before the platform's.
fn is_whole(screen: &str) -> bool {
    let findings = screen
        .lines()
        .find(|line| line.contains("── Findings "))
        .unwrap_or_default();
    let counts: Vec<&str> = findings.split_whitespace().skip(2).collect();
    let n = |word: &str| {
        let at = counts.iter().position(|it| *it == word)?;
        counts.get(at.checked_sub(1)?)?.parse::<usize>().ok()
    };
    let all = counts.first().and_then(|it| it.parse::<usize>().ok());
    let each = n("critical")
        .zip(n("warning"))
        .map(|(critical, warning)| critical + warning);
    all.zip(each).is_some_and(|(all, each)| each > 8 && each <= all)
        && screen.contains("account.example.com")
        && !screen.contains("asking…")
}

/// The screen once nothing is written to it any more.
fn picture(pty: &Pty, name: &str) {
    while pty.bytes_within(QUIET) > 0 {}
    let svg = pty.with_screen(svg);
    std::fs::write(pictures().join(format!("{name}.svg")), svg).unwrap();
}

/// The screen as SVG: a rectangle where the ground differs, and runs of text that look the same.
fn svg(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (usize::from(rows.get()), usize::from(columns.get()));
    let (width, height) = (columns * CELL.0 + 16, rows * CELL.1 + 16);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, \
         'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{}\"/>\n",
        DARK.0
    );
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let first = look(screen, row, column);
            let mut text = String::new();
            let from = column;
            while column < columns && look(screen, row, column) == first {
                text.push_str(&symbol(screen, row, column));
                column += 1;
            }
            run(&mut out, (row, from, column - from), &text, &first);
        }
    }
    out.push_str("</svg>\n");
    out
}

/// How a cell looks.
#[derive(PartialEq)]
struct Look {
    text: &'static str,
    ground: Option<&'static str>,
    bold: bool,
    dim: bool,
    underlined: bool,
}

fn cell(screen: &Screen, row: usize, column: usize) -> Option<&Cell> {
    screen.cell(u16::try_from(row).unwrap(), u16::try_from(column).unwrap())
}

fn symbol(screen: &Screen, row: usize, column: usize) -> String {
    let text = cell(screen, row, column).map(|cell| cell.contents().to_owned());
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| " ".to_owned())
}

fn look(screen: &Screen, row: usize, column: usize) -> Look {
    let plain = Look {
        text: DARK.1,
        ground: None,
        bold: false,
        dim: false,
        underlined: false,
    };
    let Some(cell) = cell(screen, row, column) else {
        return plain;
    };
    let text = match cell.fgcolor() {
        Color::Idx(1 | 9) => "#ff6b6b",
        Color::Idx(2 | 10) => "#7fd88f",
        Color::Idx(3 | 11) => "#ffc857",
        Color::Idx(6 | 14) => "#6ec6ff",
        _ => DARK.1,
    };
    let (text, ground) = match cell.inverse() {
        true => (DARK.0, Some(text)),
        false => (text, None),
    };
    Look {
        text,
        ground,
        bold: cell.bold(),
        dim: cell.dim(),
        underlined: cell.underline(),
    }
}

fn run(out: &mut String, (row, column, n): (usize, usize, usize), text: &str, look: &Look) {
    let (x, y) = (8 + column * CELL.0, 8 + row * CELL.1);
    let width = n * CELL.0;
    if let Some(ground) = look.ground {
        writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" fill=\"{ground}\"/>",
            CELL.1
        )
        .unwrap();
    }
    // Bars are drawn, and words stand where they stand, whatever the font's width.
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let eighths = "▁▂▃▄▅▆▇█".chars().position(|c| c == chars[at]);
        let same = |c: char| "▁▂▃▄▅▆▇█".contains(c);
        if let Some(eighths) = eighths {
            let n = chars[at..].iter().take_while(|c| **c == chars[at]).count();
            let height = CELL.1 * (eighths + 1) / 8;
            writeln!(
                out,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\" fill=\"{}\"/>",
                x + at * CELL.0,
                y + CELL.1 - height,
                n * CELL.0,
                look.text
            )
            .unwrap();
            at += n;
        } else if chars[at] == ' ' {
            at += 1;
        } else {
            let rest = &chars[at..];
            let ends = |(index, c): (usize, &char)| {
                same(*c) || *c == ' ' && rest.get(index + 1).is_none_or(|next| *next == ' ')
            };
            let n = rest.iter().enumerate().position(ends).unwrap_or(rest.len());
            let words: String = rest[..n].iter().collect();
            write(out, (x + at * CELL.0, y), &words, n, look);
            at += n;
        }
    }
}

fn write(out: &mut String, (x, y): (usize, usize), text: &str, n: usize, look: &Look) {
    let width = n * CELL.0;
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let bold = if look.bold { " font-weight=\"bold\"" } else { "" };
    let dim = if look.dim { " opacity=\"0.6\"" } else { "" };
    let underlined = if look.underlined {
        " text-decoration=\"underline\""
    } else {
        ""
    };
    writeln!(
        out,
        "<text x=\"{x}\" y=\"{}\" textLength=\"{width}\" xml:space=\"preserve\" fill=\"{}\"{bold}{dim}{underlined}>{text}</text>",
        y + 13,
        look.text
    )
    .unwrap();
}

#[test]
fn every_picture_of_the_readme_is_there_and_nothing_else() {
    let readme = include_str!("../README.md");
    let shown: Vec<&str> = readme
        .split("](docs/pictures/")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    assert!(!shown.is_empty());
    let mut there: Vec<String> = std::fs::read_dir(pictures())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    let mut named = shown.clone();
    named.sort_unstable();
    assert_eq!(named, there);
}
