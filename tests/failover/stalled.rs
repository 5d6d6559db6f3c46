//! A primary that hangs beside a replica that is far behind: what is shown then is older, is called so, and where it
//! comes from is a fact; and what hangs is told as what is dead.

use cmp_console::clock::Clock;
use cmp_console::store::Store;

use crate::daemon::{Daemon, eventually};
use crate::divided::words;
use crate::server::{self, OWNER};
use crate::{DATABASE, change, console, name};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_that_is_behind_shows_is_marked_and_the_hanging_primary_is_the_first_finding() {
    let Some(primary) = server::of_ones_own() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let url = primary.url(OWNER, DATABASE);
    let daemon = Daemon::over(&url, &["--listen", "127.0.0.1:0", "--roles", "api"], &[]).await;
    primary.make_roles(DATABASE);
    let store = Store::open(&url, Clock::system()).await.unwrap();
    for n in 0..3 {
        change(&store, &format!("web-{n}")).await.unwrap();
    }
    let replica = primary.replica();
    let (first, second) = (name(&primary), name(&replica));
    eventually("the replica follows", async || {
        let n = replica.psql("postgres", DATABASE, "SELECT count(*) FROM agents");
        (n == "3").then_some(())
    })
    .await;
    replica.psql("postgres", "postgres", "SELECT pg_wal_replay_pause()");

    let folders = [primary.dir(), replica.dir()];
    let mut pty = console(home.path(), &daemon.address, DATABASE, &folders);
    pty.wait_for("Agents 3");
    change(&store, "the-newest").await.unwrap();
    pty.wait_for("Agents 4");
    // Further behind than a replica may be to be asked before the API.
    pty.send("6");
    let behind = format!("{second}: replica, ");
    pty.wait("the replica to be far behind", |screen| {
        let after = screen.split_once(&behind).map_or("", |(_, after)| after);
        let seconds = after.split_once(" s behind").map_or("", |(seconds, _)| seconds);
        seconds.parse().is_ok_and(|seconds: u32| seconds > 30)
    });
    pty.send("1");
    pty.wait_for("Agents 4");

    let frozen = primary.freeze();
    let old = format!("from replica {second}, ");
    let screen = pty.wait("the replica's rows", |screen| {
        assert!(!screen.contains("through the API"), "{screen}");
        let is_older = screen.contains("Agents 3");
        let is_marked = screen.contains(&old) && screen.contains("older than shown before");
        assert!(!is_older || is_marked, "older, and not marked: {screen}");
        is_older
    });
    assert!(screen.contains(" behind, older"), "{screen}");
    let lost = format!("No change goes out: the API is on the lost primary {first}, without an answer since");
    let screen = pty.wait("the hanging primary", |screen| words(screen).contains(&lost));
    let first_finding = screen.lines().find(|line| line.contains("No change goes out"));
    assert!(first_finding.is_some(), "{screen}");
    pty.send("6");
    pty.wait("what to do about it", |screen| {
        words(screen).contains(&format!("It hangs, and {second} gets nothing more from it"))
            && words(screen).contains("or stop it for good")
            && screen.contains(&format!("{second}: replica, "))
            && screen.contains("; read here")
    });
    pty.send("1");
    pty.wait_for("Agents 3");

    // Now nobody can be read.
    let both = replica.freeze();
    pty.wait("that nobody answers", |screen| {
        assert!(!screen.contains("through the API"), "{screen}");
        screen.contains("no answer from any host or the API")
    });
    drop(both);
    drop(frozen);
    pty.wait("the primary's rows", |screen| {
        screen.contains("Agents 4") && !screen.contains("from replica") && !screen.contains("older than")
    });
}
