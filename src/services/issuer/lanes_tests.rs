//! Lanes beside each other and beside the look for new ones.

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Barrier, oneshot};
use tokio::time::timeout;

use super::bench::{Bench, Mood};
use crate::store::{READERS, adapters as rows, apart};

/// A look for new lanes needs a connection too: were the lanes left alone meanwhile, it would wait for those that
/// are in the lanes' own hands, and with it everybody who asks the platform anything.
#[tokio::test]
async fn lanes_go_on_while_new_ones_are_looked_for() {
    let bench = Bench::new().await;
    bench.request().await;
    bench.ca.be(Mood::SignsAndFallsSilent);
    let store = bench.store.clone();
    let (went_on, goes_on) = oneshot::channel();
    *bench.ca.meanwhile.lock().unwrap() = Some(Box::pin(async move {
        // As many requests as there are connections are in the middle of a read when an adapter is added.
        let reading = Barrier::new(usize::try_from(READERS).unwrap() + 1);
        let read = async || {
            let mut conn = store.read().await.unwrap();
            reading.wait().await;
            reading.wait().await;
            rows::all(&mut conn).await.unwrap();
        };
        let add = async {
            reading.wait().await;
            let mut tx = store.begin().await.unwrap();
            let config = serde_json::json!({});
            rows::upsert(&mut tx, "another", "fake", &config).await.unwrap();
            tx.commit().await.unwrap();
            // Time for whoever was told of it to look.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            reading.wait().await;
        };
        tokio::join!(join_all((0..READERS).map(|_| apart(read()))), apart(add));
        went_on.send(()).unwrap();
    }));
    let (sender, stop) = tokio::sync::watch::channel(false);
    let issuer = bench.issuer;
    let working = tokio::spawn(async move { issuer.in_lanes(stop).await });
    let went_on = timeout(Duration::from_secs(5), goes_on).await;
    assert!(went_on.is_ok(), "the lane waits for a connection that it holds");
    sender.send_replace(true);
    working.await.unwrap();
}
