//! SQLite only: how its file is opened and how its one writer takes its turn.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqlitePool};

use crate::store::pools::{self, Ways, Work};

/// How long a statement waits for another process's write before it gives up.
const BUSY: Duration = Duration::from_secs(3);
/// Time that a caller waits for a connection: with the above it ends before the console's patience does
/// (`clients/api.rs`).
const PATIENCE: Duration = Duration::from_secs(6);

/// Readers that may work at once beside those for screens: short ones, on which others' work hangs, and what nobody
/// waits for.
pub(in crate::store) const N_VITAL: u32 = 4;
const N_BACKGROUND: u32 = 1;

/// Instructions between two looks whether a question is to stop: some ten microseconds.
const LOOK_EVERY: i32 = 2_000;

/// Takes the write lock at once: a transaction that first reads and then writes could otherwise find
/// that another one wrote in between, and would have to be thrown away.
pub(in crate::store) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// SQLite has one writer at a time, so the pool for writing has one connection and a queue before it;
/// readers see the last committed state meanwhile (WAL).
pub(in crate::store) async fn open(url: &str) -> Result<Ways<Sqlite>, sqlx::Error> {
    // NORMAL with WAL loses nothing when a process is killed; only power loss can take back the last
    // commits, and a platform that must survive that runs on PostgreSQL.
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    let writer = SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(PATIENCE)
        // When the disk gives errors SQLite takes a transaction back by itself, and `sqlx` believes for ever
        // that it is in one: nothing could be changed on this connection any more.
        .before_acquire(|conn, _| Box::pin(std::future::ready(Ok(!conn.is_in_transaction()))))
        .connect_with(options.clone())
        .await?;
    let options = options.pragma("query_only", "1");
    let readers = |n, patience| -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(n)
            .acquire_timeout(patience)
            .connect_lazy_with(options.clone())
    };
    Ok(Ways {
        writer,
        vital: readers(N_VITAL, PATIENCE),
        screens: readers(pools::screens(), Work::Screen.queues()),
        searches: readers(pools::searches(), Work::Search.queues()),
        background: readers(N_BACKGROUND, Work::Background.queues()),
    })
}

/// From now on what runs on this connection ends once `stop` is true.
pub(in crate::store) async fn stop_when(
    conn: &mut PoolConnection<Sqlite>,
    stop: &Arc<AtomicBool>,
) -> Result<(), sqlx::Error> {
    let stop = Arc::clone(stop);
    let mut handle = conn.lock_handle().await?;
    handle.set_progress_handler(LOOK_EVERY, move || !stop.load(Ordering::Relaxed));
    Ok(())
}

/// True for the code of a lock that another process has, with more about it in the upper bits.
pub(in crate::store) fn is_busy(code: u32) -> bool {
    code & 0xff == 5
}

/// The last audit row's number and hash; none before the first. The writer is alone anyway.
pub(in crate::store) const AUDIT_HEAD: &str = "SELECT seq, hash FROM audit_logs ORDER BY seq DESC LIMIT 1";
