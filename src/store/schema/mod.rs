//! The schema, brought up to date, or a clear word on why it can't be. An account that may not change
//! the schema, as the server's own should not, can work with one that is up to date.
//!
//! A migration takes no time, however much is in the database. What does is a step of its own after it
//! ([`steps`]), so that servers of the version before go on working, and who waits is told how far it is.

mod fill;
mod postgres;
mod progress;
mod sqlite;
mod steps;

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgListener;
use sqlx::{PgPool, SqlitePool};

use super::address::redacted;
use super::{StoreError, dialect};

pub use progress::{Progress, Upgrading};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Attempts to have the tables for the moment that a migration takes, three seconds each, and the time between two.
const ATTEMPTS: u32 = 20;
const AGAIN: Duration = Duration::from_secs(1);

/// SQLite's.
pub(super) async fn bring_up_sqlite(
    pool: &SqlitePool,
    url: &str,
    told: &Upgrading,
) -> Result<(), StoreError> {
    let failed = |error| said(error, url, &SQLITE);
    SQLITE.run(pool).await.map_err(failed)?;
    let taken = async { sqlite::take(&mut *pool.acquire().await?, told).await };
    taken.await.map_err(MigrateError::Execute).map_err(failed)
}

/// PostgreSQL's. Several servers may start at once: one of them changes it, the others wait.
pub(super) async fn bring_up_postgres(pool: &PgPool, url: &str, told: &Upgrading) -> Result<(), StoreError> {
    let failed = |error| said(error, url, &POSTGRES);
    if !is_up_to_date(pool, url).await? {
        let mut attempts = 0;
        while let Err(error) = POSTGRES.run(pool).await {
            let (MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) = &error else {
                return Err(failed(error));
            };
            if attempts == ATTEMPTS || !postgres::may_be_tried_again(source) {
                return Err(failed(error));
            }
            if attempts == 0 {
                tracing::info!("the schema can't be changed yet: others have its tables in use");
            }
            attempts += 1;
            tokio::time::sleep(AGAIN).await;
        }
    }
    let taken = async {
        let taken = postgres::taken(&mut *pool.acquire().await?).await?;
        match steps::of(true).all(|step| taken.contains(step.name())) {
            true => Ok(()),
            false => postgres::take(&pool.connect_options(), told).await,
        }
    };
    taken.await.map_err(MigrateError::Execute).map_err(failed)
}

/// Looked up before anything is changed, since only the schema's owner could.
async fn is_up_to_date(pool: &PgPool, url: &str) -> Result<bool, StoreError> {
    let doing = "looking up the version of the schema";
    let there: bool = sqlx::query_scalar(dialect::postgres::HAS_SCHEMA)
        .fetch_one(pool)
        .await
        .map_err(StoreError::because(doing))?;
    if !there {
        return Ok(false);
    }
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(pool)
            .await
            .map_err(StoreError::because(doing))?;
    for (version, checksum) in &applied {
        match POSTGRES.iter().find(|known| known.version == *version) {
            None => return Err(said(MigrateError::VersionMissing(*version), url, &POSTGRES)),
            Some(known) if *known.checksum != **checksum => {
                return Err(said(MigrateError::VersionMismatch(*version), url, &POSTGRES));
            }
            Some(_) => {}
        }
    }
    Ok(applied.len() == POSTGRES.iter().count())
}

/// Whether a program that only reads knows the schema.
pub(super) enum Fit {
    /// It does.
    Same,
    /// It does not, and why.
    Not(String),
    /// There is none.
    NoTables,
}

fn lacks_rights(why: &str) -> Fit {
    Fit::Not(format!(
        "the schema's version can't be read: {why}; run `deploy/postgres/roles.sql` there, as a superuser"
    ))
}

/// Looks whether the schema is the one that this program knows.
pub(super) async fn fit(on: &mut PgListener) -> Result<Fit, StoreError> {
    let doing = "looking up the version of the schema";
    let newest = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(&mut *on)
        .await;
    let found: Option<i64> = match newest {
        Ok(found) => found,
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P01" | "3F000")) => {
            // A schema that this account may not use isn't searched at all: its tables only look gone.
            let hidden: bool = sqlx::query_scalar(dialect::postgres::HAS_HIDDEN_SCHEMA)
                .fetch_one(on)
                .await
                .map_err(StoreError::because(doing))?;
            if !hidden {
                return Ok(Fit::NoTables);
            }
            return Ok(lacks_rights(error.message()));
        }
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {
            return Ok(lacks_rights(error.message()));
        }
        Err(error) => return Err(StoreError::because(doing)(error)),
    };
    let known = POSTGRES.iter().map(|it| it.version).max().unwrap_or(0);
    Ok(match found.unwrap_or(0) {
        found if found > known => Fit::Not(format!(
            "its schema is at version {found}, newer than the {known} that this console knows: take a newer console"
        )),
        found if found < known => Fit::Not(format!(
            "its schema is at version {found}, older than the {known} that this console knows: \
             `cmp-server --migrate-only`"
        )),
        _ => return steps_are_taken(on).await,
    })
}

async fn steps_are_taken(on: &mut PgListener) -> Result<Fit, StoreError> {
    let taken = sqlx::query_scalar("SELECT name FROM schema_steps WHERE ended_at IS NOT NULL")
        .fetch_all(on)
        .await;
    let taken: Result<Vec<String>, sqlx::Error> = taken;
    match taken {
        Ok(taken) if steps::of(true).all(|step| taken.iter().any(|name| name == step.name())) => {
            Ok(Fit::Same)
        }
        Ok(_) => Ok(Fit::Not(
            "its schema is being brought up to date; if nobody is at it: `cmp-server --migrate-only`"
                .to_owned(),
        )),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {
            Ok(lacks_rights(error.message()))
        }
        Err(error) => Err(StoreError::because("looking up the version of the schema")(error)),
    }
}

fn said(error: MigrateError, url: &str, known: &Migrator) -> StoreError {
    let url = redacted(url);
    let known = known.iter().map(|it| it.version).max().unwrap_or(0);
    match error {
        MigrateError::VersionMissing(found) => StoreError::NewerSchema { url, found, known },
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
            if lacks_trigrams(&source) =>
        {
            StoreError::NoTrigrams { url, source }
        }
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) if may_not(&source) => {
            StoreError::SchemaNotMine { url, source }
        }
        source => StoreError::Migrate { url, source },
    }
}

/// The extension isn't installed on that machine, or isn't this account's to add.
fn lacks_trigrams(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    matches!(
        error.code().as_deref(),
        Some("58P01" | "0A000" | "42704" | "42501")
    ) && ["pg_trgm", "gin_trgm_ops"]
        .iter()
        .any(|it| error.message().contains(it))
}

/// Read-only (a replica, or a file or session that is so), or not this account's to change.
fn may_not(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    // SQLITE_READONLY is 8, with what is read-only in the upper bits.
    let sqlite = || {
        error
            .code()
            .and_then(|code| code.parse::<i64>().ok())
            .is_some_and(|code| code & 0xff == 8)
    };
    matches!(error.code().as_deref(), Some("25006" | "42501")) || sqlite()
}
