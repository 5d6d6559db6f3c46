//! Somebody else's transaction holds what every change needs. Nothing is down, and yet nothing goes on: that is told, with
//! whose it is, before the console's patience ends.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use cmp_console::clients::api::ApiReader;
use cmp_console::clock::Clock;
use cmp_console::domain::finding::FindingKind;
use cmp_console::domain::secret::Secret;
use cmp_console::store::{Store, workers};
use sqlx::{Connection, Executor, SqliteConnection};

use crate::client::{API_UNLIMITED, Client, an_adapter, ready};
use crate::daemon::{Daemon, TOKEN, eventually};
use crate::server::{self, Database};

/// A console gives up after ten.
const BEFORE_THE_CONSOLE: Duration = Duration::from_secs(9);

/// A `psql` that somebody left open.
struct Held(Child);

impl Held {
    fn by(database: &Database, what: &str) -> Self {
        let mut psql: Command = database.server.program("psql");
        let child = psql
            .args(["-X", "-q", "-U", "postgres", "-d", &database.name, "-c"])
            .arg(format!("BEGIN; {what}; SELECT pg_sleep(300)"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_holds_the_audit_chain_is_named_until_it_ends() {
    let Some(database) = server::fresh() else { return };
    let it = Daemon::over(&database.url, &API_UNLIMITED, &[]).await;
    let other = Daemon::over(&database.url, &["--listen", "127.0.0.1:0", "--roles", "api"], &[]).await;
    an_adapter(&database.url).await;
    let client = Arc::new(Client::new(&database.url, vec![it.address.clone()]).await);
    client.ask(0).await;

    let held = Held::by(&database, "SELECT 1 FROM audit_head FOR UPDATE");
    let sleeps = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep%' \
                  AND pid <> pg_backend_pid() AND wait_event = 'PgSleep'";
    let process = eventually("it is held", async || {
        let pid = database.server.psql("postgres", &database.name, sleeps);
        (!pid.is_empty()).then_some(pid)
    })
    .await;
    let began = Instant::now();
    let (status, problem) = client.ask_once(1).await;
    assert!(began.elapsed() < BEFORE_THE_CONSOLE, "{:?}", began.elapsed());
    assert_eq!(status, 503, "{problem}");
    let what = format!("its changes wait for a lock that its process {process} holds (`psql`)");
    assert!(problem["title"].as_str().unwrap().contains(&what), "{problem}");
    let end = format!("SELECT pg_terminate_backend({process});");
    let hint = problem["detail"].as_str().unwrap();
    assert!(
        hint.starts_with("nothing was changed; ") && hint.contains(&end),
        "{problem}"
    );

    let (status, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!((status, state.as_str()), (200, "degraded"), "{note}");
    assert!(note.starts_with(&what) && note.contains(&end), "{note}");
    it.logged(&format!("changes can't be made: the database: {what}"), 1)
        .await;

    // What needs no audit row goes on, and proves nothing.
    let at = database.psql("SELECT now()");
    eventually("the scheduler says that it is there", async || {
        let later = format!("SELECT coalesce(max(seen_at) > '{at}', false) FROM workers");
        (database.psql(&later) == "t").then_some(())
    })
    .await;
    let (_, _, note) = ready(&it.address, "database").await.unwrap();
    assert!(note.starts_with(&what), "{note}");

    // Another server, whose own changes don't wait, is told by those that do.
    let asking = Arc::clone(&client);
    let asked = tokio::spawn(async move { asking.ask(1).await });
    eventually("another server says so too", async || {
        let (status, state, note) = ready(&other.address, "database").await?;
        (status == 200 && state == "degraded" && note.starts_with(&what)).then_some(())
    })
    .await;

    database.server.psql("postgres", &database.name, &end);
    asked.await.unwrap();
    for server in [&it, &other] {
        eventually("it is over", async || {
            let (_, state, note) = ready(&server.address, "database").await?;
            (state == "up" && note.is_empty()).then_some(())
        })
        .await;
    }
    it.logged("changes can be made again", 1).await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_holds_sqlites_lock_is_named_and_nobody_is_missed_who_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/cmp.db", dir.path().display());
    let it = Daemon::over(&url, &API_UNLIMITED, &[]).await;
    an_adapter(&url).await;
    let client = Client::new(&url, vec![it.address.clone()]).await;
    let store = Store::open(&url, Clock::system()).await.unwrap();
    let token = Secret::new(TOKEN.to_owned());
    let reader = ApiReader::new(&format!("http://{}", it.address), Some(token)).unwrap();
    let missing = async || {
        let found = reader.findings().await.unwrap().findings;
        let missing = found.into_iter().filter(|it| it.kind == FindingKind::NobodyWorks);
        missing.map(|it| it.entity_id).collect::<Vec<_>>()
    };
    let mut backup = SqliteConnection::connect(&url).await.unwrap();
    // As a platform that is no longer new; nobody has ever been its issuer.
    backup
        .execute("UPDATE adapters SET created_at = '2020-01-01T00:00:00+00:00'")
        .await
        .unwrap();
    eventually("the scheduler is at work, and no issuer", async || {
        (missing().await == ["issuer"]).then_some(())
    })
    .await;

    backup.execute("BEGIN IMMEDIATE").await.unwrap();
    let began = Instant::now();
    let (status, problem) = client.ask_once(1).await;
    assert!(began.elapsed() < BEFORE_THE_CONSOLE, "{:?}", began.elapsed());
    assert_eq!(status, 503, "{problem}");
    let what = format!("its changes wait for process {} (`", std::process::id());
    assert!(problem["title"].as_str().unwrap().contains(&what), "{problem}");
    let (status, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!((status, state.as_str()), (200, "degraded"), "{note}");
    assert!(
        note.starts_with(&what) && note.contains("which holds the lock of its file"),
        "{note}"
    );
    eventually(
        "the scheduler was not heard for longer than one is waited for",
        async || {
            let all = workers::all(&mut store.read().await.unwrap()).await.unwrap();
            let silent = all
                .iter()
                .all(|it| Clock::system().now() - it.seen_at > TimeDelta::seconds(31));
            (!all.is_empty() && silent).then_some(())
        },
    )
    .await;
    assert_eq!(
        missing().await,
        ["issuer"],
        "the scheduler can't say that it is there"
    );

    backup.execute("ROLLBACK").await.unwrap();
    eventually("it is over", async || {
        let (_, state, note) = ready(&it.address, "database").await?;
        (state == "up" && note.is_empty()).then_some(())
    })
    .await;
    client.ask(1).await;
    it.logged("changes can be made again", 1).await;
    assert_eq!(
        missing().await,
        ["issuer"],
        "heard again, or not missed for a while"
    );
    store.close().await;
}
