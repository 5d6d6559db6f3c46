//! The console over bad links and in hostile terminals: what is typed too early is dropped, what is out of
//! date is never sent, and nothing holds it up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic, and says what it measured"
)]

#[path = "demo/mod.rs"]
mod demo;
#[path = "link/forgetful.rs"]
mod forgetful;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/pty.rs"]
mod pty;

use std::time::Duration;

use demo::Demo;
use forgetful::Forgetful;
use pty::{Line, Pty};
use rustix::process::{Signal, kill_process};

/// How long a terminal takes nothing.
const BLOCKED: Duration = Duration::from_mins(1);

/// What a link of 25 KB/s carries in 200 ms.
const IN_TIME: usize = 5_000;

/// A console over a platform of its own.
struct Over {
    demo: Demo,
    pty: Pty,
    _home: tempfile::TempDir,
}

fn console(line: Line, columns: u16, rows: u16) -> Over {
    console_with(line, columns, rows, "")
}

fn console_with(line: Line, columns: u16, rows: u16, context: &str) -> Over {
    console_by(line, columns, rows, context, |backend| backend)
}

/// Hands with another way to API and Vault.
fn console_by(
    line: Line,
    columns: u16,
    rows: u16,
    context: &str,
    mut way: impl FnMut(String) -> String,
) -> Over {
    let home = tempfile::tempdir().unwrap();
    let demo = Demo::start(home.path(), None);
    let config = home.path().join("config.toml");
    let (api, vault) = (way(demo.text("/api")), way(demo.text("/vault")));
    let text = format!(
        "default_context = \"night\"\n[contexts.night]\napi = \"{api}\"\nvault = \"{vault}\"\n{context}\n"
    );
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let (token, vault_token) = (demo.text("/operator_token"), demo.text("/vault_root_token"));
    let env = [
        ("CMP_TOKEN", token.as_str()),
        ("VAULT_TOKEN", vault_token.as_str()),
    ];
    let program = pty::program().display().to_string();
    let pty = Pty::start_over(line, &env, &program, &["--config", &config], columns, rows);
    pty.wait_for("is sealed (0 of 3 shares)");
    Over {
        demo,
        pty,
        _home: home,
    }
}

fn slow() -> Line {
    Line {
        bytes_per_second: Some(25_000),
        ..Line::default()
    }
}

#[test]
fn what_is_typed_before_a_plan_is_on_screen_confirms_nothing() {
    for answers in [true, false] {
        let line = Line {
            round_trip: Duration::from_millis(400),
            answers,
            ..Line::default()
        };
        let mut over = console(line, 120, 40);
        over.pty.send("2");
        over.pty.wait("rows", |screen| {
            screen.contains("replaced hidden") && screen.contains("active")
        });
        over.pty.send("G");
        over.pty.wait_for(">press.example.com");
        over.pty.types("X");
        let screen = over.pty.wait_for("Type the last four of the serial (");
        let phrase = screen.split("the last four of the serial (").nth(1).unwrap();
        let phrase = phrase.get(..4).unwrap().to_owned();
        // The terminal shows it, but what the person sees and what the program knows are two things.
        over.pty.types_ahead(&format!("{phrase}\r"));
        let screen = over.pty.wait_for("ignored: the dialog was not on screen yet");
        assert!(screen.contains("Type the last four"), "{screen}");
        // Typed again by somebody who sees it, it counts.
        let begun = |screen: &str| !screen.contains("Type the last four");
        for _ in 0..20 {
            // Who was told that it came too early looks first.
            while over.pty.bytes_within(Duration::from_secs(1)) > 0 {}
            over.pty.types(&format!("{phrase}\r"));
            if over.pty.bytes_within(Duration::from_secs(2)) > 0 && begun(&over.pty.screen()) {
                break;
            }
        }
        over.pty.wait("the run to begin", begun);
    }
}

#[test]
fn a_held_key_on_a_slow_link_leaves_nothing_behind_it() {
    let mut over = console(slow(), 80, 24);
    over.pty.send("5");
    over.pty.wait_for("outcome");
    let ids = 30;
    for _ in 0..ids {
        over.pty.send("j");
        over.pty.bytes_within(Duration::from_millis(30));
    }
    let released = over.pty.bytes();
    // When it has come to rest.
    while over.pty.bytes_within(Duration::from_millis(400)) > 0 {}
    let after = over.pty.bytes() - released;
    eprintln!("after the key's release: {after} bytes");
    assert!(after <= IN_TIME, "{after} bytes came after the key's release");
}

#[test]
fn a_slow_link_is_noticed_and_told() {
    let line = Line {
        round_trip: Duration::from_millis(450),
        ..slow()
    };
    let mut over = console(line, 120, 40);
    over.pty.wait_for("SLOW LINK ");
    over.pty
        .wait("frames in plain ASCII", |screen| !screen.contains('─'));
    over.pty.send("q");
    assert_eq!(over.pty.ended_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn a_gateway_that_closes_idle_connections_makes_nothing_look_down() {
    let mut gateways = Vec::new();
    let over = console_by(Line::default(), 120, 40, "", |backend| {
        let gateway = Forgetful::before(&backend);
        let address = gateway.address.clone();
        gateways.push(gateway);
        address
    });
    // Both are asked every five seconds.
    over.pty
        .wait_within(Duration::from_mins(2), "calls that were hung up on", |screen| {
            assert!(!screen.contains("DOWN"), "{screen}");
            gateways.iter().all(|gateway| gateway.n_hung_up() >= 2)
        });
    assert!(!over.pty.ever_wrote("DOWN"));
}

#[test]
fn a_terminal_that_takes_nothing_holds_up_nobody() {
    let mut over = console(Line::default(), 120, 40);
    over.pty.stop(true);
    for _ in 0..400 {
        over.pty.send("2jjj1jjj");
    }
    let stopped = over.pty.bytes();
    over.pty.bytes_within(BLOCKED);
    over.pty.send("3");
    over.pty.stop(false);
    over.pty.wait_for("last check-in");
    let after = over.pty.bytes() - stopped;
    eprintln!("after it went on: {after} bytes");
    assert!(after < 100_000, "{after} bytes had piled up");
    // And once more, for good.
    over.pty.stop(true);
    for _ in 0..400 {
        over.pty.send("2jjj1jjj");
    }
    over.pty.bytes_within(Duration::from_secs(4));
    kill_process(over.pty.pid(), Signal::TERM).unwrap();
    let ended = over.pty.is_gone_within(Duration::from_secs(1));
    assert!(ended, "it runs on though it was told to end");
}

#[test]
fn told_to_end_it_leaves_a_clean_terminal() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut over = console(Line::default(), 100, 30);
        assert!(over.pty.is_alternate());
        kill_process(over.pty.pid(), signal).unwrap();
        assert_eq!(
            over.pty.ended_within(Duration::from_secs(1)),
            Some(0),
            "{signal:?}"
        );
        over.pty.with_screen(|screen| {
            assert!(!screen.alternate_screen(), "{signal:?}");
            assert!(!screen.hide_cursor() && !screen.bracketed_paste(), "{signal:?}");
        });
    }
}

#[test]
fn what_is_pasted_outside_a_field_does_nothing_and_a_private_key_is_kept_nowhere() {
    let mut over = console(Line::default(), 120, 40);
    let paste = |text: &str| format!("\x1b[200~{text}\x1b[201~");
    over.pty.send(&paste("u\nunseal\ny\n"));
    over.pty.wait_for("pasted text was ignored: no field is open");
    // A line break that is pasted confirms nothing, and what is to be typed is typed.
    over.pty.answers_paste("2");
    over.pty.wait("rows", |screen| {
        screen.contains("replaced hidden") && screen.contains("active")
    });
    over.pty.send("G");
    over.pty.wait_for(">press.example.com");
    over.pty.types("X");
    let screen = over.pty.wait_for("Type the last four of the serial (");
    let phrase = screen.split("the last four of the serial (").nth(1).unwrap();
    let phrase = phrase.get(..4).unwrap().to_owned();
    while over.pty.bytes_within(Duration::from_millis(300)) > 0 {}
    over.pty.send(&paste(&format!("{phrase}\r\n")));
    let screen = over.pty.wait_for("a confirmation is typed");
    assert!(screen.contains("Type the last four"), "{screen}");
    over.pty.answers_paste("\x1b");
    over.pty.wait_for("cancelled");
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let secret = key.lines().nth(1).unwrap()[..40].to_owned();
    // On the command line its public half is a clue; the key itself is nowhere.
    let public = |screen: &str| screen.contains("find ");
    over.pty.send(":");
    over.pty.send(&paste(&key));
    let screen = over.pty.wait("the hash of its public half", public);
    assert!(!screen.contains(&secret), "{screen}");
    over.pty.answers_paste("\x1b");
    for opens in ["", "2/"] {
        over.pty.send(opens);
        over.pty.send(&paste(&key));
        let screen = over.pty.wait_for("a private key was pasted and dropped");
        assert!(!screen.contains(&secret), "{screen}");
        over.pty.answers_paste("\x1b");
    }
    over.pty.send("q");
    assert!(over.pty.ended_within(Duration::from_secs(10)).is_some());
    assert_eq!(kept(&over, &secret), None);
}

#[test]
fn what_a_paste_holds_behind_a_mark_of_its_own_end_does_nothing() {
    let mut over = console(Line::default(), 120, 40);
    over.pty.send("3");
    over.pty.wait_for("Agents ");
    for key in ["c", "f", "2", "q"] {
        over.pty
            .send(&format!("\x1b[200~serial 4f:0a:6e:25\x1b[201~{key}\x1b[201~"));
        over.pty.wait_for("1 key behind the paste ignored");
        // Esc takes the words away.
        over.pty.answers_paste("\x1b");
        over.pty.wait("the words to be gone", |screen| {
            !screen.contains("behind the paste ignored")
        });
        let screen = over.pty.screen();
        assert!(
            !screen.contains("FROZEN") && !screen.contains("Check-in of"),
            "{screen}"
        );
    }
    over.pty.send("q");
    assert_eq!(over.pty.ended_within(Duration::from_secs(10)), Some(0));
}

/// The first file under the person's home that has `text`.
fn kept(over: &Over, text: &str) -> Option<std::path::PathBuf> {
    let mut folders = vec![over.pty.home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).is_ok_and(|it| it.contains(text)) {
                return Some(path);
            }
        }
    }
    None
}

/// A line of any WireGuard file, and other words that say what is behind them.
#[test]
fn a_key_that_says_it_is_one_is_neither_on_the_screen_nor_in_the_snapshot() {
    let mut over = console(Line::default(), 120, 40);
    let secret = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
    let digits = "c8a0f93745fe9755c9b5ed78b638b7ce530dabe85ddab614220241801ddf0669";
    over.pty.send("2");
    over.pty.wait_for("night  Certificates");
    for line in [
        format!("PrivateKey = {secret}"),
        format!("Unseal Key 1: {secret}"),
        format!("export AES_KEY={secret}"),
        format!("certificate private key {digits}"),
    ] {
        over.pty.types("/");
        over.pty.send(&format!("\x1b[200~{line}\x1b[201~"));
        over.pty
            .wait_for("what was pasted was dropped: it may be a private key");
        over.pty.answers_paste("\r");
        over.pty.wait("the filter to be closed", |screen| {
            !screen.contains("may be a private key")
        });
    }
    assert!(!over.pty.ever_wrote(&secret[..20]) && !over.pty.ever_wrote(&digits[..20]));
    over.pty.send("q");
    assert_eq!(over.pty.ended_within(Duration::from_secs(10)), Some(0));
    // The snapshot is there, without it.
    assert!(kept(&over, "\"answers\"").is_some());
    for piece in [&secret[..20], &digits[..20]] {
        assert_eq!(kept(&over, piece), None);
    }
}

/// As few keys as people type ahead, all at once.
#[test]
fn a_short_paste_with_its_enter_moves_and_opens_no_gate() {
    let context =
        "[contexts.other]\napi = \"http://127.0.0.1:1\"\nvault = \"http://127.0.0.1:1\"\nprotected = true";
    let mut over = console_with(Line::default(), 120, 40, context);
    over.pty.send(":certs\r");
    over.pty.wait_for("night  Certificates");
    over.pty.types(":context other\r");
    over.pty.wait("the other context", |screen| {
        screen.contains(" other ") && screen.contains("locked")
    });
    over.pty.send(":unlock 1h A-1\r");
    let screen = over.pty.wait_for("press enter once more to run it");
    assert!(
        screen.contains("unlock 1h A-1") && !screen.contains("unlocked"),
        "{screen}"
    );
    over.pty.types("\r");
    over.pty.wait_for("unlocked until");
    over.pty.send("q");
    assert_eq!(over.pty.ended_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn a_paste_without_brackets_does_nothing_and_shows_no_key_at_any_speed() {
    let mut over = console(Line::default(), 120, 40);
    over.pty.wait_for("shop.example.com");
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap().pem();
    let key = pair.serialize_pem();
    let secrets: Vec<&str> = key
        .lines()
        .filter(|line| !line.starts_with('-'))
        .map(|line| &line[..12])
        .collect();
    let prose = "sorry, try again: is the certificate c or r?\nyes, y\nX 8401\n".repeat(30);
    let baud = Duration::from_micros(1042);
    for (opens, text, at_once, between) in [
        ("1", certificate.as_str(), 1, baud),
        ("2", &certificate, 16, 16 * baud),
        ("2", &prose, 4096, Duration::ZERO),
        ("3", &prose, 1, baud / 12),
        ("1", &key, 1, baud),
        (":", &key, 64, 64 * baud),
        ("/", &key, 4096, Duration::ZERO),
    ] {
        over.pty.types(opens);
        over.pty.bytes_within(Duration::from_millis(200));
        over.pty.sends_bare(text, at_once, between);
        let is_key = text == key;
        over.pty.wait("what came of it", |screen| {
            let words = if is_key {
                "private key"
            } else {
                "keys ignored: they came as fast as a paste"
            };
            // On the command line its public half is a clue.
            screen.contains(words) || (opens == ":" && screen.contains(":find "))
        });
        // What is late of it is not heard either.
        over.pty.bytes_within(Duration::from_millis(1300));
        over.pty.send("\x1b");
        over.pty.bytes_within(Duration::from_millis(300));
    }
    for secret in secrets {
        assert!(
            !over.pty.ever_wrote(secret),
            "{secret} was written to the terminal"
        );
    }
    over.pty.types("7");
    let runs = over.pty.wait_for("Runs of this console");
    for action in ["Reissue", "Revoke", "Check", "Install"] {
        assert!(!runs.contains(action), "{runs}");
    }
    over.pty.types("q");
    assert_eq!(over.pty.ended_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn every_size_down_to_one_cell_is_survived() {
    let mut over = console(Line::default(), 120, 40);
    for round in 0..3 {
        for (columns, rows) in [
            (80, 24),
            (40, 10),
            (39, 9),
            (7, 2),
            (1, 1),
            (200, 1),
            (1, 60),
            (132, 43),
        ] {
            over.pty.resize(columns, rows);
            if round == 0 {
                over.pty.types("2j1?\x1b");
            }
        }
    }
    over.pty.resize(120, 40);
    over.pty.types("\x1b1");
    over.pty.wait("triage as before", |screen| {
        screen.contains("is sealed (0 of 3 shares)")
            && screen.contains("Requests ")
            && !screen.contains("too small")
    });
    over.pty.send("q");
    assert_eq!(over.pty.ended_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn it_stops_and_goes_on_as_any_program_of_a_shell() {
    let home = tempfile::tempdir().unwrap();
    let program = pty::program().display().to_string();
    let mut shell = Pty::start_over(Line::default(), &[("PS1", "prompt> ")], "sh", &["-i"], 120, 40);
    shell.wait_for("prompt>");
    let state = home.path().join("state").display().to_string();
    shell.send(&format!(
        "{program} demo --state {state} --api-port 0 --vault-port 0 --agent-port 0 --tls-port 0\r"
    ));
    shell.wait_for("is sealed (0 of 3 shares)");
    shell.send("\x1a");
    shell.wait_for("Stopped");
    assert!(!shell.is_alternate(), "the shell's screen is back");
    shell.send("echo still $((40 + 2))\r");
    shell.wait_for("still 42");
    shell.send("fg\r");
    shell.wait_for("is sealed (0 of 3 shares)");
    assert!(shell.is_alternate());
    shell.send("2");
    shell.wait_for("status   ends");
    // Stopped from outside, with and without a word beforehand: what the shell left is made good again.
    for (signal, key, screen) in [
        (Signal::TSTP, "3", "last check-in"),
        (Signal::STOP, "4", "errors"),
    ] {
        let program = *shell.children().first().unwrap();
        kill_process(program, signal).unwrap();
        match signal {
            // Older prompts are on the shell's screen, which is back before the shell itself is.
            Signal::TSTP => {
                shell.wait("the shell's next prompt", |screen| {
                    screen.trim_end().ends_with("prompt>")
                });
                assert!(!shell.is_alternate(), "the shell's screen is back");
            }
            // The terminal's last answer to the console may be in the shell's first line.
            _ => {
                shell.wait_for("prompt>");
                shell.send("\n");
                shell.wait("a line of its own", |screen| {
                    screen.matches("prompt>").count() == 2
                });
            }
        }
        // A line feed: without a word beforehand, the shell has the terminal as the console set it.
        shell.send("fg\n");
        shell.wait("the whole screen again", |screen| {
            screen.contains(" help") && !screen.contains("prompt>")
        });
        assert!(shell.is_alternate());
        shell.send(key);
        shell.wait_for(screen);
    }
    shell.send("q");
    shell.wait("the shell's prompt", |screen| {
        screen.contains("still 42") && screen.trim_end().ends_with("prompt>")
    });
    shell.send("exit\r");
    assert!(shell.ended_within(Duration::from_secs(10)).is_some());
}

#[test]
fn a_backend_that_hangs_goes_and_comes_back_closes_nothing() {
    let mut over = console(Line::default(), 120, 40);
    over.pty.wait_for("next to end");
    let platform = rustix::process::Pid::from_raw(i32::try_from(over.demo.pid()).unwrap()).unwrap();
    for _ in 0..2 {
        // It accepts and never answers.
        kill_process(platform, Signal::STOP).unwrap();
        over.pty.send("\x12");
        over.pty.wait("the loss to be told", |screen| {
            screen.contains("API DOWN, showing data from")
        });
        // Keys work, data stays, and what needs the lost backend says why it can't be done.
        over.pty.send("2");
        over.pty.wait_for("night  Certificates");
        over.pty.send("1");
        over.pty.wait_for("shop.example.com");
        over.pty.types("\tX");
        over.pty.wait_for("error: Revoke");
        kill_process(platform, Signal::CONT).unwrap();
        over.pty.wait("all to be well again", |screen| {
            screen.contains("vault SEALED")
                && !screen.contains("API DOWN")
                && !screen.contains("showing data from")
                && !screen.contains("last updated")
        });
        over.pty.send("1");
    }
    over.pty.send("q");
    assert_eq!(over.pty.ended_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn contexts_are_changed_in_one_console_and_views_are_kept() {
    let mut over = console_with(
        Line::default(),
        120,
        40,
        "[contexts.other]\napi = \"http://127.0.0.1:1\"\nvault = \"http://127.0.0.1:1\"\nprotected = true",
    );
    let go = |over: &mut Over, line: &str| over.pty.types(&format!(":{line}\r"));
    over.pty.types("2/!status:revoked\r");
    over.pty.wait_for("/!status:revoked");
    go(&mut over, "save mine");
    over.pty.wait_for("`:view mine` opens this again");
    go(&mut over, "context other");
    let screen = over.pty.wait("the other context", |screen| {
        screen.contains(" other ") && screen.contains("locked") && screen.contains("API DOWN")
    });
    assert!(
        !screen.contains("shop.example.com"),
        "nothing of the first context is left:\n{screen}"
    );
    go(&mut over, "view mine");
    over.pty.wait_for("/!status:revoked");
    go(&mut over, "context night");
    over.pty.wait_for("is sealed (0 of 3 shares)");
    over.pty.send("q");
    assert_eq!(over.pty.ended_within(Duration::from_secs(10)), Some(0));
    assert!(!over.pty.is_alternate());
}

#[test]
fn a_token_that_is_not_to_be_had_keeps_no_console_from_opening() {
    let context = "api_token = { command = [\"sh\", \"-c\", \"echo hunter2; echo it is locked >&2; exit 5\"] }\n\
        vault_token = { command = [\"no-such-program\"] }\n";
    // It is open: what needs no token, the seal, is known.
    let mut over = console_with(Line::default(), 200, 40, context);
    over.pty.send("6");
    let screen = over.pty.wait("why there is no token", |screen| {
        screen
            .contains("there is no API token: the command `sh` ended with exit code 5 and said: it is locked")
    });
    assert!(!screen.contains("hunter2"), "{screen}");
    over.pty.send("q");
    assert_eq!(over.pty.ended_within(Duration::from_secs(10)), Some(0));
}

#[test]
fn a_whole_frame_of_a_real_night_fits_its_budget_on_every_screen() {
    let mut over = console(Line::default(), 80, 24);
    for screen in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "@", "?"] {
        over.pty.send(screen);
        let redrawn = || {
            while over.pty.bytes_within(Duration::from_millis(500)) > 0 {}
            let before = over.pty.bytes();
            // The size is the same, but what the terminal kept is not known.
            kill_process(over.pty.pid(), Signal::WINCH).unwrap();
            while over.pty.bytes_within(Duration::from_millis(500)) > 0 {}
            over.pty.bytes() - before
        };
        // News may be drawn after one frame, but hardly after most of three.
        let mut three = [redrawn(), redrawn(), redrawn()];
        three.sort_unstable();
        let bytes = three[1];
        eprintln!("a whole frame of screen {screen}: {bytes} bytes");
        assert!((200..=4096).contains(&bytes), "screen {screen}: {bytes} bytes");
    }
}
