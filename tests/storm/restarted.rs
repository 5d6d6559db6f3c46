//! PostgreSQL ended and started again under load, orderly and as by a crash: each client gets its answer or
//! a problem that says what next, everything goes on by itself, and what was acknowledged is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cmp_console::clock::Clock;
use cmp_console::store::{Store, audit};
use futures::StreamExt;

use crate::client::{API_UNLIMITED, Client, an_adapter, ready};
use crate::daemon::{Daemon, eventually};
use crate::server::{self, OWNER};

const N_CHANGES: usize = 400;
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_postgresql_under_load_loses_no_acknowledged_change() {
    let Some(postgres) = server::of_ones_own() else {
        return;
    };
    let database = postgres.url(OWNER, "cmp");
    let first = Daemon::over(&database, &API_UNLIMITED, &[]).await;
    let second = Daemon::over(&database, &API_UNLIMITED, &[]).await;
    an_adapter(&database).await;
    let addresses = vec![first.address.clone(), second.address.clone()];
    let client = Arc::new(Client::new(&database, addresses).await);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let (sending, counting) = (Arc::clone(&client), Arc::clone(&acknowledged));
    let sent = tokio::spawn(async move {
        futures::stream::iter(0..N_CHANGES)
            .map(|n| {
                let (client, acknowledged) = (Arc::clone(&sending), Arc::clone(&counting));
                async move {
                    let id = client.ask(n).await;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    (format!("ask-{n}"), id)
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<(String, String)>>()
            .await
    });
    for (after, signal) in [(50, "INT"), (150, "QUIT"), (250, "QUIT")] {
        eventually("it goes on", async || {
            (acknowledged.load(Ordering::Relaxed) >= after).then_some(())
        })
        .await;
        postgres.end(signal);
        let note = eventually("it says that its database is down", async || {
            let (status, state, note) = ready(&first.address, "database").await?;
            (status == 503 && state == "down").then_some(note)
        })
        .await;
        assert_eq!(
            note,
            "nobody listens at its address: start it, or correct the address"
        );
        postgres.start_again();
        for it in [&first, &second] {
            eventually("it is ready again by itself", async || {
                let (status, state, _) = ready(&it.address, "database").await?;
                (status == 200 && state == "up").then_some(())
            })
            .await;
        }
    }
    let sent = sent.await.unwrap();
    assert!(
        client.refused.load(Ordering::Relaxed) > 0,
        "some were told to come again"
    );

    let psql = |sql: &str| postgres.psql(OWNER, "cmp", sql);
    let kept: BTreeSet<String> =
        psql("SELECT key || ' ' || (body::json #>> '{requests,0,id}') FROM idempotency")
            .lines()
            .map(str::to_owned)
            .collect();
    let told: BTreeSet<String> = sent.iter().map(|(key, id)| format!("{key} {id}")).collect();
    assert_eq!(told.len(), N_CHANGES);
    assert_eq!(kept, told, "what was acknowledged is what is kept");
    let rows: BTreeSet<String> = psql("SELECT id FROM issuance_requests")
        .lines()
        .map(str::to_owned)
        .collect();
    let ids: BTreeSet<String> = sent.into_iter().map(|(_, id)| id).collect();
    assert_eq!(rows, ids, "each once");
    let store = Store::open(&database, Clock::system()).await.unwrap();
    audit::verify(&store).await.unwrap();
    store.close().await;
    let asked = "SELECT count(*) FROM audit_logs WHERE action = 'request' AND outcome = 'asked'";
    assert_eq!(psql(asked), N_CHANGES.to_string());
}
