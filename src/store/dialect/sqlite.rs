//! SQLite only: how its file is opened and how its one writer takes its turn.

use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool};

/// How long a statement waits for another process's write before it gives up.
const BUSY: Duration = Duration::from_secs(10);

/// Readers that may work at once.
const N_READERS: u32 = 4;

/// Takes the write lock at once: a transaction that first reads and then writes could otherwise find
/// that another one wrote in between, and would have to be thrown away.
pub(in crate::store) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// SQLite has one writer at a time, so the pool for writing has one connection and a queue before it;
/// readers see the last committed state meanwhile (WAL).
pub(in crate::store) async fn open(url: &str) -> Result<(SqlitePool, SqlitePool), sqlx::Error> {
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
        .acquire_timeout(BUSY)
        // When the disk gives errors SQLite takes a transaction back by itself, and `sqlx` believes for ever
        // that it is in one: nothing could be changed on this connection any more.
        .before_acquire(|conn, _| Box::pin(std::future::ready(Ok(!conn.is_in_transaction()))))
        .connect_with(options.clone())
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(N_READERS)
        .acquire_timeout(BUSY)
        .connect_lazy_with(options.pragma("query_only", "1"));
    Ok((writer, readers))
}

/// The last audit row's number and hash; none before the first. The writer is alone anyway.
pub(in crate::store) const AUDIT_HEAD: &str = "SELECT seq, hash FROM audit_logs ORDER BY seq DESC LIMIT 1";
