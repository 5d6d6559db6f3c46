//! Transactions for what goes on by itself: of hundreds that wait, a person's change meets a few.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use tokio::sync::watch;

use super::fixture::Fixture;

/// Revocations that are due after a bad night.
const DUE: usize = 500;

#[tokio::test]
async fn a_change_stands_behind_a_few_of_what_goes_on_by_itself() {
    let Some(it) = Fixture::new().await else { return };
    let (is_begun, begun) = watch::channel(false);
    let n_done = AtomicUsize::new(0);
    // All of them stand in line before the change comes: they are polled first. On PostgreSQL those that have their turn
    // keep it until the change has begun, so that no time is measured; SQLite has one turn for all.
    let due = join_all((0..DUE).map(async |_| {
        let tx = it.store.begin_behind().await.unwrap();
        n_done.fetch_add(1, Ordering::Relaxed);
        if it.postgres.is_some() {
            begun.clone().wait_for(|it| *it).await.unwrap();
        }
        tx.rollback().await.unwrap();
    }));
    let change = async {
        let tx = it.store.begin().await.unwrap();
        let n_before = n_done.load(Ordering::Relaxed);
        is_begun.send_replace(true);
        tx.rollback().await.unwrap();
        n_before
    };
    let (_, n_before) = tokio::join!(due, change);
    assert!(n_before < 20, "{n_before} of {DUE} went before the change");
}
