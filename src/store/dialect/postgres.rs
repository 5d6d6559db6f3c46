//! PostgreSQL only: how its connections are set up, and how several servers stay out of each other's way.
//!
//! Transactions are READ COMMITTED, and what is read to be changed is locked first. SERIALIZABLE would
//! refuse nearly every second of two concurrent changes, since each appends to the one audit chain.
//! Rows are locked in this order, so that nobody waits in a circle: run, request, certificate, key, agent,
//! installation, job, adapter; the head of the audit chain is the last. Where that can't be kept, the
//! database notices the circle and takes one of them back, which may be tried again ([`is_passing`]).

use std::io::ErrorKind;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgConnection, PgPool, Postgres, Transaction};

use super::Locking;
use crate::store::locked::Holder;
use crate::store::pools::{self, Ways, Work};
use crate::store::tls;
use crate::store::trouble::Troubles;

/// Time that a caller waits for a connection. With the time for a lock it ends before the console's patience does
/// (`clients/api.rs`), so that who waits in vain is told what for.
const PATIENCE: Duration = Duration::from_secs(6);

/// Connections by kind of work: changes, short reads that others' work hangs on, and what nobody waits for. With those
/// for questions of screens, listening and leading, five processes fit into the hundred that PostgreSQL allows if
/// nobody says otherwise.
const N_WRITERS: u32 = 6;
const N_VITAL: u32 = 4;
const N_BACKGROUND: u32 = 2;

/// Said to each new connection. A server that hangs in the middle of a transaction must not hold the
/// audit chain for ever.
const SETTINGS: &str = "SET lock_timeout = '3s'; SET statement_timeout = '30s'; \
                        SET idle_in_transaction_session_timeout = '30s'";
/// Said to each new connection for short reads: one that isn't short gives its place back.
const VITAL: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s'";
/// Said to each new connection for questions, which the caller ends sooner: for a caller that is gone
/// without a word.
const SCREENS: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s'";

/// Said to each new connection for searches: what is looked for decides on the plan, since one that fits any word knows
/// not which one is rare.
const SEARCHES: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s'; \
                        SET plan_cache_mode = force_custom_plan";

/// Said to each new connection: its questions get one core each. What is won by more of them is won for the one who
/// asks, and lost for all others. Nor is a statement compiled, which takes longer than all but the longest.
pub(in crate::store) const ONE_CORE: &str = "SET max_parallel_workers_per_gather = 0; SET jit = off";

/// Said to each new connection of a console: it only reads, whatever its account may, and asks nothing that
/// takes long; a search is planned as at a server's.
pub(in crate::store) const READ_ONLY: &str = "SET default_transaction_read_only = on; \
                        SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'; \
                        SET plan_cache_mode = force_custom_plan";

/// How a host is. Whether it is behind is asked against the place in the log at `$1`, or else against what it
/// has received; a primary is behind nobody. One that replayed nothing since its start shows what was before that.
pub(in crate::store) const LOOK: &str = "SELECT pg_is_in_recovery() AS replica, \
    CASE WHEN pg_is_in_recovery() THEN 0 \
         ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline, \
    EXISTS (SELECT FROM pg_stat_wal_receiver) AS follows, \
    pg_last_wal_receive_lsn()::text AS received, pg_last_wal_replay_lsn()::text AS replayed, \
    CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS paused, \
    pg_is_in_recovery() AND coalesce( \
        pg_last_wal_replay_lsn() < coalesce($1::text::pg_lsn, pg_last_wal_receive_lsn()), false) AS behind, \
    pg_last_xact_replay_timestamp() AS last_change, \
    greatest(0, extract(epoch FROM clock_timestamp() \
        - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time())) * 1000)::bigint AS age_ms";

/// Waits until no other transaction does what `$1` names. Our advisory locks are numbered so that they are
/// nobody else's: by the letters `cmp`, and the next number.
pub(in crate::store) const ALONE: &str = "SELECT pg_advisory_xact_lock(6516080, hashtext($1))";
/// `true` if this connection is, from now on, the one that leads.
pub(in crate::store) const LEAD: &str = "SELECT pg_try_advisory_lock(6516081, 1)";
/// `true` if this connection is, from now on, the one that brings the schema up to date.
pub(in crate::store) const UPGRADE: &str = "SELECT pg_try_advisory_lock(6516082, 1)";

/// The last audit row's number and hash; held until the transaction ends.
pub(in crate::store) const AUDIT_HEAD: &str = "SELECT seq, hash FROM audit_head_hold()";

/// Makes the partitions of the audit trail that are missing, from the month of `$1` on.
pub(in crate::store) const AUDIT_PARTITIONS: &str = "SELECT audit_logs_make_partitions($1, 3)";

/// Where changes are told to other processes, when they are committed.
pub(in crate::store) const CHANNEL: &str = "cmp_changes";
/// Tells one.
pub(in crate::store) const NOTIFY: &str = "SELECT pg_notify('cmp_changes', $1)";
/// No notification may be longer, in bytes.
pub(in crate::store) const NOTIFY_AT_MOST: usize = 7900;

/// Which running server this is. The timeline in the control file is the former one until the first checkpoint
/// after a promotion, so that a primary is asked for what it writes.
pub(in crate::store) const INSTANCE: &str = "SELECT (SELECT system_identifier::text FROM pg_control_system()), \
    CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint()) \
         ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END, \
    pg_postmaster_start_time()";

/// The database's time, whether it is a replica, whether it is set read-only for this session, how many of this account's
/// changes wait for a synchronous standby longer than one that is there takes, and how many for a lock longer than one
/// is held that ends by itself.
pub(in crate::store) const HOW_IS_IT: &str = "SELECT clock_timestamp(), pg_is_in_recovery(), \
    current_setting('default_transaction_read_only')::bool, \
    (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = current_user \
        AND query_start < now() - interval '3 seconds'), \
    (SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = current_user \
        AND datname = current_database() AND query_start < now() - interval '2 seconds')";

/// The transaction that this account's work waits for, and that waits for nobody itself. Of another account's no more
/// is told than process and program, and the number that its locks have.
const LOCK_HOLDER: &str = "SELECT h.pid, a.application_name, a.xact_start, \
        (SELECT l.virtualtransaction FROM pg_locks l WHERE l.pid = h.pid LIMIT 1), \
        coalesce(a.wait_event = 'SyncRep', false) \
    FROM (SELECT DISTINCT unnest(pg_blocking_pids(w.pid)) AS pid FROM pg_stat_activity w \
          WHERE w.wait_event_type = 'Lock' AND w.usename = current_user AND w.datname = current_database()) h \
    LEFT JOIN pg_stat_activity a ON a.pid = h.pid \
    WHERE h.pid = 0 OR cardinality(pg_blocking_pids(h.pid)) = 0 \
    ORDER BY a.xact_start NULLS FIRST, h.pid LIMIT 1";

/// Test for a transaction that was seen to hold a lock.
const STILL_HOLDS: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND virtualtransaction = $2)";
/// Test for a prepared one.
const ANY_PREPARED: &str =
    "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())";

/// A lock that wasn't free in time.
pub(in crate::store) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What time it is for the database, alone.
pub(in crate::store) const NOW: &str = "SELECT now()";

/// Whether a replica receives from the one before it, and from where: only an account that may see statistics is
/// told that.
pub(in crate::store) const UPSTREAM: &str = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver), \
    (SELECT sender_host || ':' || sender_port FROM pg_stat_wal_receiver)";

/// Word that a new session gets of changes, and which place says so.
const SET_READ_ONLY: &str = "SELECT setting::bool, source FROM pg_settings \
    WHERE name = 'default_transaction_read_only'";

/// The process that works for this session with what time it is there, and the word for one of the same account to
/// stop.
const BACKEND: &str = "SELECT pg_backend_pid(), clock_timestamp()";
const CANCEL: &str = "SELECT pg_cancel_backend($1)";

/// Whether the schema was made, and which of its versions.
pub(in crate::store) const HAS_SCHEMA: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";

/// True if it was made in a schema of the database that this account may not use.
pub(in crate::store) const HAS_HIDDEN_SCHEMA: &str = "SELECT EXISTS (SELECT 1 FROM pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relname = '_sqlx_migrations' AND NOT has_schema_privilege(n.oid, 'USAGE'))";

/// What is put after a statement that reads rows to change them. The key of a row never changes, so a
/// foreign key's check need not wait: that is what NO KEY says.
pub(in crate::store) fn locking(locking: Locking) -> String {
    match locking {
        Locking::Wait(table) => format!(" FOR NO KEY UPDATE OF {table}"),
        Locking::Share(table) => format!(" FOR SHARE OF {table}"),
        Locking::Skip(table) => format!(" FOR NO KEY UPDATE OF {table} SKIP LOCKED"),
    }
}

/// Whether what went wrong is nobody's fault and gone when it is tried again: a deadlock, a conflict of
/// two transactions, a server that goes down or comes up.
pub(in crate::store) fn is_passing(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "53300") || code.starts_with("57P")
}

/// The connections, a pool for each kind of work. A session that goes by what is no longer set is not used again.
pub(in crate::store) async fn open(url: &str, troubles: &Troubles) -> Result<Ways<Postgres>, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?.application_name("cmp");
    tls::check_ca(&options)?;
    if let Some(unchecked) = tls::unchecked(&options) {
        tracing::warn!(
            "the way to the database isn't safe: {unchecked}; say `sslmode=verify-full` in its address, and \
             `sslrootcert=FILE` for a CA of your own"
        );
    }
    let pool = |n, patience, settings: &'static str| {
        PgPoolOptions::new()
            .max_connections(n)
            .acquire_timeout(patience)
            .before_acquire({
                let troubles = troubles.clone();
                move |_, session| {
                    let is_used = !troubles.is_outdated(session.age);
                    Box::pin(async move { Ok(is_used) })
                }
            })
            .after_connect(move |conn, _| {
                Box::pin(async move {
                    conn.execute(settings).await?;
                    conn.execute(ONE_CORE).await?;
                    Ok(())
                })
            })
    };
    let writer = pool(N_WRITERS, PATIENCE, SETTINGS)
        // A transaction's beginning tells whether the connection is open: see `begin`.
        .test_before_acquire(false)
        .connect_with(options.clone())
        .await?;
    let readers = |n, patience, settings| pool(n, patience, settings).connect_lazy_with(options.clone());
    Ok(Ways {
        writer,
        vital: readers(N_VITAL, PATIENCE, VITAL),
        screens: readers(pools::screens(), Work::Screen.queues(), SCREENS),
        searches: readers(pools::searches(), Work::Search.queues(), SEARCHES),
        background: readers(N_BACKGROUND, Work::Background.queues(), SETTINGS),
    })
}

/// Begins a transaction. A connection that was lost since its last use tells so here, before anything is done on it,
/// and another one is taken.
pub(in crate::store) async fn begin(writers: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut n_lost = 0;
    loop {
        match writers.begin().await {
            Err(error) if n_lost < N_WRITERS && is_lost(&error) => n_lost += 1,
            begun => return begun,
        }
    }
}

/// True if the other end hung up, or was told to.
fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code == "57P01"),
        _ => false,
    }
}

/// The process at the database that works for this connection, and what time it is there.
pub(in crate::store) async fn backend(
    conn: &mut PoolConnection<Postgres>,
) -> Result<(i32, DateTime<Utc>), sqlx::Error> {
    sqlx::query_as(BACKEND).fetch_one(&mut **conn).await
}

/// Stops what that process is working on, if it still is. What can't be told ends by its own time limit.
pub(in crate::store) async fn stop(beside: PgPool, backend: i32) {
    let told = sqlx::query(CANCEL).bind(backend).execute(&beside).await;
    if let Err(error) = told {
        tracing::debug!(%error, "a question that nobody waits for can't be stopped");
    }
}

/// A row of [`LOCK_HOLDER`].
type LockHolder = (i32, Option<String>, Option<DateTime<Utc>>, Option<String>, bool);

/// Holder of the lock that this account's work waits for.
pub(in crate::store) async fn lock_holder(conn: &mut PgConnection) -> Result<Option<Holder>, sqlx::Error> {
    let found: Option<LockHolder> = sqlx::query_as(LOCK_HOLDER).fetch_optional(conn).await?;
    Ok(
        found.map(|(process, program, since, transaction, is_committed)| Holder {
            process: (process != 0).then_some(process),
            program,
            since,
            transaction,
            is_committed,
        }),
    )
}

/// True if that transaction is still there.
pub(in crate::store) async fn still_holds(
    conn: &mut PgConnection,
    holder: &Holder,
) -> Result<bool, sqlx::Error> {
    let asked = match holder.process {
        Some(process) => sqlx::query_scalar(STILL_HOLDS)
            .bind(process)
            .bind(&holder.transaction),
        None => sqlx::query_scalar(ANY_PREPARED),
    };
    asked.fetch_one(conn).await
}

/// Whether it only follows another one, and how it does.
pub(in crate::store) async fn upstream(conn: &mut PgConnection) -> Result<Option<Upstream>, sqlx::Error> {
    let takes_changes: bool = sqlx::query_scalar("SELECT NOT pg_is_in_recovery()")
        .fetch_one(&mut *conn)
        .await?;
    if takes_changes {
        return Ok(None);
    }
    let (receives, from): (bool, Option<String>) = sqlx::query_as(UPSTREAM).fetch_one(conn).await?;
    Ok(Some(Upstream { receives, from }))
}

/// Setting by which sessions only read, and by which place.
pub(in crate::store) async fn set_read_only(conn: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let (is_so, place): (bool, String) = sqlx::query_as(SET_READ_ONLY).fetch_one(conn).await?;
    Ok(is_so.then_some(place))
}

/// How a replica follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// It receives from the one before it, which therefore lives.
    pub receives: bool,
    /// Where that is, as far as this account is told.
    pub from: Option<String>,
}
