//! Steps of an upgrade on SQLite, whose file one process has.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::super::statement::To;
use super::fill::Fill;
use super::progress::{Teller, Upgrading};
use super::steps::{self, Index, Step};

/// Takes all steps that aren't taken.
pub(super) async fn take(conn: &mut SqliteConnection, told: &Upgrading) -> Result<(), sqlx::Error> {
    let all: Vec<&Step> = steps::of(false).collect();
    let taken: Vec<String> = sqlx::query_scalar("SELECT name FROM schema_steps WHERE ended_at IS NOT NULL")
        .fetch_all(&mut *conn)
        .await?;
    for (at, step) in all.iter().enumerate() {
        if taken.iter().any(|name| name == step.name()) {
            continue;
        }
        let mut teller = Teller::of(told, step.words(), at + 1, all.len());
        teller.tell(0, 0);
        sqlx::query("INSERT INTO schema_steps (name) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(step.name())
            .execute(&mut *conn)
            .await?;
        match step {
            Step::Index(Index { name, table, over }) => {
                let text = format!("CREATE INDEX IF NOT EXISTS {name} ON {table} {over}");
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *conn).await?;
            }
            Step::Fill(step) => fill(conn, step, &mut teller).await?,
            Step::Gone(name) => {
                let text = format!("DROP INDEX IF EXISTS {name}");
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *conn).await?;
            }
            // Nobody else works with the file: its triggers come with the migration.
            Step::Trigger(_) | Step::Count(..) => {}
        }
        sqlx::query("UPDATE schema_steps SET ended_at = datetime('now') WHERE name = $1")
            .bind(step.name())
            .execute(&mut *conn)
            .await?;
        teller.end();
    }
    Ok(())
}

async fn fill(conn: &mut SqliteConnection, fill: &Fill, teller: &mut Teller<'_>) -> Result<(), sqlx::Error> {
    let mut upto: String = sqlx::query_scalar("SELECT upto FROM schema_steps WHERE name = $1")
        .bind(fill.name)
        .fetch_one(&mut *conn)
        .await?;
    let of = format!("SELECT COUNT(*) FROM {}", fill.table);
    let of: i64 = sqlx::query_scalar(AssertSqlSafe(of))
        .fetch_one(&mut *conn)
        .await?;
    let mut n = 0;
    loop {
        let mut tx = conn.begin().await?;
        let next = fill.next(To::Sqlite(&mut tx), &upto).await?;
        tx.commit().await?;
        let Some(next) = next else { return Ok(()) };
        upto = next;
        n += Fill::stretch();
        teller.tell(n, of);
    }
}
