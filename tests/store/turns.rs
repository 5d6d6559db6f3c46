//! Transactions for what goes on by itself: of hundreds that wait, a person's change meets a few.

use std::pin::pin;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::fixture::Fixture;

/// What is due to an issuer after a bad night.
const DUE: usize = 500;

#[tokio::test]
async fn a_change_stands_behind_a_few_of_what_goes_on_by_itself() {
    let Some(it) = Fixture::new().await else { return };
    let one = async || it.store.begin_behind().await.unwrap().rollback().await.unwrap();
    let mut due: FuturesUnordered<_> = (0..DUE).map(|_| one()).collect();
    // Each stands in the line before the change comes.
    due.next().await.unwrap();
    let mut change = pin!(it.store.begin());
    let mut n_before = 0;
    let change = loop {
        tokio::select! {
            biased;
            change = &mut change => break change.unwrap(),
            Some(()) = due.next() => n_before += 1,
        }
    };
    assert!(n_before < 20, "{n_before} of {DUE} went before the change");
    change.rollback().await.unwrap();
}
