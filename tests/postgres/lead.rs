//! One scheduler leads, and another takes over when it is gone.

use std::time::Duration;

use cmp_console::clock::Clock;
use cmp_console::store::{Lead, Store};

use crate::fixture::Fixture;

async fn takes_over(lead: &mut Lead) {
    let taking = async { while !lead.is_ours().await.unwrap() {} };
    tokio::time::timeout(Duration::from_secs(10), taking)
        .await
        .unwrap();
}

#[tokio::test]
async fn one_leads_and_another_takes_over() {
    let Some(it) = Fixture::new().await else { return };
    let other = Store::open(&it.url, Clock::system()).await.unwrap();
    let (mut first, mut second) = (it.store.lead(), other.lead());
    assert!(first.is_ours().await.unwrap());
    assert!(!second.is_ours().await.unwrap());
    assert!(first.is_ours().await.unwrap());

    // It resigns in peace.
    first.resign().await;
    takes_over(&mut second).await;
    assert!(!first.is_ours().await.unwrap());

    // It is cut off, and learns of it.
    let cut_off = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks \
                   WHERE locktype = 'advisory' AND classid = 6516081 AND granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let database = it.postgres.as_ref().unwrap();
    assert_eq!(database.try_psql("postgres", cut_off).unwrap(), "1");
    takes_over(&mut first).await;
    assert!(!second.is_ours().await.unwrap());

    // Its process is gone.
    drop(first);
    takes_over(&mut second).await;
}
