//! The console's own reads from the database: a real primary with a streaming replica, a real `cmp-server` on
//! the primary, and the console in a pseudo-terminal with both hosts configured, while the primary is lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic, and says what it measured"
)]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "failover/divided.rs"]
mod divided;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "store/fixture.rs"]
mod fixture;
#[path = "support/hands.rs"]
mod hands;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/pty.rs"]
mod pty;
#[path = "support/postgres.rs"]
mod server;
#[path = "failover/stalled.rs"]
mod stalled;
#[path = "support/tls.rs"]
mod tls;
#[path = "failover/untrusted.rs"]
mod untrusted;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cmp_console::clock::Clock;
use cmp_console::store::{Store, agents, audit};

use daemon::{Daemon, eventually};
use fixture::{enrol, entry};
use pty::{Line, Pty};
use server::Postgres;

/// The database on every server of these tests.
const DATABASE: &str = "cmp";

/// What people call a host: of a socket's folder its last part.
fn name(host: &Postgres) -> String {
    host.dir().file_name().unwrap().to_str().unwrap().to_owned()
}

/// A change with its audit row.
async fn change(store: &Store, hostname: &str) -> Result<(), cmp_console::store::StoreError> {
    let mut tx = store.begin().await?;
    agents::insert(&mut tx, &enrol(hostname), 60).await?;
    audit::append(&mut tx, entry("enrol")).await?;
    tx.commit().await
}

fn console(home: &Path, api: &str, database: &str, hosts: &[&Path]) -> Pty {
    let hosts: Vec<String> = hosts.iter().map(|it| format!("\"{}\"", it.display())).collect();
    let table = format!("hosts = [{}]\nname = \"{database}\"\n", hosts.join(", "));
    console_with(home, api, &table, 160)
}

/// Writes the console's configuration with this table about the database; its path.
fn configure(home: &Path, api: &str, database: &str) -> PathBuf {
    let text = format!(
        "[look]\nslow_link = \"never\"\n\
         [contexts.night]\napi = \"http://{api}\"\nvault = \"http://127.0.0.1:1\"\n\
         [contexts.night.database]\n{database}"
    );
    let config = home.join("config.toml");
    std::fs::write(&config, text).unwrap();
    config
}

fn console_with(home: &Path, api: &str, database: &str, columns: u16) -> Pty {
    let config = configure(home, api, database);
    let config = config.display().to_string();
    let program = pty::program().display().to_string();
    let state = home.join("state").display().to_string();
    let env = [("CMP_TOKEN", daemon::TOKEN), ("XDG_STATE_HOME", state.as_str())];
    Pty::start_over(
        Line::default(),
        &env,
        &program,
        &["--config", &config],
        columns,
        40,
    )
}

/// What `config check` says of this configuration, and its exit code.
fn check(config: &Path) -> (Option<i32>, String) {
    let checked = std::process::Command::new(pty::program())
        .args(["config", "check", "--config"])
        .arg(config)
        .env("CMP_TOKEN", daemon::TOKEN)
        .output()
        .unwrap();
    let said = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    (checked.status.code(), said)
}

/// Whether a line of it has all these words.
fn says(said: &str, words: &[&str]) -> bool {
    said.lines()
        .any(|line| words.iter().all(|word| line.contains(word)))
}

/// The line of Services about the database as a whole, `db  up  <10 ms  primary HOST`: its state, and the role of the
/// host that is read.
fn database_is(screen: &str, state: &str, read: &str) -> bool {
    screen.lines().any(|line| {
        let mut words = line.trim_start_matches(['>', ' ']).split_whitespace();
        words.next() == Some("db")
            && words.next() == Some(state)
            && line.trim_end().ends_with(&format!(" {read}"))
    })
}

/// Waits until Services, which is open, says that of the database; and as the header names only what is not right,
/// the database is in it where it isn't up, and isn't where it is.
fn wait_for_database(pty: &Pty, state: &str, read: &str) -> String {
    pty.wait(&format!("the database to be {state}: {read}"), |screen| {
        let header = screen.lines().next().unwrap_or_default();
        let is_named = header.contains(&format!(" db {read} "));
        database_is(screen, state, read)
            && is_named == (state != "up")
            && header.contains("from replica") == read.starts_with("replica")
    })
}

/// The line that the cursor is on.
fn cursor(screen: &str) -> Option<String> {
    let line = screen.lines().find(|line| line.starts_with('>'))?;
    line.split_whitespace().next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_primary_is_shown_and_the_replica_read() {
    let Some(primary) = server::of_ones_own() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let url = primary.url(server::OWNER, DATABASE);
    let daemon = Daemon::over(&url, &["--listen", "127.0.0.1:0", "--roles", "api"], &[]).await;
    primary.make_roles(DATABASE);
    let address = daemon.address.clone();
    let store = Store::open(&url, Clock::system()).await.unwrap();
    for n in 0..30 {
        change(&store, &format!("web-{n:02}")).await.unwrap();
    }
    let replica = primary.replica();
    let (first, second) = (name(&primary), name(&replica));

    let folders = [primary.dir(), replica.dir()];
    let mut pty = console(home.path(), &daemon.address, DATABASE, &folders);
    pty.wait_for("Agents 30");
    pty.send("6");
    wait_for_database(&pty, "up", &format!("primary {first}"));
    // Who does all that, and who only may read.
    let held = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'cmp_console'";
    assert_ne!(primary.psql("postgres", "postgres", held), "0");
    pty.wait_for(&format!("{first}: primary; read here"));
    pty.wait_for(&format!("{second}: replica, 0 s behind"));

    // Something small may be on its way at one moment.
    let said = eventually("the replica to have all", async || {
        let (_, said) = check(&home.path().join("config.toml"));
        says(&said, &["database", &second, "ok", "replica, 0 s behind"]).then_some(said)
    })
    .await;
    assert!(says(&said, &["database", &first, "ok", "primary"]), "{said}");

    // At rest nothing is written, though the hosts are looked at.
    pty.send("1");
    for pane in ["nothing ends", "Agents 30", "no request is open", "Audit 30"] {
        pty.wait_for(pane);
    }
    let written = pty.bytes_within(Duration::from_secs(11));
    assert!(written <= pty::CLOCK, "{written}: {}", pty.screen());

    // Changes go on, and the primary tells them.
    pty.send("3");
    pty.wait_for("Agents 30");
    let load = tokio::spawn(async move {
        let mut n = 0;
        while change(&store, &format!("load-{n:05}")).await.is_ok() {
            n += 1;
        }
        n
    });
    // `Agents 31`, `Agents 200 of 222`
    let n_agents = |screen: &str| -> usize {
        let after = screen.split("Agents ").last().unwrap_or_default();
        let words: Vec<&str> = after.split(' ').take(3).collect();
        let n = match words.as_slice() {
            [_, "of", n] | [n, ..] => n,
            [] => "",
        };
        n.parse().unwrap_or(0)
    };
    pty.wait("agents that are added", |screen| n_agents(screen) > 40);
    // What was sent to the replica is there afterwards, whatever the primary loses.
    let added = "SELECT count(*) > 100 FROM agents";
    eventually("the replica follows", async || {
        (replica.psql("postgres", DATABASE, added) == "t").then_some(())
    })
    .await;

    // It hangs, as behind a cable that was pulled: no connection ends.
    let frozen = primary.freeze();
    let began = Instant::now();
    pty.wait_for(&format!("from replica {second}"));
    eprintln!("the hanging primary was on screen after {:?}", began.elapsed());
    let at = cursor(&pty.screen()).unwrap();
    pty.send("j");
    pty.wait("the cursor to move", |screen| {
        cursor(screen).is_some_and(|it| it != at)
    });
    drop(frozen);
    pty.send("6");
    wait_for_database(&pty, "up", &format!("primary {first}"));
    pty.send("3");
    pty.wait_for("last check-in");

    let began = Instant::now();
    primary.end("QUIT");
    pty.wait_for(&format!("from replica {second}, last change"));
    eprintln!("the lost primary was on screen after {:?}", began.elapsed());
    // What the primary still knew and the replica never got is not on screen: its rows are the replica's.
    let rows = replica.psql("postgres", DATABASE, "SELECT count(*) FROM agents");
    let rows: usize = rows.parse().unwrap();
    let read = pty.wait("the replica's rows", |screen| n_agents(screen) == rows);
    eprintln!("and the replica's rows after {:?}", began.elapsed());
    assert!(!read.contains("last updated"), "{read}");
    eprintln!("{} changes went on until then", load.await.unwrap());

    // It stays usable, and what it asks for is answered: another order comes from the replica.
    let at = cursor(&pty.screen()).unwrap();
    pty.send("j");
    pty.wait("the cursor to move", |screen| {
        cursor(screen).is_some_and(|it| it != at)
    });
    pty.types("/load\r");
    let screen = pty.wait("the filtered rows", |screen| {
        screen.contains("/load") && !screen.contains("web-00") && screen.contains("load-00001")
    });
    assert!(
        !screen.contains("no answer") && !screen.contains("last updated"),
        "{screen}"
    );

    // What is lost, and what to do.
    pty.send("1");
    pty.wait_for(&format!("read from replica {second}"));
    pty.wait_for("was primary and is lost since");
    pty.send("6");
    pty.wait_for("was primary, lost since");
    pty.wait_for("nothing can be changed");
    pty.wait_for("replica, follows nobody; its last change is of");

    replica.psql("postgres", "postgres", "SELECT pg_promote()");
    wait_for_database(&pty, "degraded", &format!("primary {second}"));
    pty.wait_for(&format!("{second}: primary; read here"));
    // The new primary tells of changes as the old one did.
    let url = replica.url(server::OWNER, DATABASE);
    let store = Store::open(&url, Clock::system()).await.unwrap();
    change(&store, "after-the-failover").await.unwrap();
    pty.send("3");
    pty.wait_for("/load");
    pty.send("\x1b");
    pty.wait("the filter to be gone", |screen| !screen.contains("/load"));
    pty.types("/after-the\r");
    pty.wait_for("after-the-failover");
    change(&store, "after-the-failover-2").await.unwrap();
    pty.wait_for("after-the-failover-2");

    // Nobody is left: what is on screen stays, with its age, and one can move in it.
    pty.send("\x1b");
    pty.wait("the filter to be gone", |screen| !screen.contains("/after"));
    pty.wait_for("load-00000");
    drop(daemon);
    replica.end("QUIT");
    pty.wait_for("API DOWN, showing data from");
    let at = cursor(&pty.screen()).unwrap();
    pty.send("j");
    pty.wait("the cursor to move", |screen| {
        cursor(screen).is_some_and(|it| it != at)
    });
    pty.send("q");
    assert_eq!(pty.ended_within(daemon::LIMIT), Some(0));

    // It is there for the next console too, for its owner alone and without anything secret.
    let kept = std::fs::read_dir(home.path().join("state/cmp-console"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.display().to_string().contains("snapshot-"))
        .unwrap();
    let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(
        text.contains("load-00000") && !text.contains(daemon::TOKEN),
        "{text}"
    );
    let mut pty = console(home.path(), "127.0.0.1:1", DATABASE, &folders);
    let other = pty.wait("another platform's console", |screen| screen.contains("Findings"));
    assert!(!other.contains("load-0"), "{other}");
    pty.send("q");
    assert_eq!(pty.ended_within(daemon::LIMIT), Some(0));
    let mut pty = console(home.path(), &address, DATABASE, &folders);
    pty.wait_for("API DOWN, showing data from");
    pty.wait("the snapshot", |screen| {
        screen.contains("snapshot of") && screen.contains("load-00000")
    });
    pty.send("3");
    pty.wait("the list as it was", |screen| {
        screen.contains("last check-in") && screen.contains("snapshot of") && screen.contains("load-00000")
    });
}
