//! The primary is lost for good and its replica takes its place, under the address that everybody has:
//! changes are refused until it is promoted, and then everything goes on, with all that was acknowledged.

use std::os::unix::fs::symlink;
use std::sync::Arc;

use cmp_console::clock::Clock;
use cmp_console::store::{Store, audit};
use futures::StreamExt;

use crate::client::{API_UNLIMITED, Client, an_adapter, ready};
use crate::daemon::{Daemon, eventually};
use crate::server::{self, OWNER, Postgres};

const N_CHANGES: usize = 200;

/// What is acknowledged is with the replica: that is PostgreSQL's to promise, if it is told to.
async fn wait_for_the_standby(primary: &Postgres) {
    synchronous(primary, "*");
    eventually("the replica is waited for", async || {
        let sql = "SELECT sync_state FROM pg_stat_replication";
        (primary.psql("postgres", "postgres", sql) == "sync").then_some(())
    })
    .await;
}

fn synchronous(primary: &Postgres, standbys: &str) {
    for sql in [
        &format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'"),
        "SELECT pg_reload_conf()",
    ] {
        primary.psql("postgres", "postgres", sql);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_primary_is_followed_by_its_replica_and_no_acknowledged_change_is_lost() {
    let Some(primary) = server::of_ones_own() else {
        return;
    };
    let replica = primary.replica();
    wait_for_the_standby(&primary).await;
    let place = tempfile::tempdir().unwrap();
    let address = place.path().join("db");
    symlink(primary.dir(), &address).unwrap();
    let database = format!("postgres://{OWNER}@localhost/cmp?host={}", address.display());
    let it = Daemon::over(&database, &API_UNLIMITED, &[]).await;
    an_adapter(&database).await;
    let client = Arc::new(Client::new(&database, vec![it.address.clone()]).await);
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
    eventually("it is under way", async || {
        let n = primary.psql(OWNER, "cmp", "SELECT count(*) FROM issuance_requests");
        (n.parse::<usize>().unwrap() >= N_CHANGES / 4).then_some(())
    })
    .await;

    primary.end("QUIT");
    eventually("the loss is told", async || {
        let (status, state, _) = ready(&it.address, "database").await?;
        (status == 503 && state == "down").then_some(())
    })
    .await;
    std::fs::remove_file(&address).unwrap();
    symlink(replica.dir(), &address).unwrap();
    eventually("what is missing is named", async || {
        let (status, state, note) = ready(&it.address, "database").await?;
        let words = "is a replica that receives from nobody, and only reads: point `DB_HOST` to the primary";
        let promotes =
            note.contains("only if there is none any more, promote this one: `SELECT pg_promote();`");
        (status == 200 && state == "degraded" && note.starts_with(words) && promotes).then_some(())
    })
    .await;
    let (status, problem) = client.ask_once(N_CHANGES).await;
    assert_eq!(status, 503, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("DB_HOST"),
        "{problem}"
    );

    assert_eq!(replica.psql("postgres", "postgres", "SELECT pg_promote()"), "t");
    let mut told = asked.await.unwrap();
    eventually("it is well by itself", async || {
        let (status, state, _) = ready(&it.address, "database").await?;
        (status == 200 && state == "up").then_some(())
    })
    .await;
    let rows = replica.psql(OWNER, "cmp", "SELECT id FROM issuance_requests");
    let mut kept: Vec<String> = rows.lines().map(str::to_owned).collect();
    told.sort();
    kept.sort();
    assert_eq!(kept, told, "each that was acknowledged, once");
    let store = Store::open(&database, Clock::system()).await.unwrap();
    audit::verify(&store).await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_wait_for_a_standby_that_is_gone_say_so_and_are_acknowledged_once_it_is_back() {
    let Some(primary) = server::of_ones_own() else {
        return;
    };
    let replica = primary.replica();
    let database = primary.url(OWNER, "cmp");
    let it = Daemon::over(&database, &API_UNLIMITED, &[]).await;
    an_adapter(&database).await;
    let client = Arc::new(Client::new(&database, vec![it.address.clone()]).await);
    wait_for_the_standby(&primary).await;
    client.ask(0).await;

    let cause = "its changes wait for a synchronous standby that doesn't answer: start that again, or take it out \
                 of `synchronous_standby_names` and reload";
    let asked = |n| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.ask(n).await })
    };
    let told = async |cause: &str| {
        eventually("it is told", async || {
            let (status, _, note) = ready(&it.address, "database").await?;
            (status == 200 && note == cause).then_some(())
        })
        .await;
    };
    replica.end("INT");
    let first = asked(1);
    told(cause).await;
    it.logged(&format!("changes aren't acknowledged: the database: {cause}"), 1)
        .await;
    assert!(!first.is_finished());
    replica.start_again();
    first.await.unwrap();
    told("").await;

    // It does not come back, and is waited for no more.
    replica.end("INT");
    let second = asked(2);
    told(cause).await;
    synchronous(&primary, "");
    second.await.unwrap();
    told("").await;
    let n = primary.psql(OWNER, "cmp", "SELECT count(*) FROM issuance_requests");
    assert_eq!(n, "3", "each once");
}
