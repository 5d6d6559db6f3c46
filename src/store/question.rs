//! A question that may take long. It ends when its time is over, and when nobody waits for the answer any
//! more; then it ends in the database too, so that its connection is free for the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, Sqlite};
use tokio::time::{Instant, timeout_at};

use super::dialect::{postgres, sqlite};
use super::statement::To;

/// The time of a question was over.
#[derive(Debug, thiserror::Error)]
#[error("it takes longer than {} s", .0.as_secs())]
pub(super) struct TooLong(pub(super) Duration);

/// A connection with a question on it.
pub(super) struct Question {
    on: On,
    bound: Bound,
}

enum On {
    Sqlite {
        conn: PoolConnection<Sqlite>,
        /// Seen by the statement that runs, every few instructions.
        stop: Arc<AtomicBool>,
    },
    Postgres {
        conn: PoolConnection<Postgres>,
        /// The process there that works on it.
        backend: i32,
        /// Where it is told to stop.
        beside: PgPool,
    },
}

/// Until when, and whether a statement was begun that has not ended.
pub(super) struct Bound {
    until: Instant,
    limit: Duration,
    under_way: bool,
}

impl Bound {
    fn new(limit: Duration) -> Self {
        Self {
            until: Instant::now() + limit,
            limit,
            under_way: false,
        }
    }

    /// What `statement` gives, unless that takes too long.
    pub(super) async fn hold<T>(
        &mut self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        self.under_way = true;
        // Dropped here, or left behind by the time limit, it stays under way.
        let done = timeout_at(self.until, statement)
            .await
            .map_err(|_| sqlx::Error::Io(std::io::Error::other(TooLong(self.limit))))?;
        self.under_way = false;
        done
    }
}

impl Question {
    pub(super) async fn on_sqlite(
        mut conn: PoolConnection<Sqlite>,
        limit: Duration,
    ) -> Result<Self, sqlx::Error> {
        let stop = Arc::new(AtomicBool::new(false));
        sqlite::stop_when(&mut conn, &stop).await?;
        Ok(Self {
            on: On::Sqlite { conn, stop },
            bound: Bound::new(limit),
        })
    }

    /// With what time it is at the database. `beside` has a connection to spare for the word that it should stop.
    pub(super) async fn on_postgres(
        mut conn: PoolConnection<Postgres>,
        beside: PgPool,
        limit: Duration,
    ) -> Result<(Self, DateTime<Utc>), sqlx::Error> {
        let (backend, time) = postgres::backend(&mut conn).await?;
        let question = Self {
            on: On::Postgres {
                conn,
                backend,
                beside,
            },
            bound: Bound::new(limit),
        };
        Ok((question, time))
    }

    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.on, On::Postgres { .. })
    }

    pub(super) fn parts(&mut self) -> (To<'_>, &mut Bound) {
        let to = match &mut self.on {
            On::Sqlite { conn, .. } => To::Sqlite(conn),
            On::Postgres { conn, .. } => To::Postgres(conn),
        };
        (to, &mut self.bound)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if !self.bound.under_way {
            return;
        }
        match &mut self.on {
            On::Sqlite { stop, .. } => stop.store(true, Ordering::Relaxed),
            On::Postgres {
                conn,
                backend,
                beside,
            } => {
                // Never given to another: the word to stop might meet that one's statement.
                conn.close_on_drop();
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(postgres::stop(beside.clone(), *backend));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::Clock;
    use crate::problem::{Problem, ProblemKind};
    use crate::store::statement::sql;
    use crate::store::{Conn, Store, StoreError, Work};

    /// It never ends by itself.
    const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                           SELECT COUNT(*) FROM n";

    async fn ask(conn: &mut Conn) -> Result<i64, StoreError> {
        let n: i64 = sql(ENDLESS)
            .fetch_one(conn.raw())
            .await
            .map_err(StoreError::because("counting for ever"))?;
        Ok(n)
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_ends_and_its_connection_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cmp.db", dir.path().display());
        let store = Store::open(&url, Clock::system()).await.unwrap();
        // More than there are connections: were one kept, the last would not get any.
        for _ in 0..12 {
            let mut conn = store.ask(Work::Screen).await.unwrap();
            let mut asking = Box::pin(async move { ask(&mut conn).await });
            assert!(futures::poll!(&mut asking).is_pending());
            drop(asking);
        }
        let mut conn = store.ask(Work::Screen).await.unwrap();
        let one: i64 = sql("SELECT 1").fetch_one(conn.raw()).await.unwrap();
        assert_eq!(one, 1, "and what is asked next is not stopped");
    }

    #[tokio::test]
    async fn a_question_ends_after_its_time_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cmp.db", dir.path().display());
        let store = Store::open(&url, Clock::system()).await.unwrap();
        let mut conn = store.ask(Work::Screen).await.unwrap();
        let error = ask(&mut conn).await.unwrap_err();
        assert!(error.trouble().is_none(), "nothing is wrong with the database");
        let problem = Problem::from(error);
        assert_eq!(problem.kind, ProblemKind::Unavailable);
        assert!(problem.what.contains("longer than 3 s"), "{}", problem.what);
        assert!(problem.hint.unwrap().contains("filter"));
    }
}
