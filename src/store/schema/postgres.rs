//! Steps of an upgrade on PostgreSQL, while servers of the version before work with the same tables. One process takes
//! them, the others wait; what was interrupted is gone on with.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::super::dialect::postgres::{LOCK_NOT_AVAILABLE, UPGRADE};
use super::super::statement::To;
use super::fill::Fill;
use super::progress::{Teller, Upgrading};
use super::steps::{self, Index, Step, Trigger};

/// Between two looks whether it is this process's turn, and how far an index is.
const LOOK: Duration = Duration::from_millis(500);
/// Between two attempts to have a table for a moment.
const AGAIN: Duration = Duration::from_secs(1);
/// So often somebody else's lock is waited for, three seconds each: in an upgrade that nobody watches, who holds it
/// ends some time.
const ATTEMPTS: u32 = 100;

/// Settings of a step's connection: no statement is too long, and who waits for a table holds nobody up for long.
const SETTINGS: &str =
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '3s'";
/// An index that is built or dropped beside its table waits for older transactions, and nobody waits for it.
const PATIENT: &str = "SET lock_timeout = 0";

/// Progress of the index that a session builds.
const BUILT: &str = "SELECT GREATEST(blocks_done, tuples_done), GREATEST(blocks_total, tuples_total) \
    FROM pg_stat_progress_create_index WHERE pid = $1";

/// Test of an index: nothing where it isn't there, and else whether it is whole.
const IS_WHOLE: &str = "SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass($1)";

/// The parts of a partitioned table that an index of it hasn't yet; a table that isn't parted has none.
const PARTS: &str = "SELECT p.inhrelid::regclass::text FROM pg_inherits p WHERE p.inhparent = $1::regclass \
    AND NOT EXISTS (SELECT FROM pg_inherits a JOIN pg_index i ON i.indexrelid = a.inhrelid \
                    WHERE a.inhparent = $2::regclass AND i.indrelid = p.inhrelid) ORDER BY 1";

/// The names of the steps that are taken.
pub(super) async fn taken(conn: &mut PgConnection) -> Result<BTreeSet<String>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM schema_steps WHERE ended_at IS NOT NULL")
        .fetch_all(conn)
        .await?;
    Ok(names.into_iter().collect())
}

/// Takes all steps that aren't taken.
pub(super) async fn take(options: &PgConnectOptions, told: &Upgrading) -> Result<(), sqlx::Error> {
    // They take as long as they take, which is told.
    let options = &options.clone().disable_statement_logging();
    let mut conn = PgConnection::connect_with(options).await?;
    sqlx::raw_sql(SETTINGS).execute(&mut conn).await?;
    let done = work(options, &mut conn, told).await;
    // It lets go of its turn by ending.
    let _ = conn.close().await;
    done
}

async fn work(
    options: &PgConnectOptions,
    conn: &mut PgConnection,
    told: &Upgrading,
) -> Result<(), sqlx::Error> {
    let all: Vec<&Step> = steps::of(true).collect();
    // A wait for the turn inside of the database would hold up the index that another one builds.
    loop {
        let taken = taken(conn).await?;
        if all.iter().all(|step| taken.contains(step.name())) {
            return Ok(());
        }
        if sqlx::query_scalar(UPGRADE).fetch_one(&mut *conn).await? {
            break;
        }
        let mut teller = Teller::of(told, "another server is at it".to_owned(), taken.len(), all.len());
        tokio::time::sleep(LOOK).await;
        teller.tell_at_once();
    }
    let taken = taken(conn).await?;
    for (at, step) in all.iter().enumerate() {
        if taken.contains(step.name()) {
            continue;
        }
        let mut teller = Teller::of(told, step.words(), at + 1, all.len());
        sqlx::query("INSERT INTO schema_steps (name) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(step.name())
            .execute(&mut *conn)
            .await?;
        match step {
            Step::Index(index) => build(options, conn, index, &mut teller).await?,
            Step::Fill(step) => fill(conn, step, &mut teller).await?,
            Step::Gone(name) => drop_index(conn, name).await?,
            Step::Trigger(trigger) => set(conn, trigger).await?,
            Step::Count(_, tables) => {
                patiently(conn, &format!("ANALYZE {}", tables.join(", "))).await?;
            }
        }
        sqlx::query("UPDATE schema_steps SET ended_at = now() WHERE name = $1")
            .bind(step.name())
            .execute(&mut *conn)
            .await?;
        teller.end();
    }
    Ok(())
}

/// Sets a trigger, which was set before where nobody came to note it.
async fn set(conn: &mut PgConnection, trigger: &Trigger) -> Result<(), sqlx::Error> {
    let Trigger {
        name,
        table,
        event,
        only,
        function,
    } = trigger;
    let only = only.map_or(String::new(), |only| format!("WHEN ({only}) "));
    let is_set: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname = $2)",
    )
    .bind(table)
    .bind(name)
    .fetch_one(&mut *conn)
    .await?;
    match is_set {
        true => Ok(()),
        false => {
            let text = format!(
                "CREATE TRIGGER {name} {event} ON {table} FOR EACH ROW {only}EXECUTE FUNCTION {function}"
            );
            patiently(conn, &text).await
        }
    }
}

async fn fill(conn: &mut PgConnection, fill: &Fill, teller: &mut Teller<'_>) -> Result<(), sqlx::Error> {
    let mut upto: String = sqlx::query_scalar("SELECT upto FROM schema_steps WHERE name = $1")
        .bind(fill.name)
        .fetch_one(&mut *conn)
        .await?;
    let of: f32 = sqlx::query_scalar("SELECT reltuples FROM pg_class WHERE oid = $1::regclass")
        .bind(fill.table)
        .fetch_one(&mut *conn)
        .await?;
    let mut n = 0;
    loop {
        let mut attempts = 0;
        let next = loop {
            let mut tx = conn.begin().await?;
            match fill.next(To::Postgres(&mut tx), &upto).await {
                Ok(next) => {
                    tx.commit().await?;
                    break next;
                }
                Err(error) if attempts < ATTEMPTS && may_be_tried_again(&error) => {
                    tx.rollback().await?;
                    attempts += 1;
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        };
        let Some(next) = next else { return Ok(()) };
        upto = next;
        n += Fill::stretch();
        teller.tell(n, saturated(of));
    }
}

/// The number of rows that PostgreSQL believes there are; less than none where it doesn't know.
fn saturated(rows: f32) -> i64 {
    // A float's conversion saturates.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a number of rows is whole, and far from the bounds"
    )]
    let rows = rows as i64;
    rows
}

/// Builds an index beside its table; of a table in parts, one part after the other.
async fn build(
    options: &PgConnectOptions,
    conn: &mut PgConnection,
    index: &Index,
    teller: &mut Teller<'_>,
) -> Result<(), sqlx::Error> {
    let Index { name, table, over } = index;
    let is_parted: bool = sqlx::query_scalar("SELECT relkind = 'p' FROM pg_class WHERE oid = $1::regclass")
        .bind(table)
        .fetch_one(&mut *conn)
        .await?;
    if !is_parted {
        return build_beside(options, conn, index.name, table, over, teller).await;
    }
    // From here on each new part is made with it.
    let of_all = format!("CREATE INDEX IF NOT EXISTS {name} ON ONLY {table} {over}");
    patiently(conn, &of_all).await?;
    let parts: Vec<String> = sqlx::query_scalar(PARTS)
        .bind(table)
        .bind(name)
        .fetch_all(&mut *conn)
        .await?;
    for part in parts {
        teller.of_part(&part);
        let suffix = name.strip_prefix(table).unwrap_or(name);
        let of_part = format!("{part}{suffix}");
        build_beside(options, conn, &of_part, &part, over, teller).await?;
        patiently(conn, &format!("ALTER INDEX {name} ATTACH PARTITION {of_part}")).await?;
    }
    Ok(())
}

/// Builds the index of one table while others write to it.
async fn build_beside(
    options: &PgConnectOptions,
    conn: &mut PgConnection,
    name: &str,
    table: &str,
    over: &str,
    teller: &mut Teller<'_>,
) -> Result<(), sqlx::Error> {
    let is_whole: Option<bool> = sqlx::query_scalar(IS_WHOLE)
        .bind(name)
        .fetch_optional(&mut *conn)
        .await?;
    match is_whole {
        Some(true) => return Ok(()),
        // Left by an interrupted one.
        Some(false) => drop_index(conn, name).await?,
        None => {}
    }
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut *conn)
        .await?;
    sqlx::raw_sql(PATIENT).execute(&mut *conn).await?;
    let text = format!("CREATE INDEX CONCURRENTLY {name} ON {table} {over}");
    {
        let mut beside = None;
        let building = sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *conn);
        let mut building = std::pin::pin!(building);
        loop {
            let waited = tokio::time::timeout(LOOK, &mut building).await;
            if let Ok(built) = waited {
                built?;
                break;
            }
            if beside.is_none() {
                beside = PgConnection::connect_with(options).await.ok();
            }
            // Progress is nobody's need: the index is built all the same.
            let Some(on) = &mut beside else { continue };
            let progress: Option<(i64, i64)> = sqlx::query_as(BUILT)
                .bind(pid)
                .fetch_optional(on)
                .await
                .unwrap_or_default();
            let (done, of) = progress.unwrap_or_default();
            teller.tell(done, of);
        }
    }
    sqlx::raw_sql(SETTINGS).execute(conn).await?;
    Ok(())
}

async fn drop_index(conn: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(PATIENT).execute(&mut *conn).await?;
    patiently(conn, &format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
    sqlx::raw_sql(SETTINGS).execute(conn).await?;
    Ok(())
}

/// Runs a statement that has a table for itself for a moment: while somebody else has it, again and again.
async fn patiently(conn: &mut PgConnection, text: &str) -> Result<(), sqlx::Error> {
    let mut attempts = 0;
    loop {
        match sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
            .execute(&mut *conn)
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if attempts < ATTEMPTS && may_be_tried_again(&error) => {
                attempts += 1;
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// True of a lock that wasn't free in time, and of two that waited for each other.
pub(super) fn may_be_tried_again(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    error
        .code()
        .is_some_and(|code| code == LOCK_NOT_AVAILABLE || code == "40P01")
}
