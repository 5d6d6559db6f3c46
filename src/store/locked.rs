//! A lock that changes wait for, and the transaction that holds it. Nobody's error tells whose it is, and once the
//! waiting is over the database can't tell either, so that it is asked while somebody waits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteError;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::dialect::{postgres, sqlite};
use super::{Trouble, write_lock};
use crate::domain::told::{NAMED, cited};

/// A statement that takes longer may wait for a lock: well before it is given up.
const LONG: Duration = Duration::from_millis(1500);
/// For how long an answer holds, for all who wait.
const HOLDS: Duration = Duration::from_secs(1);
/// Time that asking may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The transaction that all others wait for, as far as the database tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// The process that works for it; none of one that was prepared, which no process has any more.
    pub(super) process: Option<i32>,
    /// Name that the process gives itself.
    pub(super) program: Option<String>,
    pub(super) since: Option<DateTime<Utc>>,
    /// Its number, by which its end is seen.
    pub(super) transaction: Option<String>,
    /// It is committed, and waits for a synchronous standby.
    pub(super) is_committed: bool,
}

/// A lock that was not to be had.
#[derive(Clone, Debug)]
pub(super) struct Locked {
    on: On,
    pub(super) holder: Option<Holder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Postgres,
    File,
}

impl Locked {
    pub(super) fn trouble(&self) -> Trouble {
        let Some(holder) = &self.holder else {
            return match self.on {
                On::Postgres => Trouble::locked(
                    "its changes wait for a lock that another transaction holds".to_owned(),
                    "look whose: `SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE \
                     wait_event_type = 'Lock'`"
                        .to_owned(),
                ),
                On::File => Trouble::locked(
                    "its changes wait for another program that holds the lock of its file".to_owned(),
                    "look which has it open (`fuser -v` with the file's name), and end that or wait for it"
                        .to_owned(),
                ),
            };
        };
        if holder.is_committed {
            return Trouble::waiting();
        }
        let program = holder.program.as_deref().filter(|it| !it.trim().is_empty());
        let program = program.map_or_else(String::new, |it| format!(" ({})", cited(it, NAMED)));
        let since = holder.since.map_or_else(String::new, |at| {
            format!(", in a transaction since {}", at.format("%Y-%m-%d %H:%M:%SZ"))
        });
        match (self.on, holder.process) {
            (On::Postgres, Some(process)) => Trouble::locked(
                format!("its changes wait for a lock that its process {process} holds{program}{since}"),
                format!(
                    "end that transaction where it was begun, or as a superuser: `SELECT \
                     pg_terminate_backend({process});`"
                ),
            ),
            (On::Postgres, None) => Trouble::locked(
                format!("its changes wait for a lock that a prepared transaction holds{since}"),
                "commit it or roll it back: `SELECT * FROM pg_prepared_xacts`".to_owned(),
            ),
            (On::File, process) => {
                let process = process.map_or_else(String::new, |it| format!(" {it}"));
                Trouble::locked(
                    format!(
                        "its changes wait for process{process}{program}, which holds the lock of its file"
                    ),
                    "wait for its end, such as of a backup, or end it".to_owned(),
                )
            }
        }
    }
}

/// A change that was given up for a lock.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
struct GivenUp {
    locked: Locked,
    source: sqlx::Error,
}

/// The lock that was waited for in vain, of an error that carries one.
pub(super) fn of(error: &sqlx::Error) -> Option<&Locked> {
    let sqlx::Error::AnyDriverError(error) = error else {
        return None;
    };
    error.downcast_ref::<GivenUp>().map(|it| &it.locked)
}

/// The error with the lock that it is about.
pub(super) fn told(locked: Locked, source: sqlx::Error) -> sqlx::Error {
    sqlx::Error::AnyDriverError(Box::new(GivenUp { locked, source }))
}

/// True if a lock was not to be had in time.
pub(super) fn is(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let code = error.code();
    match error.try_downcast_ref::<SqliteError>() {
        Some(_) => code.is_some_and(|code| code.parse().is_ok_and(sqlite::is_busy)),
        None => code.as_deref() == Some(postgres::LOCK_NOT_AVAILABLE),
    }
}

/// The last answer, and its time.
type Asked = (Instant, Option<Holder>);

/// Place to ask for a lock's holder. Clones share it.
#[derive(Clone, Debug)]
pub(super) enum Holders {
    /// On a connection of its own: those for changes all wait.
    Postgres(Arc<PgConnectOptions>, Arc<Mutex<Option<Asked>>>),
    /// SQLite's file.
    File(PathBuf),
}

impl Holders {
    pub(super) fn of_postgres(server: Arc<PgConnectOptions>) -> Self {
        Self::Postgres(server, Arc::default())
    }

    /// Result of `work`; if it was given up for a lock, then with that and its holder.
    pub(super) async fn watch<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let mut work = std::pin::pin!(work);
        let (done, seen) = match timeout(LONG, &mut work).await {
            Ok(done) => (done, None),
            Err(_) => tokio::select! {
                biased;
                done = &mut work => (done, None),
                holder = self.ask() => (work.await, holder),
            },
        };
        match done {
            Err(error) if is(&error) => Err(told(self.locked(seen), error)),
            done => done,
        }
    }

    pub(super) fn locked(&self, holder: Option<Holder>) -> Locked {
        let on = match self {
            Self::Postgres(..) => On::Postgres,
            Self::File(_) => On::File,
        };
        Locked { on, holder }
    }

    /// Holder of the lock that changes of this account wait for now, if any do.
    pub(super) async fn ask(&self) -> Option<Holder> {
        let (server, last) = match self {
            Self::Postgres(server, last) => (server, last),
            Self::File(file) => return write_lock::holder(file),
        };
        let mut last = last.lock().await;
        if let Some((at, holder)) = last.as_ref()
            && at.elapsed() < HOLDS
        {
            return holder.clone();
        }
        let asked = async {
            let mut conn = server.connect().await?;
            let holder = postgres::lock_holder(&mut conn).await?;
            conn.close().await?;
            Ok::<_, sqlx::Error>(holder)
        };
        let holder = timeout(PATIENCE, asked).await.ok().and_then(Result::ok).flatten();
        *last = Some((Instant::now(), holder.clone()));
        holder
    }

    /// False if its transaction has ended.
    pub(super) async fn still_holds(&self, holder: &Holder, conn: Option<&mut PgConnection>) -> bool {
        match (self, conn) {
            (Self::File(file), _) => write_lock::holder(file).as_ref() == Some(holder),
            // An answer that can't be had leaves it as it was.
            (Self::Postgres(..), Some(conn)) => postgres::still_holds(conn, holder).await.unwrap_or(true),
            (Self::Postgres(..), None) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_it_and_what_ends_that_are_named_and_no_account_is() {
        let server = Holders::of_postgres(Arc::default());
        let holder = Holder {
            process: Some(4711),
            program: Some("psql` DROP".to_owned()),
            since: DateTime::from_timestamp(1_800_000_000, 0),
            transaction: Some("3/7".to_owned()),
            is_committed: false,
        };
        let said = server.locked(Some(holder.clone())).trouble().to_string();
        assert_eq!(
            said,
            "its changes wait for a lock that its process 4711 holds (`psql' DROP`), in a transaction since 2027-01-15 \
             08:00:00Z: end that transaction where it was begun, or as a superuser: `SELECT \
             pg_terminate_backend(4711);`"
        );
        let committed = Holder {
            is_committed: true,
            ..holder.clone()
        };
        let said = server.locked(Some(committed)).trouble().to_string();
        assert!(
            said.starts_with("its changes wait for a synchronous standby"),
            "{said}"
        );
        let prepared = Holder {
            process: None,
            program: None,
            since: None,
            ..holder
        };
        let said = server.locked(Some(prepared)).trouble().to_string();
        assert!(
            said.contains("a prepared transaction holds: commit it or roll it back"),
            "{said}"
        );
        let said = server.locked(None).trouble().to_string();
        assert!(said.contains("pg_blocking_pids"), "{said}");
    }
}
