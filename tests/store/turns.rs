//! Transactions for what goes on by itself: of hundreds that wait, a person's change meets a few.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use tokio::sync::Barrier;

use super::fixture::Fixture;

/// Revocations that are due after a bad night.
const DUE: usize = 500;

/// Three connections are there: a new one takes PostgreSQL as long as many turns.
async fn connected(it: &Fixture) {
    let all = Arc::new(Barrier::new(3));
    let begun: Vec<_> = (0..3)
        .map(|_| {
            let (store, all) = (it.store.clone(), Arc::clone(&all));
            tokio::spawn(async move {
                let tx = store.begin().await.unwrap();
                all.wait().await;
                tx.rollback().await.unwrap();
            })
        })
        .collect();
    for task in begun {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_change_stands_behind_a_few_of_what_goes_on_by_itself() {
    let Some(it) = Fixture::new().await else { return };
    if it.postgres.is_some() {
        connected(&it).await;
    }
    let n_done = AtomicUsize::new(0);
    // All of them stand in line before the change comes: they are polled first.
    let due = join_all((0..DUE).map(async |_| {
        it.store.begin_behind().await.unwrap().rollback().await.unwrap();
        n_done.fetch_add(1, Ordering::Relaxed);
    }));
    let change = async {
        let tx = it.store.begin().await.unwrap();
        let n_before = n_done.load(Ordering::Relaxed);
        tx.rollback().await.unwrap();
        n_before
    };
    let (_, n_before) = tokio::join!(due, change);
    assert!(n_before < 20, "{n_before} of {DUE} went before the change");
}
