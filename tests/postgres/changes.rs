//! What one process changes, the others hear of; what they may have missed, they are told.

use std::time::Duration;

use cmp_console::clock::Clock;
use cmp_console::domain::id::EntityKind;
use cmp_console::store::{Store, StoreError, agents, ban};
use cmp_console::wire::page::Change;
use tokio::sync::broadcast::Receiver;

use crate::fixture::{Fixture, enrol};

async fn heard(changes: &mut Receiver<Change>, wanted: &Change) {
    let hearing = async { while changes.recv().await.unwrap() != *wanted {} };
    tokio::time::timeout(Duration::from_secs(10), hearing)
        .await
        .unwrap_or_else(|_| panic!("{wanted:?} is not heard of"));
}

#[tokio::test]
async fn another_process_hears_of_it_once_it_is_committed() {
    let Some(it) = Fixture::new().await else { return };
    let other = Store::open(&it.url, Clock::system()).await.unwrap();
    let (mut here, mut there) = (it.store.changes(), other.changes());
    let mut tx = it.store.begin().await.unwrap();
    agents::insert(&mut tx, &enrol("taken-back"), 60).await.unwrap();
    tx.rollback().await.unwrap();
    let mut tx = it.store.begin().await.unwrap();
    let agent = agents::insert(&mut tx, &enrol("web-02"), 60).await.unwrap();
    tx.commit().await.unwrap();
    let told = Change::of(EntityKind::Agent, &agent.id);
    // The first that either of them hears of; and the process itself hears it once.
    assert_eq!(there.recv().await.unwrap(), told);
    assert_eq!(here.recv().await.unwrap(), told);
    let mut tx = other.begin().await.unwrap();
    ban::ban(&mut tx, &it.agent.id, "ops").await.unwrap();
    tx.commit().await.unwrap();
    let told = Change::of(EntityKind::Agent, &it.agent.id);
    assert_eq!(here.recv().await.unwrap(), told);
}

#[tokio::test]
async fn after_a_lost_connection_everything_may_have_changed() {
    let Some(it) = Fixture::new().await else { return };
    let database = it.postgres.as_ref().unwrap();
    let other = Store::open(&it.url, Clock::system()).await.unwrap();
    let mut there = other.changes();
    let cut_off = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let n = database.try_psql("postgres", cut_off).unwrap();
    assert_ne!(n, "0");
    for change in Change::everything() {
        heard(&mut there, &change).await;
    }
    // It listens again, and the pools have recovered by themselves.
    let mut tx = it.store.begin().await.unwrap();
    let agent = agents::insert(&mut tx, &enrol("web-02"), 60).await.unwrap();
    tx.commit().await.unwrap();
    heard(&mut there, &Change::of(EntityKind::Agent, &agent.id)).await;
}

#[tokio::test]
async fn who_says_something_else_on_the_channel_is_not_trusted() {
    let Some(it) = Fixture::new().await else { return };
    let mut here = it.store.changes();
    it.postgres
        .as_ref()
        .unwrap()
        .psql("NOTIFY cmp_changes, 'what is this?'");
    heard(&mut here, &Change::of(EntityKind::Audit, Change::ALL)).await;
}

/// Has `what` done by the database in the middle of each commit that makes an agent.
fn in_the_middle_of_a_commit(it: &Fixture, what: &str) {
    it.postgres.as_ref().unwrap().psql(&format!(
        "CREATE FUNCTION in_the_middle() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM {what}; RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER in_the_middle AFTER INSERT ON agents DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION in_the_middle()"
    ));
}

#[tokio::test]
async fn after_a_commit_that_was_cut_off_anything_may_have_changed() {
    let Some(it) = Fixture::new().await else { return };
    in_the_middle_of_a_commit(&it, "pg_terminate_backend(pg_backend_pid())");
    let mut here = it.store.changes();
    let mut tx = it.store.begin().await.unwrap();
    agents::insert(&mut tx, &enrol("web-02"), 60).await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, StoreError::CutOff(_)), "{error:?}");
    for change in Change::everything() {
        assert_eq!(
            here.try_recv().unwrap(),
            change,
            "told before the commit returned"
        );
    }
}

#[tokio::test]
async fn who_no_longer_waits_for_a_commit_leaves_nobody_in_the_dark() {
    let Some(it) = Fixture::new().await else { return };
    in_the_middle_of_a_commit(&it, "pg_sleep(2)");
    let mut here = it.store.changes();
    let mut tx = it.store.begin().await.unwrap();
    agents::insert(&mut tx, &enrol("web-02"), 60).await.unwrap();
    let database = it.postgres.as_ref().unwrap();
    let under_way = async {
        let asleep = "SELECT count(*) FROM pg_stat_activity \
                      WHERE datname = current_database() AND wait_event = 'PgSleep'";
        while database.psql(asleep) == "0" {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = tx.commit() => panic!("it is under way: {done:?}"),
        () = under_way => {}
    }
    for change in Change::everything() {
        assert_eq!(here.try_recv().unwrap(), change);
    }
}
