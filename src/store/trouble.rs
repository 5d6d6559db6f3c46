//! What is wrong with the database, in words that name the cause and the next step and nothing that is
//! anybody's business only: no address, no account. They are told where no token is asked for.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use sqlx::sqlite::SqliteError;

use super::clock_off::{ClockOff, HINT};
use super::dialect::postgres::Upstream;
use super::error::too_long;
use super::locked::{self, Holders, Locked};
use super::only_reads::{self, Asked, OnlyReads, Why};
use super::schema::Progress;
use super::standstill::{Counts, Standstill};
use super::{StoreError, tls};

/// A cause and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: Cow<'static, str>,
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
            hint: Cow::Borrowed(hint),
            lasts: false,
        }
    }

    fn lasting(what: &str, hint: &'static str) -> Self {
        Self {
            lasts: true,
            ..Self::passing(what, hint)
        }
    }

    /// Changes wait for somebody else's lock.
    pub(super) fn locked(what: String, hint: String) -> Self {
        Self {
            what,
            hint: Cow::Owned(hint),
            lasts: true,
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
        if let Some(it) = OnlyReads::trouble(error) {
            return Some(it);
        }
        if let Some(it) = locked::of(error) {
            return Some(it.trouble());
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

    /// It is being brought up to date.
    #[must_use]
    pub fn upgrading(progress: &Progress) -> Self {
        Self {
            what: format!("its schema is being brought up to date: {progress}"),
            hint: "wait; servers of the version before go on working meanwhile".into(),
            lasts: false,
        }
    }

    /// It answers, and what users ask of it doesn't get an answer.
    pub(super) fn held_up(seconds: u64) -> Self {
        Self {
            what: format!("answers, but its tables can't be read within {seconds} s"),
            hint: "look what holds a lock or all of its power: `SELECT * FROM pg_locks WHERE NOT granted`"
                .into(),
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
            only_reads::CODE => Self::only_reads(),
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

    pub(super) fn waiting() -> Self {
        Self::lasting(
            "its changes wait for a synchronous standby that doesn't answer",
            "start that again, or take it out of `synchronous_standby_names` and reload",
        )
    }

    /// A replica; of one that still receives the primary lives, so that nothing is to be promoted.
    pub(super) fn replica(follows: &Upstream) -> Self {
        match follows {
            Upstream { receives: true, from } => {
                let of = from
                    .as_ref()
                    .map_or_else(|| "a primary".to_owned(), |from| format!("`{from}`"));
                Self::lasting(
                    &format!("is a replica that streams from {of}, and only reads"),
                    "point `DB_HOST` to the primary, and start this again",
                )
            }
            Upstream { receives: false, .. } => Self::lasting(
                "is a replica that receives from nobody, and only reads",
                "point `DB_HOST` to the primary, and start this again; only if there is none any more, promote \
                 this one: `SELECT pg_promote();`",
            ),
        }
    }

    /// A primary that only reads because one place of its settings says so.
    pub(super) fn set_read_only(place: &str) -> Self {
        let reset = match place {
            "database" => {
                "when changes are wanted again: `ALTER DATABASE … RESET default_transaction_read_only;`, as its owner"
            }
            "user" => {
                "when changes are wanted again: `ALTER ROLE … RESET default_transaction_read_only;`, for the role in \
                 the address, as a superuser"
            }
            "database user" => {
                "when changes are wanted again: `ALTER ROLE … IN DATABASE … RESET default_transaction_read_only;`, \
                 for the role in the address, as a superuser"
            }
            "client" => "take that out of the options in the address, and start this again",
            "command line" => {
                "start PostgreSQL without that on its command line, when changes are wanted again"
            }
            _ => {
                "when changes are wanted again: `ALTER SYSTEM RESET default_transaction_read_only; SELECT \
                 pg_reload_conf();`, as a superuser; or take it out of postgresql.conf, and reload"
            }
        };
        Self::lasting(
            "is the primary, set read-only (`default_transaction_read_only`)",
            reset,
        )
    }

    /// It only reads, and doesn't say why.
    pub(super) fn only_reads() -> Self {
        Self::lasting(
            "takes no changes: it is a replica, or set read-only",
            "ask it which: `SELECT pg_is_in_recovery(); SHOW default_transaction_read_only;`",
        )
    }

    /// It takes changes when it is asked again.
    pub(super) fn only_read() -> Self {
        Self::passing("was set read-only, and takes changes by now", "try again")
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
            Self::Replica { follows, .. } => Some(Trouble::replica(follows)),
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
pub(super) struct Troubles {
    known: Arc<Mutex<Known>>,
    /// The place that says why it only reads; none of a file.
    asked: Option<Asked>,
    holders: Option<Holders>,
}

#[derive(Debug, Default)]
struct Known {
    /// Changes can't be made.
    changes: Option<Trouble>,
    /// Nor can they where it only reads.
    only_reads: Option<Trouble>,
    standstill: Standstill,
    /// Sessions from before that go by settings that are no longer so.
    outdated: Option<Instant>,
    /// They wait for a standby.
    waiting: bool,
    /// They were given up for a lock.
    locked: Option<Locked>,
    clock: Option<ClockOff>,
}

impl Troubles {
    /// The same, of a server that can be asked.
    pub(super) fn of(self, asked: Asked) -> Self {
        Self {
            asked: Some(asked),
            ..self
        }
    }

    /// Troubles that can also ask for a lock's holder.
    pub(super) fn with_locks(self, holders: Holders) -> Self {
        Self {
            holders: Some(holders),
            ..self
        }
    }

    /// Result of `work`; if it was given up for a lock, then with who holds that.
    pub(super) async fn watch<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        match &self.holders {
            Some(holders) => holders.watch(work).await,
            None => work.await,
        }
    }

    /// Of a change that could not begin: the error with the lock that it waited for, or that those wait for who have all
    /// connections.
    ///
    /// # Errors
    /// Otherwise as it was.
    pub(super) async fn locked_out(&self, error: sqlx::Error) -> Result<sqlx::Error, sqlx::Error> {
        let locked = match (&self.holders, &error) {
            (Some(holders), error) if locked::is(error) => Some(holders.locked(holders.ask().await)),
            (_, sqlx::Error::PoolTimedOut) => self.lock().locked.clone(),
            _ => None,
        };
        let Some(locked) = locked else { return Err(error) };
        let error = locked::told(locked, error);
        self.met(&error);
        Ok(error)
    }

    /// Looks whether changes still wait for a lock, as this server knows from its own or was told of all (`waits`).
    pub(super) async fn judge_lock(&self, waits: bool, conn: Option<&mut PgConnection>) {
        let Some(holders) = &self.holders else { return };
        let known = self.lock().locked.clone();
        if let Some(holder) = known.and_then(|it| it.holder) {
            if holders.still_holds(&holder, conn).await {
                return;
            }
            self.has_lock();
        }
        if waits && let Some(holder) = holders.ask().await {
            self.given_up(&holders.locked(Some(holder)));
        }
    }

    fn given_up(&self, now: &Locked) {
        let mut known = self.lock();
        known.standstill.no_change(Instant::now());
        let trouble = now.trouble();
        let holder = |it: &Locked| it.holder.is_some();
        if now.holder.is_none() && known.locked.as_ref().is_some_and(holder) {
            return;
        }
        if known.locked.as_ref().map(Locked::trouble).as_ref() != Some(&trouble) {
            tracing::error!("changes can't be made: the database: {trouble}");
            known.locked = Some(now.clone());
        }
    }

    /// The lock is free.
    pub(super) fn has_lock(&self) {
        if self.lock().locked.take().is_some() {
            tracing::info!("changes can be made again");
        }
    }

    /// A change with its audit row was made. Others may still wait for a transaction that is known to be there.
    pub(super) fn audited(&self) {
        let is_known = |it: &Locked| it.holder.is_some();
        if !self.lock().locked.as_ref().is_some_and(is_known) {
            self.has_lock();
        }
    }

    /// The error, with the reason if it is that the database only reads.
    pub(super) async fn with_reason(&self, error: sqlx::Error) -> sqlx::Error {
        match &self.asked {
            Some(asked) if only_reads::is(&error) => only_reads::told(self.why(asked).await, error),
            _ => error,
        }
    }

    /// Finds out why it only reads, if it does: as this session was told, or as was known before.
    pub(super) async fn judge(&self, only_reads: bool) {
        let known = self.lock().only_reads.is_some();
        if let Some(asked) = &self.asked
            && (only_reads || known)
        {
            self.why(asked).await;
        }
    }

    /// Why it only reads, which is kept.
    async fn why(&self, asked: &Asked) -> Why {
        let why = asked.why().await;
        let mut known = self.lock();
        match &why {
            Why::NotNow => {
                known.outdated = Some(Instant::now());
                if known.only_reads.take().is_some() {
                    tracing::info!("changes can be made again");
                }
            }
            Why::Unknown if known.only_reads.is_some() => {}
            Why::Replica(_) | Why::SetSo(_) | Why::Unknown => {
                let trouble = why.trouble();
                if known.only_reads.as_ref() != Some(&trouble) {
                    tracing::error!("changes can't be made: the database: {trouble}");
                    known.only_reads = Some(trouble);
                }
            }
        }
        drop(known);
        why
    }

    /// True if a session of this age goes by settings that are no longer so.
    pub(super) fn is_outdated(&self, age: Duration) -> bool {
        let known = self.lock();
        known.outdated.is_some_and(|at| age > at.elapsed())
    }

    /// It was looked how the database is, and it answered.
    pub(super) fn looked(&self) {
        let mut known = self.lock();
        if known.only_reads.is_some() || known.changes.is_some() || known.waiting || known.locked.is_some() {
            known.standstill.no_change(Instant::now());
        } else {
            known.standstill.changes();
        }
    }

    /// It was looked from outside whether anybody can write.
    pub(super) fn seen_from_afar(&self, takes_changes: bool) {
        let mut known = self.lock();
        match takes_changes {
            true => known.standstill.changes(),
            false => known.standstill.no_change(Instant::now()),
        }
    }

    /// It doesn't answer.
    pub(super) fn no_answer(&self) {
        self.lock().standstill.no_change(Instant::now());
    }

    /// Until when it means something that somebody wrote nothing.
    pub(super) fn silence(&self) -> Counts {
        self.lock().standstill.silence(Instant::now())
    }

    /// A change could not be made.
    pub(super) fn met(&self, error: &sqlx::Error) {
        let Some(trouble) = Trouble::of(error).filter(|it| it.lasts) else {
            return;
        };
        if let Some(locked) = locked::of(error) {
            self.given_up(locked);
            return;
        }
        let mut known = self.lock();
        known.standstill.no_change(Instant::now());
        if OnlyReads::trouble(error).is_some() {
            return;
        }
        if known.changes.as_ref() != Some(&trouble) {
            tracing::error!("changes can't be made: the database: {trouble}");
            known.changes = Some(trouble);
        }
    }

    /// A change was made.
    pub(super) fn over(&self) {
        let mut known = self.lock();
        known.standstill.changes();
        if known.changes.take().is_some() {
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
        let changes = known.only_reads.clone().or_else(|| known.changes.clone());
        let changes = changes.or_else(waiting);
        let changes = changes.or_else(|| known.locked.as_ref().map(Locked::trouble));
        changes.or_else(|| known.clock.map(Trouble::of_clock))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::database::only_reads;
    use crate::problem::{Problem, ProblemKind};

    #[test]
    fn what_only_reads_is_known_by_its_words() {
        let follows = |receives| Upstream { receives, from: None };
        for it in [
            Trouble::replica(&follows(true)),
            Trouble::replica(&follows(false)),
            Trouble::set_read_only("database"),
            Trouble::only_reads(),
        ] {
            assert!(only_reads(&it.to_string()), "{it}");
        }
        for it in [Trouble::full(), Trouble::waiting(), Trouble::no_tables()] {
            assert!(!only_reads(&it.to_string()), "{it}");
        }
    }

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
