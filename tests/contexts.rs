//! One console over the contexts of two real platforms: one of them stalls and is lost in the middle, and the
//! screen of all contexts says so while the rest goes on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[path = "demo/mod.rs"]
mod demo;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/pty.rs"]
mod pty;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use demo::Demo;
use pty::{Line, Pty};
use rustix::process::{Signal, kill_process};

/// The row of the context `name`, as it is on the screen.
fn row<'a>(screen: &'a str, name: &str) -> &'a str {
    let is_its = |line: &&str| {
        let words: Vec<&str> = line.split(['>', ' ']).filter(|word| !word.is_empty()).collect();
        words.first() == Some(&name)
    };
    // The first line is the header, with the open context's name.
    screen.lines().skip(1).find(is_its).unwrap_or_default()
}

#[test]
fn one_lost_context_is_told_while_the_others_go_on_and_enter_goes_there() {
    let home = tempfile::tempdir().unwrap();
    let (here, there) = (Demo::start(home.path(), None), Demo::start(home.path(), None));
    let [token, viewer] = ["operator_token", "viewer_token"].map(|name| {
        let file = home.path().join(name);
        std::fs::write(&file, there.text(&format!("/{name}"))).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    });
    let ran = home.path().join("ran");
    let at = |demo: &Demo| {
        format!(
            "api = \"{}\"\nvault = \"{}\"\n",
            demo.text("/api"),
            demo.text("/vault")
        )
    };
    let text = format!(
        "default_context = \"night\"\n[look]\nslow_link = \"never\"\n\
         [contexts.night]\n{}\
         [contexts.prod]\n{}api_token = {{ file = \"{}\" }}\nprotected = true\n\
         [contexts.locked-up]\n{}api_token = {{ command = [\"touch\", \"{}\"] }}\nread_only = true\n\
         [contexts.usual]\n{}\
         [contexts.wall]\n{}api_token = {{ file = \"{}\" }}\nprotected = true\n",
        at(&here),
        at(&there),
        token.display(),
        at(&there),
        ran.display(),
        at(&there),
        at(&there),
        viewer.display(),
    );
    let config = home.path().join("config.toml");
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let env = [("CMP_TOKEN", here.text("/operator_token"))];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let program = pty::program().display().to_string();
    let mut pty = Pty::start_over(Line::default(), &env, &program, &["--config", &config], 200, 40);
    pty.wait_for("is sealed (0 of 3 shares)");
    pty.send("9");
    let screen = pty.wait("all to have answered", |screen| {
        ["night", "prod", "locked-up", "usual", "wall"]
            .iter()
            .all(|name| row(screen, name).contains(" up ") && row(screen, name).contains("SEALED"))
            && !row(screen, "prod").contains('?')
            && !row(screen, "wall").contains('?')
            && row(screen, "usual").contains("there is no API token")
    });
    assert!(row(&screen, "night").contains("(here)"), "{screen}");
    assert!(row(&screen, "prod").contains("locked"), "{screen}");
    assert!(row(&screen, "locked-up").contains("READ-ONLY"), "{screen}");
    assert!(row(&screen, "wall").contains(" VIEWER "), "{screen}");
    // A password manager is not asked for a look, and the one token of the environment is for the open context.
    let why = "there is no API token: the command `touch` is run only";
    assert!(row(&screen, "locked-up").contains(why), "{screen}");
    assert!(!ran.exists());
    // Two platforms of one making have the same night.
    let numbers = |name: &str| {
        let row = row(&screen, name);
        // Behind how long an answer took, whatever that was.
        let words = row.split_whitespace().skip_while(|word| !word.starts_with('<'));
        let numbers = words.skip(2).take(6).map(str::to_owned);
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(numbers("night").len(), 6, "{screen}");
    assert_eq!(numbers("night"), numbers("prod"), "{screen}");

    // At rest it asks and writes nothing.
    let mut quiet = false;
    for _ in 0..10 {
        quiet = pty.bytes_within(Duration::from_secs(12)) == 0;
        if quiet {
            break;
        }
    }
    assert!(quiet, "it never came to rest:\n{}", pty.screen());

    // It stalls: connections come about, and nothing comes of them.
    let pid = rustix::process::Pid::from_raw(i32::try_from(there.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let screen = pty.wait("the stalled one to be told", |screen| {
        row(screen, "prod").contains("DOWN") && row(screen, "prod").contains("last updated")
    });
    assert!(
        row(&screen, "prod").contains("did not answer within 5 s"),
        "{screen}"
    );
    assert!(row(&screen, "night").contains(" up "), "{screen}");
    assert!(!row(&screen, "night").contains("last updated"), "{screen}");
    pty.send("2");
    pty.wait("the open one to go on", |screen| {
        screen.contains("Certificates") && screen.contains("active") && !screen.contains("last updated")
    });
    kill_process(pid, Signal::CONT).unwrap();
    pty.send("9");
    pty.wait("it to be back", |screen| {
        row(screen, "prod").contains(" up ") && !row(screen, "prod").contains("last updated")
    });

    there.kill();
    pty.wait("the lost one to be told", |screen| {
        row(screen, "prod").contains("DOWN") && row(screen, "prod").contains("can't be reached")
    });
    // What burns is on top, production before the others.
    pty.send("g");
    pty.wait_for(">prod");
    pty.send("\r");
    pty.wait("the other context", |screen| {
        screen.contains(" prod ") && screen.contains("locked") && screen.contains("API DOWN")
    });
    pty.send("9");
    pty.wait("the one before from there", |screen| {
        row(screen, "prod").contains("(here)") && row(screen, "night").contains(" up ")
    });
    assert!(!ran.exists());
    pty.send("q");
    assert_eq!(pty.ended_within(Duration::from_secs(10)), Some(0));
    assert!(!pty.is_alternate());
}
