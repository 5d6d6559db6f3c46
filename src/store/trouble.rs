//! What is wrong with the database, in words that name the cause and the next step and nothing that is
//! anybody's business only: no address, no account. They are told where no token is asked for.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteError;

use super::clock_off::{ClockOff, HINT};
use super::dialect::postgres::Upstream;
use super::error::too_long;
use super::{StoreError, tls};

/// A cause and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: &'static str,
    /// It stays until somebody does something.
    lasts: bool,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.hint)
    }
}

impl Trouble {
    fn passing(what: &str, hint: &'static str) -> Self {
        Self {
            what: what.to_owned(),
            hint,
            lasts: false,
        }
    }

    fn lasting(what: &str, hint: &'static str) -> Self {
        Self {
            lasts: true,
            ..Self::passing(what, hint)
        }
    }

    fn of_clock(off: ClockOff) -> Self {
        Self::lasting(&off.words("this server's clock"), HINT)
    }

    fn of(error: &sqlx::Error) -> Option<Self> {
        if let Some(it) = tls::refused(error) {
            let name_it = "name its CA in the address: `sslmode=verify-full&sslrootcert=FILE`";
            return Some(Self::lasting(&it.what, it.hint.unwrap_or(name_it)));
        }
        Some(match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::passing(
                    "doesn't answer in time",
                    "look whether it runs and isn't overloaded",
                )
            }
            // A question that was too much says nothing about the database.
            sqlx::Error::Io(error) if too_long(error).is_some() => return None,
            sqlx::Error::Io(error) => match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::NotFound => Self::lasting(
                    "nobody listens at its address",
                    "start it, or correct the address",
                ),
                _ => Self::passing("the connection broke", "look whether it runs and can be reached"),
            },
            sqlx::Error::Database(error) => {
                let code = error.code()?;
                if error.try_downcast_ref::<SqliteError>().is_some() {
                    if error.message().starts_with("no such table") {
                        return Some(Self::no_tables());
                    }
                    // A number, with more about it in the upper bits.
                    return Self::of_sqlite(code.parse::<u32>().ok()? & 0xff);
                }
                Self::of_postgres(&code)?
            }
            _ => return None,
        })
    }

    fn of_sqlite(code: u32) -> Option<Self> {
        Some(match code {
            8 => Self::lasting(
                "its file only can be read",
                "let this account write the file and its folder",
            ),
            13 => Self::full(),
            10 => Self::unwritable(),
            _ => return None,
        })
    }

    /// It answers, and is empty.
    pub(super) fn no_tables() -> Self {
        Self::lasting(
            "its tables aren't there",
            "look whether it is the right database; then run `cmp-server --migrate-only`, as the schema's owner",
        )
    }

    /// It answers, and what users ask of it doesn't get an answer.
    pub(super) fn held_up(seconds: u64) -> Self {
        Self {
            what: format!("answers, but its tables can't be read within {seconds} s"),
            hint: "look what holds a lock or all of its power: `SELECT * FROM pg_locks WHERE NOT granted`",
            lasts: false,
        }
    }

    fn of_postgres(code: &str) -> Option<Self> {
        Some(match code {
            "28P01" | "28000" => Self::lasting(
                "refuses the login",
                "correct the account in the address, or its password in CMP_DATABASE_PASSWORD",
            ),
            "3D000" => Self::lasting(
                "there is no database of this name",
                "make it, or correct the address",
            ),
            "53100" => Self::full(),
            "58030" => Self::unwritable(),
            "53300" => Self::lasting("has no connection left", "raise its `max_connections`"),
            "42501" => Self::lasting(
                "this account lacks rights in it",
                "run `deploy/postgres/roles.sql` there, as a superuser",
            ),
            "25006" => Self::replica(None),
            "42P01" | "3F000" => Self::no_tables(),
            _ if code.starts_with("57P") => Self::passing(
                "is going down or coming up",
                "nothing to do: it is tried again by itself",
            ),
            _ => return None,
        })
    }

    fn full() -> Self {
        Self::lasting(
            "its disk is full",
            "make room on the database's disk; then changes are taken again",
        )
    }

    fn unwritable() -> Self {
        Self::lasting(
            "its disk can't be written",
            "look for room, limits and errors of the database's disk; then changes are taken again",
        )
    }

    fn waiting() -> Self {
        Self::lasting(
            "its changes wait for a synchronous standby that doesn't answer",
            "start that again, or take it out of `synchronous_standby_names` and reload",
        )
    }

    /// A replica; of one that still receives the primary lives, so that nothing is to be promoted.
    pub(super) fn replica(follows: Option<&Upstream>) -> Self {
        let point = "point `DB_HOST` to the primary, and start this again";
        match follows {
            Some(Upstream { receives: true, from }) => {
                let of = from
                    .as_ref()
                    .map_or_else(|| "a primary".to_owned(), |from| format!("`{from}`"));
                Self::lasting(
                    &format!("is a replica that streams from {of}, and only reads"),
                    point,
                )
            }
            Some(Upstream { receives: false, .. }) => Self::lasting(
                "is a replica that receives from nobody, and only reads",
                "point `DB_HOST` to the primary, and start this again; only if there is none any more, promote \
                 this one: `SELECT pg_promote();`",
            ),
            None => Self::lasting("is a replica, which only reads", point),
        }
    }
}

impl StoreError {
    /// What is wrong with the database, if it is the database.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Open { source, .. }
            | Self::Connect(source)
            | Self::Query { source, .. }
            | Self::CutOff(source) => Trouble::of(source),
            Self::NewerSchema { found, known, .. } => Some(Trouble::lasting(
                &format!("its schema is at version {found}, and this program knows it up to {known}"),
                "start the newer `cmp-server`",
            )),
            Self::SchemaNotMine { .. } => Some(Trouble::lasting(
                "its schema isn't up to date, and this account may not change it",
                "run `cmp-server --migrate-only` once, as the schema's owner",
            )),
            Self::Replica { follows, .. } => Some(Trouble::replica(Some(follows))),
            Self::Crowded(_) => Some(Trouble::passing(
                "answers, but this server has all its connections in use",
                "wait a moment; its log says who has them",
            )),
            _ => None,
        }
    }
}

/// What is wrong now, as far as this process has met it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Changes can't be made.
    changes: Option<Trouble>,
    /// They wait for a standby.
    waiting: bool,
    clock: Option<ClockOff>,
}

impl Troubles {
    /// A change could not be made.
    pub(super) fn met(&self, error: &sqlx::Error) {
        let Some(trouble) = Trouble::of(error).filter(|it| it.lasts) else {
            return;
        };
        let mut known = self.lock();
        if known.changes.as_ref() != Some(&trouble) {
            tracing::error!("changes can't be made: the database: {trouble}");
            known.changes = Some(trouble);
        }
    }

    /// A change was made.
    pub(super) fn over(&self) {
        if self.lock().changes.take().is_some() {
            tracing::info!("changes can be made again");
        }
    }

    /// Changes were seen to wait for a synchronous standby, or not to.
    pub(super) fn waiting(&self, waiting: bool) {
        let mut known = self.lock();
        match (known.waiting, waiting) {
            (false, true) => tracing::error!(
                "changes aren't acknowledged: the database: {}",
                Trouble::waiting()
            ),
            (true, false) => tracing::info!("no change waits for a standby any more"),
            _ => {}
        }
        known.waiting = waiting;
    }

    /// The clocks were compared.
    pub(super) fn compared(&self, off: Option<ClockOff>) {
        let mut known = self.lock();
        match (known.clock, off) {
            (None, Some(off)) => tracing::error!("{}", Trouble::of_clock(off)),
            (Some(_), None) => tracing::info!("this server's clock is right again"),
            _ => {}
        }
        known.clock = off;
    }

    pub(super) fn clock(&self) -> Option<ClockOff> {
        self.lock().clock
    }

    pub(super) fn now(&self) -> Option<Trouble> {
        let known = self.lock();
        let waiting = || known.waiting.then(Trouble::waiting);
        let changes = known.changes.clone().or_else(waiting);
        changes.or_else(|| known.clock.map(Trouble::of_clock))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Problem, ProblemKind};

    #[tokio::test]
    async fn a_full_disk_is_named_and_nothing_is_changed() {
        let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        let pool = options.connect("sqlite::memory:").await.unwrap();
        for text in ["CREATE TABLE t (x)", "PRAGMA max_page_count = 2"] {
            sqlx::query(text).execute(&pool).await.unwrap();
        }
        let full = sqlx::query("INSERT INTO t VALUES (randomblob(100000))")
            .execute(&pool)
            .await;
        let error = StoreError::Query {
            doing: "writing the audit row",
            source: full.unwrap_err(),
        };
        assert_eq!(error.trouble(), Some(Trouble::full()));
        let problem = Problem::from(error);
        assert_eq!(problem.kind, ProblemKind::Unavailable);
        assert_eq!(
            problem.what,
            "the database can't do it, while writing the audit row: its disk is full"
        );
        assert!(problem.hint.unwrap().contains("nothing was changed"));
    }
}
