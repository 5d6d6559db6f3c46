//! The console as people use it: the real program, in a pseudo-terminal, over the embedded platform.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[path = "pty/hang_up.rs"]
mod hang_up;
#[path = "support/port.rs"]
mod port;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/pty.rs"]
mod pty;

use cmp_console::clock::Clock;
use std::path::Path;
use std::time::Duration;

use pty::Pty;

const FREE_PORTS: [&str; 8] = [
    "--api-port",
    "0",
    "--vault-port",
    "0",
    "--agent-port",
    "0",
    "--tls-port",
    "0",
];

fn demo(state: &Path, columns: u16, rows: u16) -> Pty {
    // A machine that is busy with other tests is no slow link: these look for frames and colours.
    let config = state.with_extension("toml");
    std::fs::write(&config, "[look]\nslow_link = \"never\"\n").unwrap();
    let (state, config) = (state.display().to_string(), config.display().to_string());
    let mut arguments = vec!["--config", &config, "demo", "--state", &state];
    arguments.extend(FREE_PORTS);
    Pty::start(&arguments, columns, rows)
}

fn shares(state: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(state.join("demo-secrets.json")).unwrap();
    let secrets: serde_json::Value = serde_json::from_str(&text).unwrap();
    secrets["unseal_keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap().to_owned())
        .collect()
}

/// Every pane holds data.
fn is_full(screen: &str) -> bool {
    ["Findings ", "Certificates ", "Agents ", "Requests ", "Audit "]
        .iter()
        .all(|title| {
            screen
                .split(title)
                .skip(1)
                .any(|after| after.starts_with(|c: char| c.is_ascii_digit()))
        })
}

fn unseal(pty: &mut Pty, state: &Path) {
    pty.wait_for("is sealed (0 of 3 shares)");
    pty.send("u");
    // Nothing is typed but shares; where they are is said before.
    pty.wait_for("demo-secrets.json");
    pty.wait_for("Share 1 of 3 (typed or pasted, never shown):");
    let shares = shares(state);
    // Pasted, with brackets and without.
    for (index, share) in shares.iter().take(3).enumerate() {
        let entered = format!("{index} of 3 shares");
        pty.wait("the shares so far", |screen| {
            screen.contains(&entered) && !screen.contains(" characters")
        });
        match index {
            0 => pty.send(&format!("{share}\r")),
            _ => pty.send(&format!("\x1b[200~\"{share}\",\n\x1b[201~")),
        }
        pty.wait_for(&format!("{} characters", share.len()));
        pty.answers_paste("\r");
    }
    let screen = pty.wait_for("DONE: unsealed, and a test certificate was issued");
    for share in &shares {
        assert!(!screen.contains(share.as_str()));
    }
    pty.send("\x1b");
    pty.wait("the finding to be gone", |screen| {
        !screen.contains("is sealed") && !screen.contains("DONE")
    });
}

/// What somebody else does to the seal: an HTTP request of the test's own.
fn put(address: &str, path: &str, body: &serde_json::Value) {
    use std::io::{Read, Write};
    let body = body.to_string();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "PUT /v1/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn what_others_do_to_the_seal_is_seen_while_a_share_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let mut pty = demo(&state, 120, 40);
    pty.wait_for("is sealed (0 of 3 shares)");
    pty.send("u");
    let screen = pty.wait_for("(typed or pasted, never shown):");
    let address = screen.split("Vault at http://").nth(1).unwrap();
    let address = address.split_whitespace().next().unwrap();
    let shares = shares(&state);
    pty.send(&shares[0]);
    pty.wait_for(" characters");
    pty.types("\r");
    pty.wait_for("sealed, 1 of 3 shares");
    put(address, "sys/unseal", &serde_json::json!({"key": shares[1]}));
    pty.wait_for("somebody else entered a share; sealed, 2 of 3 shares");
    put(address, "sys/unseal", &serde_json::json!({"reset": true}));
    pty.wait_for("somebody else reset the unseal attempt; sealed, 0 of 3 shares");
    for share in &shares[..3] {
        put(address, "sys/unseal", &serde_json::json!({"key": share}));
    }
    pty.wait_for("DONE: unsealed, and a test certificate was issued");
}

/// Moves the cursor to the first row on screen that holds `text`.
fn cursor_to(pty: &mut Pty, text: &str) {
    for _ in 0..60 {
        let before = pty.wait(&format!("a row with `{text}`"), |screen| screen.contains(text));
        let at = |wanted: &dyn Fn(&str) -> bool| before.lines().position(wanted);
        let cursor = at(&|line| line.starts_with('>'));
        let cursor = cursor.unwrap_or_else(|| panic!("no cursor; on screen:\n{before}"));
        match at(&|line| line.contains(text)).unwrap().cmp(&cursor) {
            std::cmp::Ordering::Equal => return,
            std::cmp::Ordering::Less => pty.send("k"),
            std::cmp::Ordering::Greater => pty.send("j"),
        }
        pty.wait("the cursor to move", |screen| screen != before);
    }
    panic!("no row with `{text}`; on screen:\n{}", pty.screen());
}

#[test]
fn the_first_frame_comes_before_the_platform_and_every_pane_is_filled() {
    for (columns, rows) in [(120, 40), (80, 24)] {
        let home = tempfile::tempdir().unwrap();
        let mut pty = demo(&home.path().join("state"), columns, rows);
        pty.wait_for("Findings");
        pty.wait("all panes to hold data", is_full);
        pty.send("?");
        pty.wait_for("have the CA revoke the certificate");
        pty.send("\x1b");
        pty.wait("help to be closed", |screen| {
            !screen.contains("have the CA revoke")
        });
        pty.resize(30, 8);
        pty.wait_for("is too small");
        pty.resize(columns, rows);
        pty.wait("all panes again", is_full);
        pty.send("q");
        assert_eq!(
            pty.ended_within(Duration::from_secs(10)),
            Some(0),
            "on screen:\n{}",
            pty.screen()
        );
    }
}

#[test]
fn each_action_by_keys_alone_from_trouble_to_proof() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let mut pty = demo(&state, 160, 50);
    pty.wait("all panes to hold data", is_full);

    // u: the sealed Vault.
    unseal(&mut pty, &state);

    // r: the certificate that expired in use.
    pty.wait_for("critical");
    cursor_to(&mut pty, "expired");
    let subject = row_word(&pty.screen(), "expired");
    pty.send("r");
    pty.wait(&format!("the plan for {subject}"), |s| {
        s.contains(&format!("Reissue {subject}")) && s.contains("press y")
    });
    pty.confirm();
    pty.wait_for("DONE:");
    assert!(pty.screen().contains("serves the new certificate"));
    pty.send("\x1b");
    pty.wait("its finding to be gone", |screen| {
        !screen
            .lines()
            .any(|line| line.contains(&subject) && line.contains("expired"))
    });

    // i: renewed on disk, still the old one served.
    cursor_to(&mut pty, "i install");
    let subject = row_word(&pty.screen(), "i install");
    pty.send("i");
    pty.wait(&format!("the plan for {subject}"), |s| {
        s.contains(&format!("Install {subject}")) && s.contains("press y")
    });
    pty.confirm();
    pty.wait_for("DONE:");
    pty.send("\x1b");
    pty.wait("its finding to be gone", |screen| {
        !screen.contains("DONE")
            && !screen
                .lines()
                .any(|line| line.contains(&subject) && line.contains("i install"))
    });

    // c: the agent that is truly gone says which step of reaching it failed.
    cursor_to(&mut pty, "WARN vpn-01 ");
    pty.send("c");
    pty.wait_for("FAILED: connect failed:");
    pty.wait_for("what to do");
    pty.send("\x1b");
    pty.wait("the result to be closed", |screen| !screen.contains("what to do"));

    // c: the agent that stopped checking in, but answers.
    let silent = |line: &str| line.contains("c checkin") && !line.contains("vpn-01");
    let row = pty.wait("a silent agent", |screen| screen.lines().any(silent));
    let row = row.lines().find(|line| silent(line)).unwrap();
    let subject = row.split_whitespace().find(|word| word.contains('-')).unwrap();
    cursor_to(&mut pty, &format!("WARN {subject} "));
    pty.send("c");
    pty.wait("it to have checked in", |screen| {
        screen.contains(&format!("Check-in of {subject}: {subject} checked in at"))
    });
    pty.wait("its finding to be gone", |screen| {
        !screen
            .lines()
            .any(|line| line.contains(subject) && line.contains("c checkin"))
    });

    // X: any certificate that is in use, by its serial, with a reason.
    pty.send("2");
    pty.wait_for("Certificates");
    pty.wait("rows", |screen| screen.contains("active"));
    cursor_to(&mut pty, "active");
    pty.send("X");
    let screen = pty.wait_for("Type the last four of the serial");
    let phrase = screen
        .split("the last four of the serial (")
        .nth(1)
        .unwrap()
        .get(..4)
        .unwrap()
        .to_owned();
    pty.send("\r");
    pty.wait_for("to go on, or esc to cancel");
    pty.types(&format!("{phrase}\r"));
    pty.wait_for("DONE: serial");
    assert!(pty.screen().contains("is in the CRL"));
    pty.send("\x1b");
    pty.wait("the dialog to be closed", |s| {
        s.contains("revoked") && !s.contains("DONE")
    });

    // What was done is in the command log, without secrets.
    pty.send("@");
    let screen = pty.wait_for("vault operator unseal <share>");
    for wanted in ["/revoke", "/reissue", "/install", "/checkin"] {
        assert!(screen.contains(wanted), "{wanted} is missing:\n{screen}");
    }
    pty.send("q");
    assert_eq!(pty.ended_within(Duration::from_secs(10)), Some(0));
}

/// The name in the row that has the cursor and holds `text`.
fn row_word(screen: &str, text: &str) -> String {
    let row = screen
        .lines()
        .find(|line| line.contains('>') && line.contains(text))
        .unwrap();
    row.split_whitespace()
        .find(|word| word.contains('-') || word.contains('.'))
        .unwrap()
        .to_owned()
}

#[test]
fn what_is_not_a_terminal_is_told_so() {
    let output = std::process::Command::new(pty::program())
        .arg("demo")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("terminal"));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_wrong_configuration_leaves_the_terminal_untouched() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, "[contexts.x]\napi = \"http://a\"\nvualt = \"http://v\"\n").unwrap();
    let file = file.display().to_string();
    let mut pty = Pty::start(&["--config", &file], 100, 30);
    assert_eq!(pty.ended_within(Duration::from_secs(10)), Some(2));
    let screen = pty.screen();
    assert!(
        screen.contains("line 3") && screen.contains("vualt") && screen.contains("vault"),
        "{screen}"
    );
}

#[test]
fn keys_that_clash_are_refused_with_their_line_and_both_names() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    let text = "[contexts.x]\napi = \"http://a\"\nvault = \"http://v\"\n\n[keys]\ncopy = [\"ctrl-y\"]\ninstall = [\"X\"]\n";
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let mut pty = Pty::start(&["--config", &file], 160, 30);
    assert_eq!(pty.ended_within(Duration::from_secs(10)), Some(2));
    let screen = pty.screen();
    assert!(
        screen.contains("line 7") && screen.contains("`X` would mean both `revoke` and `install`"),
        "{screen}"
    );
}

#[test]
fn half_an_escape_sequence_is_no_escape() {
    let home = tempfile::tempdir().unwrap();
    let mut pty = demo(&home.path().join("state"), 120, 40);
    pty.wait_for("is sealed (0 of 3 shares)");
    pty.send("u");
    pty.wait_for("(typed or pasted, never shown):");
    // An arrow in two packets, as a laggy link brings it.
    pty.send("\x1b");
    pty.send("[A");
    pty.types("ab");
    pty.wait_for("never shown): 2 characters");
    // The demo's own share, with one key, in the place of what was typed.
    pty.types("\t");
    pty.wait("a share of the demo's", |screen| {
        screen.contains(" characters") && !screen.contains(": 2 characters")
    });
    pty.send("\x1b");
    pty.wait_for("no share was entered");
    pty.send("\x1b");
    pty.wait("the dialog to be closed", |screen| {
        !screen.contains("no share was entered")
    });
    pty.send("q");
    assert_eq!(pty.ended_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn at_rest_only_the_time_is_written_once_a_minute() {
    let home = tempfile::tempdir().unwrap();
    let mut pty = demo(&home.path().join("state"), 120, 40);
    pty.wait("all panes to hold data", is_full);
    // What the start still brings is over when a while has passed without a byte.
    let mut quiet = false;
    for _ in 0..20 {
        quiet = pty.bytes_within(Duration::from_secs(3)) == 0;
        if quiet {
            break;
        }
    }
    assert!(quiet, "it never came to rest:\n{}", pty.screen());
    // Over the end of a minute: then the header shows the new one, and nothing else is written.
    let minute = || Clock::system().now().format("%H:%MZ").to_string();
    let before = minute();
    let mut written = 0;
    while minute() == before {
        written += pty.bytes_within(Duration::from_secs(1));
    }
    written += pty.bytes_within(Duration::from_secs(3));
    let shown = pty.screen();
    assert!(
        shown.lines().next().unwrap().contains(&minute()),
        "{} {shown}",
        minute()
    );
    // A certificate's hours may end with the minute too.
    assert!(
        (1..=4 * pty::CLOCK).contains(&written),
        "{written} bytes\n{shown}"
    );
    pty.send("q");
    assert_eq!(pty.ended_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn from_a_clue_to_everything_that_shares_the_key_and_what_is_served_there_now() {
    let home = tempfile::tempdir().unwrap();
    let mut pty = demo(&home.path().join("state"), 120, 40);
    pty.wait("all panes to hold data", is_full);
    pty.types(":find www.example.com expires:>1d\r");
    let screen = pty.wait("a handshake with each place", |screen| {
        screen.contains("where it is used") && screen.contains("as expected") && !screen.contains("asking…")
    });
    assert!(screen.contains("1 still valid, in 1 place on 1 host"), "{screen}");
    // And back to the list that the clue led through.
    pty.send("[");
    pty.wait_for("/www.example.com");
    pty.wait("the certificate", |screen| screen.contains(">www.example.com"));
    pty.send("yi");
    pty.wait_for("copied crt_");
    pty.send("8");
    pty.wait_for("Issuance over the last day");
    pty.send("\r");
    pty.wait_for("/expires:<0h");
    pty.send("q");
    assert_eq!(pty.ended_within(Duration::from_secs(10)), Some(0));
}

/// Has the next swap of the files of `site`, wherever they are, fail; gives what is in the way.
fn obstacle(state: &Path, site: &str) -> std::path::PathBuf {
    let hosts = std::fs::read_dir(state.join("agents")).unwrap().flatten();
    let mut dirs = hosts.map(|host| host.path().join("tls"));
    let dir = dirs.find(|dir| dir.join(format!("{site}.pem")).exists()).unwrap();
    let obstacle = dir.join(".cmp").join(site).join("unproven");
    std::fs::create_dir_all(&obstacle).unwrap();
    obstacle
}

#[test]
fn the_key_of_a_failed_installation_installs_the_replacement() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let mut pty = demo(&state, 160, 50);
    pty.wait("all panes to hold data", is_full);
    unseal(&mut pty, &state);
    let obstacle = obstacle(&state, "www.example.com");
    // `…ab:cd:ef:01   ends 27 Feb 2027 19:12Z`, of the certificate that a plan is about.
    let facts = |screen: &str| {
        let mut lines = screen.lines();
        let line = lines.find(|line| line.contains("serial …") && line.contains("   ends "));
        line.unwrap().rsplit_once("serial ").unwrap().1.to_owned()
    };
    pty.types(":find www.example.com expires:>1d\r");
    pty.wait_for("where it is used");
    pty.send("[");
    pty.wait("the certificate", |screen| screen.contains(">www.example.com"));
    pty.send("i");
    pty.wait("the plan for what is there", |s| {
        s.contains("   ends ") && s.contains("press y")
    });
    let old = facts(&pty.screen());
    pty.send("\x1b");
    pty.wait("the plan to be closed", |screen| !screen.contains("press y"));
    pty.send("r");
    pty.wait_for("Reissue www.example.com");
    pty.wait_for("press y");
    pty.confirm();
    pty.wait_for("FAILED:");
    pty.send("\x1b");
    pty.wait("the result to be closed", |screen| !screen.contains("what to do"));

    // The finding is about the replacement, which is what its key installs.
    pty.send("1");
    pty.wait_for("could not be installed and");
    cursor_to(&mut pty, "could not be installed and");
    pty.wait("its key", |screen| {
        let row = screen
            .lines()
            .find(|line| line.starts_with('>'))
            .unwrap_or_default();
        row.contains("www.example.com") && row.contains("i install")
    });
    pty.send("i");
    pty.wait("the plan for the replacement", |s| {
        s.contains("   ends ") && s.contains("press y")
    });
    let new = facts(&pty.screen());
    let [old_end, new_end] = [&old, &new].map(|it| it.split_once("   ends ").unwrap().1.to_owned());
    let serial = new.split_whitespace().next().unwrap();
    assert!(
        !old.contains(serial) && new_end != old_end,
        "{old} before, {new} now"
    );
    std::fs::remove_dir(&obstacle).unwrap();
    pty.confirm();
    pty.wait_for("DONE:");
    pty.send("\x1b");
    pty.wait("its finding to be gone", |screen| {
        !screen.contains("DONE") && !screen.contains("could not be installed")
    });
    pty.send("q");
    assert_eq!(pty.ended_within(Duration::from_secs(10)), Some(0));
}
