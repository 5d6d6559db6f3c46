//! Rows of a table brought up to date a stretch at a time: each is a transaction, which also notes how far it came.

use sqlx::AssertSqlSafe;

use super::super::statement::{Raw, To, Value, sql};

/// Rows of a stretch: tens of milliseconds, for which others may wait.
const STRETCH: u32 = 1_000;

/// Work on all rows of a table that were there before the migration.
pub(super) struct Fill {
    pub(super) name: &'static str,
    /// Sentence about it, for people.
    pub(super) words: &'static str,
    pub(super) table: &'static str,
    /// The column with the id, which the rows are gone through by.
    pub(super) id: &'static str,
    pub(super) number_as_id: bool,
    /// The statement for the rows after `$1`, up to `$2`. It changes nothing where it was done before.
    pub(super) batch: &'static str,
}

impl Fill {
    /// Does the next stretch after `upto`; where it ended, or none if there are no more rows. Within the caller's
    /// transaction.
    pub(super) async fn next(&self, mut on: To<'_>, upto: &str) -> Result<Option<String>, sqlx::Error> {
        let (table, id) = (self.table, self.id);
        let last = format!(
            "SELECT CAST(MAX(b.id) AS text) FROM (SELECT t.{id} AS id FROM {table} t WHERE t.{id} > $1 \
             ORDER BY t.{id} LIMIT {STRETCH}) b"
        );
        let last: Option<Option<String>> = sql(AssertSqlSafe(last))
            .bind(self.place(upto))
            .fetch_optional(raw(&mut on))
            .await?;
        let Some(last) = last.flatten() else {
            return Ok(None);
        };
        sql(self.batch)
            .bind(self.place(upto))
            .bind(self.place(&last))
            .execute(raw(&mut on))
            .await?;
        sql("UPDATE schema_steps SET upto = $2 WHERE name = $1")
            .bind(self.name)
            .bind(&last)
            .execute(raw(&mut on))
            .await?;
        Ok(Some(last))
    }

    /// Number of the rows that are gone through at once, at most.
    pub(super) fn stretch() -> i64 {
        i64::from(STRETCH)
    }

    fn place(&self, upto: &str) -> Value {
        match self.number_as_id {
            true => Value::from(upto.parse::<i64>().unwrap_or(0)),
            false => Value::from(upto),
        }
    }
}

/// A connection once more, for one more statement.
fn raw<'c>(on: &'c mut To<'_>) -> Raw<'c> {
    Raw {
        to: match on {
            To::Sqlite(conn) => To::Sqlite(conn),
            To::Postgres(conn) => To::Postgres(conn),
        },
        bound: None,
        troubles: None,
    }
}
