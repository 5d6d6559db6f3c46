//! The schema, brought up to date, or a clear word on why it can't be. An account that may not change
//! the schema, as the server's own should not, can work with one that is up to date.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgListener;
use sqlx::{PgPool, SqlitePool};

use super::address::redacted;
use super::{StoreError, dialect};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// SQLite's.
pub(super) async fn bring_up_sqlite(pool: &SqlitePool, url: &str) -> Result<(), StoreError> {
    SQLITE.run(pool).await.map_err(|error| said(error, url, &SQLITE))
}

/// PostgreSQL's. Several servers may start at once: one of them changes it, the others wait.
pub(super) async fn bring_up_postgres(pool: &PgPool, url: &str) -> Result<(), StoreError> {
    if is_up_to_date(pool, url).await? {
        return Ok(());
    }
    POSTGRES
        .run(pool)
        .await
        .map_err(|error| said(error, url, &POSTGRES))
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
        _ => Fit::Same,
    })
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
