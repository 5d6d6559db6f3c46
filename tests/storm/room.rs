//! No room to write: the change is refused with the cause and changes nothing, the cause is on `/readyz` and
//! in the log, and once there is room everything goes on by itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cmp_console::clock::Clock;
use cmp_console::store::{Store, audit};
use futures::StreamExt;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::client::{Client, an_adapter, ready};
use crate::daemon::{Daemon, eventually};
use crate::screen::services;
use crate::server::{self, OWNER};

/// How large the server's files may become, in bytes.
fn room(it: &Daemon, most: Option<u64>) {
    let limit = Rlimit {
        current: most,
        maximum: None,
    };
    prlimit(Some(Pid::from_raw(it.pid()).unwrap()), Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn without_room_for_the_audit_row_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/cmp.db", dir.path().display());
    // A write beyond the limit would end the process; ignored, it fails as on a disk without room.
    let it = Daemon::ignoring_file_size(&database, &["--listen", "127.0.0.1:0", "--roles", "api"]).await;
    let store = Store::open(&database, Clock::system()).await.unwrap();
    an_adapter(&database).await;
    let client = Client::new(&database, vec![it.address.clone()]).await;
    assert_eq!(client.ask_once(1).await.0, 202);
    let before = audit::verify(&store).await.unwrap();

    room(&it, Some(4096));
    for n in [2, 3] {
        let (status, problem) = client.ask_once(n).await;
        assert_eq!(status, 503, "{problem}");
        let what = problem["title"].as_str().unwrap();
        assert!(what.ends_with("its disk can't be written"), "{problem}");
        let next = problem["detail"].as_str().unwrap();
        assert!(
            next.starts_with("nothing was changed; look for room"),
            "{problem}"
        );
    }
    let (status, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!(
        (status, state.as_str()),
        (200, "degraded"),
        "it still reads: {note}"
    );
    assert!(
        note.starts_with("its disk can't be written: look for room"),
        "{note}"
    );
    it.logged(
        "changes can't be made: the database: its disk can't be written",
        1,
    )
    .await;
    assert_eq!(
        audit::verify(&store).await.unwrap(),
        before,
        "nothing is half there"
    );

    room(&it, None);
    client.ask(2).await;
    let (_, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!((state.as_str(), note.as_str()), ("up", ""));
    it.logged("changes can be made again", 1).await;
    let (n_rows, _) = audit::verify(&store).await.unwrap();
    assert_eq!(n_rows, before.0 + 1, "the refused ones left no gap");
    store.close().await;
    eventually("it still answers", async || {
        (client.ask_once(3).await.0 == 202).then_some(())
    })
    .await;
}

const N_CHANGES: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_without_room_refuses_says_why_and_loses_nothing_that_it_acknowledged() {
    let Some(postgres) = server::on_a_small_disk() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let database = postgres.url(OWNER, "cmp");
    let api = ["--listen", "127.0.0.1:0", "--roles", "api", "--limits", "off"];
    let it = Daemon::over(&database, &api, &[]).await;
    an_adapter(&database).await;
    let client = Arc::new(Client::new(&database, vec![it.address.clone()]).await);
    let store = Store::open(&database, Clock::system()).await.unwrap();
    let services = services(home.path(), &it.address);
    let asking = Arc::clone(&client);
    let asked = tokio::spawn(async move {
        futures::stream::iter(0..N_CHANGES)
            .map(|n| {
                let client = Arc::clone(&asking);
                async move { client.ask(n).await }
            })
            .buffer_unordered(8)
            .collect::<Vec<String>>()
            .await
    });
    let n_requests = || {
        let n = postgres.psql(OWNER, "cmp", "SELECT count(*) FROM issuance_requests");
        n.parse::<usize>().unwrap()
    };
    eventually("it is under way", async || {
        (n_requests() >= N_CHANGES / 10).then_some(())
    })
    .await;

    tokio::task::block_in_place(|| postgres.fill());
    let cause = "its disk is full: make room on the database's disk; then changes are taken again";
    eventually("the cause is told", async || {
        let (status, state, note) = ready(&it.address, "database").await?;
        (status == 200 && state == "degraded" && note == cause).then_some(())
    })
    .await;
    tokio::task::block_in_place(|| {
        services.wait("the cause on the services screen", |screen| {
            screen
                .lines()
                .any(|line| line.contains("degraded") && line.contains(cause))
        })
    });
    it.logged(&format!("changes can't be made: the database: {cause}"), 1)
        .await;
    // There may be room left on a page that is there already, but not for many.
    let (mut n, mut refused) = (N_CHANGES, None);
    while refused.is_none() {
        let (status, problem) = client.ask_once(n).await;
        match status {
            202 => n += 1,
            _ => refused = Some((status, problem)),
        }
    }
    let (status, problem) = refused.unwrap();
    assert_eq!(status, 503, "{problem}");
    assert!(
        problem["title"].as_str().unwrap().ends_with(": its disk is full"),
        "{problem}"
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .starts_with("nothing was changed; make room on the database's disk"),
        "{problem}"
    );
    assert!(!asked.is_finished(), "they wait for room");
    let n_meanwhile = n_requests();

    tokio::task::block_in_place(|| postgres.make_room());
    let mut told = asked.await.unwrap();
    assert!(client.refused.load(Ordering::Relaxed) > 0);
    for n in N_CHANGES..=n {
        told.push(client.ask(n).await);
    }
    assert!(n_requests() > n_meanwhile);
    let (status, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!((status, state.as_str(), note.as_str()), (200, "up", ""));
    it.logged("changes can be made again", 1).await;
    tokio::task::block_in_place(|| {
        services.wait("all is well on the services screen", |screen| {
            screen.contains(" db        up") && !screen.contains("its disk is full")
        })
    });

    let rows = postgres.psql(OWNER, "cmp", "SELECT id FROM issuance_requests");
    let mut kept: Vec<String> = rows.lines().map(str::to_owned).collect();
    told.sort();
    kept.sort();
    assert_eq!(kept, told, "each that was acknowledged, once");
    audit::verify(&store).await.unwrap();
    let n_rows = postgres.psql(
        OWNER,
        "cmp",
        "SELECT count(*) FROM audit_logs WHERE action = 'request' AND outcome = 'asked'",
    );
    assert_eq!(n_rows, told.len().to_string(), "a row for each");
    store.close().await;
}
