//! A console's own look at the database's hosts: lag that is one, schemas that it doesn't know, and accounts
//! that may not read.

use std::path::Path;

use cmp_console::clock::Clock;
use cmp_console::config::console::DatabaseConfig;
use cmp_console::domain::database::{Host, HostRole, HostState, Source, Standing};
use cmp_console::domain::worker::Duty;
use cmp_console::store::hosts::Hosts;
use cmp_console::store::{Store, adapters, agents, workers};
use sqlx::Connection;
use tokio::task::AbortHandle;

use crate::fixture::enrol;
use crate::server::{self, OWNER};

/// The hosts, watched until this is dropped.
struct Watched(Hosts, AbortHandle);

impl Drop for Watched {
    fn drop(&mut self) {
        self.1.abort();
    }
}

impl Watched {
    fn new(database: &str, user: &str, folders: &[&Path]) -> Self {
        Self::by(Clock::system(), database, user, folders)
    }

    /// Of a console with this clock.
    fn by(clock: Clock, database: &str, user: &str, folders: &[&Path]) -> Self {
        let config = DatabaseConfig {
            hosts: folders.iter().map(|it| it.display().to_string()).collect(),
            name: database.to_owned(),
            user: user.to_owned(),
            sslmode: None,
            ca: None,
            password: None,
        };
        let hosts = Hosts::new(&config, None, clock).unwrap();
        let watched = hosts.clone();
        let task = tokio::spawn(async move { watched.watch().await });
        Self(hosts, task.abort_handle())
    }

    /// Looks until they are as wanted.
    async fn until(&self, wanted: impl Fn(&[Host]) -> bool) -> Vec<Host> {
        let mut seen = self.0.seen();
        let all = async {
            loop {
                if let Some(hosts) = Some(seen.borrow_and_update().clone()).filter(|it| wanted(it)) {
                    return hosts;
                }
                self.0.look();
                seen.changed().await.unwrap();
            }
        };
        let limit = std::time::Duration::from_secs(60);
        match tokio::time::timeout(limit, all).await {
            Ok(hosts) => hosts,
            Err(_) => panic!("never so: {:?}", *self.0.seen().borrow()),
        }
    }
}

fn standing(host: &Host) -> Option<Standing> {
    host.standing().copied()
}

#[tokio::test]
async fn what_time_it_is_says_the_database_and_not_the_consoles_clock() {
    let Some(database) = server::fresh() else { return };
    let wrong = Clock::fixed(Clock::system().now() + chrono::TimeDelta::days(80));
    let it = Watched::by(wrong, &database.name, OWNER, &[database.server.dir()]);
    it.until(|hosts| hosts[0].standing().is_some()).await;
    let now = it.0.on(0, "the time", async |conn| Ok(conn.now())).await.unwrap();
    let apart = (Clock::system().now() - now).abs();
    assert!(apart < chrono::TimeDelta::minutes(1), "{apart}");
}

#[tokio::test]
async fn a_replica_is_behind_only_while_something_waits_to_be_replayed() {
    let Some(database) = server::fresh() else { return };
    let replica = server::replica().unwrap();
    let folders = [database.server.dir(), replica.dir()];
    let it = Watched::new(&database.name, OWNER, &folders);
    let hosts = it
        .until(|hosts| hosts.iter().all(|host| host.standing().is_some()))
        .await;
    assert_eq!(standing(&hosts[0]).unwrap().role, HostRole::Primary);
    assert!(standing(&hosts[0]).unwrap().timeline > 0);
    let second = standing(&hosts[1]).unwrap();
    assert_eq!(second.role, HostRole::Replica);
    assert_eq!(
        it.0.sources().await,
        [Source::Host(0), Source::Host(1), Source::Api]
    );

    replica.psql("postgres", "postgres", "SELECT pg_wal_replay_pause()");
    let store = Store::open(&database.url, Clock::system()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    agents::insert(&mut tx, &enrol("web-09"), 60).await.unwrap();
    tx.commit().await.unwrap();
    it.until(|hosts| standing(&hosts[1]).is_some_and(|it| it.behind_ms > 1000))
        .await;
    // It has the change, but shows what was before.
    let shown = |at: usize| {
        let hosts = it.0.clone();
        async move {
            let read = hosts.on(at, "agents", async |conn| agents::headcount(conn).await);
            read.await.unwrap().n_all
        }
    };
    assert_eq!((shown(0).await, shown(1).await), (1, 0));

    replica.psql("postgres", "postgres", "SELECT pg_wal_replay_resume()");
    it.until(|hosts| standing(&hosts[1]).is_some_and(|it| it.behind_ms == 0))
        .await;
    assert_eq!(shown(1).await, 1);
}

#[tokio::test]
async fn a_schema_that_this_console_does_not_know_is_not_read() {
    let Some(database) = server::fresh() else { return };
    database.server.psql(
        "postgres",
        "postgres",
        "DO $$ BEGIN CREATE ROLE passer_by LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    );
    let folders = [database.server.dir()];
    let why = async |user: &str| {
        let it = Watched::new(&database.name, user, &folders);
        let hosts = it
            .until(|hosts| matches!(hosts[0].state, HostState::Unfit(_)))
            .await;
        assert_eq!(it.0.sources().await, [Source::Api]);
        match &hosts[0].state {
            HostState::Unfit(why) => why.clone(),
            other => panic!("{other:?}"),
        }
    };
    let said = why("passer_by").await;
    assert!(said.contains("roles.sql"), "{said}");
    database.psql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'tomorrow', true, '', 0)",
    );
    let said = why(OWNER).await;
    assert!(said.contains("at version 99, newer"), "{said}");
    database.psql("DELETE FROM _sqlx_migrations WHERE version > 0");
    let said = why(OWNER).await;
    assert!(
        said.contains("older") && said.contains("--migrate-only"),
        "{said}"
    );
    // Of tables that aren't there no right is missing.
    database.psql("ALTER SCHEMA public RENAME TO elsewhere");
    let it = Watched::new(&database.name, OWNER, &folders);
    let hosts = it
        .until(|hosts| matches!(hosts[0].state, HostState::NoTables(_)))
        .await;
    let HostState::NoTables(next) = &hosts[0].state else {
        panic!("{hosts:?}");
    };
    assert!(next.contains("--migrate-only"), "{next}");
}

#[tokio::test]
async fn a_table_that_is_locked_makes_its_reads_late_until_one_is_answered_again() {
    let Some(database) = server::fresh() else { return };
    let it = Watched::new(&database.name, OWNER, &[database.server.dir()]);
    it.until(|hosts| hosts[0].standing().is_some()).await;
    let read = async || {
        it.0.on(0, "agents", async |conn| agents::headcount(conn).await)
            .await
    };
    assert!(read().await.is_ok());
    let mut locks = sqlx::PgConnection::connect(&database.url).await.unwrap();
    let mut lock = locks.begin().await.unwrap();
    sqlx::query("LOCK TABLE agents IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let late = async { it.until(|hosts| hosts[0].late.contains("agents")).await };
    // Whoever asked may have gone meanwhile.
    tokio::select! {
        hosts = late => assert!(hosts[0].standing().is_some(), "it answers all the same: {hosts:?}"),
        read = read() => panic!("{read:?}"),
    }
    lock.rollback().await.unwrap();
    assert!(read().await.is_ok());
    it.until(|hosts| hosts[0].late.is_empty()).await;
}

#[tokio::test]
async fn nobody_is_missed_while_there_is_no_primary_to_write_to() {
    let Some(primary) = server::of_ones_own() else {
        return;
    };
    let store = Store::open(&primary.url(OWNER, "cmp"), Clock::system())
        .await
        .unwrap();
    let mut tx = store.begin().await.unwrap();
    let nothing = serde_json::json!({});
    adapters::upsert(&mut tx, "vault", "vault_pki", &nothing)
        .await
        .unwrap();
    workers::beat(&mut tx, Duty::Issuer, "issuer-1", "1")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    let old = "UPDATE adapters SET created_at = now() - interval '1 hour'";
    primary.psql(OWNER, "cmp", old);
    let replica = primary.replica();
    let it = Watched::new("cmp", OWNER, &[primary.dir(), replica.dir()]);
    let gone = async |host| {
        let read = it.0.on(host, "workers", async |conn| workers::gone(conn).await);
        let gone = read.await.unwrap();
        gone.into_iter().map(|it| it.duty).collect::<Vec<_>>()
    };
    it.until(|hosts| hosts.iter().all(|host| host.standing().is_some()))
        .await;
    assert_eq!(gone(0).await, [Duty::Scheduler], "while changes could be made");
    primary.end("QUIT");
    it.until(|hosts| matches!(hosts[0].state, HostState::Lost { .. }))
        .await;
    let later = "SELECT min(now() - seen_at) > interval '31 seconds' FROM workers";
    let limit = std::time::Duration::from_secs(60);
    let silent = async {
        while replica.psql("postgres", "cmp", later) != "t" {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(limit, silent).await.unwrap();
    assert_eq!(
        gone(1).await,
        [Duty::Scheduler],
        "the issuer can't say that it is there"
    );
}
