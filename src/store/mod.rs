//! The database: every SQL statement of the platform, and nothing else.
//!
//! One file a noun. Functions that read take a [`Conn`], functions that change take a [`Tx`], which
//! collects what changed and tells it to [`Store::changes`] once it is committed. Rules of the domain
//! are asked, not repeated; words for people are made at the edge from [`StoreError`].
//!
//! The database is a SQLite file or a PostgreSQL, with the same statements for both (`statement`); what
//! they say differently is in `dialect`. What is read to be changed is read by a function called `lock`,
//! which keeps the row from others until the transaction ends; in which order is said there.

pub mod adapters;
pub mod address;
pub mod agents;
mod apart;
pub mod audit;
pub mod ban;
pub mod came;
pub mod cas;
mod certificate_list;
pub mod certificates;
pub mod checkin;
pub mod claims;
pub mod clock_off;
pub mod clocks;
pub mod compromise;
mod constraint;
mod counted;
mod cursor;
mod dialect;
mod error;
pub mod figures;
pub mod findings;
pub mod holders;
pub mod hosts;
pub mod idempotency;
pub mod identities;
mod in_use;
mod in_use_sql;
pub mod installations;
mod instance;
pub mod issuance;
pub mod issued;
mod issuing;
pub mod job_end;
pub mod jobs;
mod json;
pub mod keys;
pub mod known_crl;
mod lead;
mod locked;
mod names;
mod news;
mod only_reads;
pub mod orders;
mod pools;
mod question;
pub mod queue;
mod reach;
pub mod read;
pub mod renewals;
mod request_failure;
mod request_list;
pub mod requests;
pub mod revocation;
mod row;
pub mod runs;
mod scans;
mod schema;
mod search;
mod searched;
mod select;
pub mod serials;
mod standstill;
mod statement;
mod tls;
pub mod tokens;
pub mod trends;
mod trouble;
mod tx;
pub mod unlisted;
mod ways;
mod window;
pub mod without_crl;
pub mod workers;
mod write_lock;

use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Postgres, Sqlite};
use tokio::sync::{Semaphore, broadcast};

use crate::clock::Clock;
use crate::domain::database::Instance;
use crate::domain::id::{EntityKind, new_id};
use crate::wire::page::Change;

pub use apart::apart;
pub use error::StoreError;
pub use lead::Lead;
pub use pools::{Kind, Work};
pub use schema::{Progress, Upgrading};
pub use trouble::Trouble;
pub use tx::{Conn, Tx};

use clock_off::ClockOff;
use in_use::{Held, InUse};
use pools::Ways;
use question::Question;
use statement::sql;
use tx::Link;

/// A row of each table that answers are made from.
const TABLES: &str = "SELECT 1 FROM (SELECT 1 FROM certificates LIMIT 1) t0 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM keys LIMIT 1) t1 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM agents LIMIT 1) t2 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM installations LIMIT 1) t3 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM issuance_requests LIMIT 1) t4 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM jobs LIMIT 1) t5 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM adapters LIMIT 1) t6 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM tokens LIMIT 1) t7 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM runs LIMIT 1) t8 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM idempotency LIMIT 1) t9 UNION ALL \
    SELECT 1 FROM (SELECT 1 FROM audit_logs LIMIT 1) t10";

/// Connections for short reads that a file's database has.
#[cfg(test)]
pub(crate) const READERS: u32 = dialect::sqlite::N_VITAL;

/// How many changes a slow listener may lag behind before it misses some.
const CHANGES_KEPT: usize = 4096;

/// Transactions at once for what nobody waits for. Each holds the head of the audit chain at its end, where a person's
/// change stands behind those that came before it: behind this one at most. Two would wait for each other there.
const BEHIND_AT_ONCE: usize = 1;

/// The database. Clones share it.
#[derive(Clone)]
pub struct Store {
    pools: Pools,
    clock: Clock,
    changes: broadcast::Sender<Change>,
    /// The name under which it tells other processes what it changed.
    own: String,
    troubles: trouble::Troubles,
    /// The server that it was on when it was asked last; none of a file.
    instance: Arc<Mutex<Option<Instance>>>,
    reach: Arc<reach::Reach>,
    in_use: InUse,
    behind: Arc<Semaphore>,
    counted: counted::Counted,
    scans: scans::Scans,
    /// Hears what they changed; on PostgreSQL only.
    ear: Option<Arc<news::Ear>>,
}

#[derive(Clone)]
enum Pools {
    Sqlite(Arc<Ways<Sqlite>>),
    Postgres(Arc<Ways<Postgres>>),
}

impl Store {
    /// Opens `sqlite://path`, whose file is made if there is none, or `postgres://…`, and brings the
    /// schema up to date.
    ///
    /// # Errors
    /// The database can't be opened, its schema is newer than this program, or it has to be changed and
    /// this account may not.
    pub async fn open(url: &str, clock: Clock) -> Result<Self, StoreError> {
        Self::open_telling(url, clock, &Upgrading::default()).await
    }

    /// As [`Store::open`]; how far the schema is brought up to date is told meanwhile.
    ///
    /// # Errors
    /// As there.
    pub async fn open_telling(url: &str, clock: Clock, upgrading: &Upgrading) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open {
            url: address::redacted(url),
            source,
        };
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        let scans = scans::Scans::told(changes.clone());
        let own = new_id(EntityKind::Run);
        let mut ear = None;
        let mut troubles = trouble::Troubles::default();
        let pools = if address::is_postgres(url) {
            let ways = dialect::postgres::open(url, &troubles).await.map_err(failed)?;
            schema::bring_up_postgres(&ways.writer, url, upgrading).await?;
            let mut conn = ways.writer.acquire().await.map_err(failed)?;
            if let Some(follows) = dialect::postgres::upstream(&mut conn).await.map_err(failed)? {
                return Err(StoreError::Replica {
                    url: address::redacted(url),
                    follows,
                });
            }
            drop(conn);
            let options = ways.writer.connect_options().as_ref().clone();
            let opened = news::Ear::open(options, own.clone(), changes.clone()).await;
            ear = Some(Arc::new(opened.map_err(failed)?));
            let server = ways.writer.connect_options();
            troubles = troubles.of(only_reads::Asked::new(Arc::clone(&server)));
            troubles = troubles.with_locks(locked::Holders::of_postgres(server));
            Pools::Postgres(Arc::new(ways))
        } else {
            let ways = dialect::sqlite::open(url).await.map_err(failed)?;
            schema::bring_up_sqlite(&ways.writer, url, upgrading).await?;
            let file = ways.writer.connect_options().get_filename().to_owned();
            troubles = troubles.with_locks(locked::Holders::File(file));
            Pools::Sqlite(Arc::new(ways))
        };
        let store = Self {
            pools,
            clock,
            changes,
            own,
            troubles,
            instance: Arc::default(),
            reach: Arc::default(),
            in_use: InUse::default(),
            behind: Arc::new(Semaphore::new(BEHIND_AT_ONCE)),
            counted: counted::Counted::default(),
            scans,
            ear,
        };
        if let Err(error) = audit::make_room(&store).await {
            // There is a place for rows without a partition of their own, and the scheduler tries again.
            tracing::warn!(%error, "the audit trail gets no room for the coming months");
        }
        Ok(store)
    }

    /// A connection for short reads that others' work hangs on: a token, one thing by its id, a job, whether
    /// the database is there. What may take long is asked with [`Store::ask`]. Who has a connection or an open
    /// transaction lets go of it before.
    ///
    /// # Errors
    /// No connection could be had.
    #[track_caller]
    pub fn read(&self) -> impl Future<Output = Result<Conn, StoreError>> + Send {
        let place = Location::caller();
        async move {
            let held = self.in_use.queue(Kind::Vital, place);
            let asked = Instant::now();
            let link = match &self.pools {
                Pools::Sqlite(ways) => ways.vital.acquire().await.map(Link::SqliteReader),
                Pools::Postgres(ways) => {
                    let got = self.reach.or_refused(&ways.vital, ways.vital.acquire()).await;
                    got.map(Link::PostgresReader)
                }
            };
            let link = link.map_err(|error| self.refused(Kind::Vital, asked, error))?;
            Ok(self.conn(link, held))
        }
    }

    /// A connection for a question that may take long. It ends after the time of its kind of work, and as
    /// soon as it is dropped, in the database too. Who has a connection or an open transaction lets go of it before.
    ///
    /// # Errors
    /// No connection could be had, since the database gives none or others of its kind have them all.
    #[track_caller]
    pub fn ask(&self, work: Work) -> impl Future<Output = Result<Conn, StoreError>> + Send {
        let place = Location::caller();
        async move {
            let held = self.in_use.queue(work.into(), place);
            let asked = Instant::now();
            let refused = |error| self.refused(work.into(), asked, error);
            let question = match &self.pools {
                Pools::Sqlite(ways) => {
                    let pool = ways.of(work);
                    let conn = pool.acquire().await.map_err(refused)?;
                    Question::on_sqlite(conn, work.limit()).await
                }
                Pools::Postgres(ways) => {
                    let pool = ways.of(work);
                    let conn = self.reach.or_refused(pool, pool.acquire()).await;
                    let conn = conn.map_err(refused)?;
                    let question = Question::on_postgres(conn, ways.vital.clone(), work.limit()).await;
                    question.map(|(question, _)| question)
                }
            };
            let link = question.map(Link::Question).map_err(StoreError::Connect)?;
            Ok(self.conn(link, held))
        }
    }

    /// The time that everything in the database is dated and judged by: this server's clock, corrected by what it is
    /// known to be off the database's. Of several servers one that is an hour off would find every agent silent that
    /// reports to the others.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let here = self.clock.now();
        let off = self.troubles.clock().map_or(TimeDelta::zero(), ClockOff::ahead);
        here.checked_sub_signed(off).unwrap_or(here)
    }

    /// Time by which this server's clock was ahead of the database's when they were compared last, if it is off.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<TimeDelta> {
        self.troubles.clock().map(ClockOff::ahead)
    }

    fn conn(&self, link: Link, held: Held) -> Conn {
        held.got();
        Conn::new(
            link,
            self.now(),
            self.counted.clone(),
            self.scans.clone(),
            self.troubles.clone(),
            Some(held),
        )
    }

    /// Why nothing was given to who asked at `asked`: others have it all, which the log has to tell more of, or the
    /// database gives none.
    fn refused(&self, kind: Kind, asked: Instant, error: sqlx::Error) -> StoreError {
        if !matches!(error, sqlx::Error::PoolTimedOut) {
            return StoreError::Connect(error);
        }
        self.in_use.tell(kind);
        let most = match &self.pools {
            Pools::Sqlite(ways) => pools::most(ways.of_kind(kind)),
            Pools::Postgres(ways) => pools::most(ways.of_kind(kind)),
        };
        match self.in_use.is_crowded(kind, most, asked) {
            true => StoreError::Crowded(kind),
            false => StoreError::Connect(error),
        }
    }

    /// How many connections are in use, by the name of their work.
    #[must_use]
    pub fn busy(&self) -> [(&'static str, usize); 5] {
        match &self.pools {
            Pools::Sqlite(ways) => ways.busy(),
            Pools::Postgres(ways) => ways.busy(),
        }
    }

    /// A transaction for changes. On SQLite it holds the only write lock, on PostgreSQL the rows that it
    /// changes: no network call while it is open. Who has a connection or another open transaction lets go of it
    /// before.
    ///
    /// # Errors
    /// The write lock, or a connection, could not be had in time.
    #[track_caller]
    pub fn begin(&self) -> impl Future<Output = Result<Tx, StoreError>> + Send {
        let place = Location::caller();
        async move { self.begun(self.in_use.queue(Kind::Changes, place)).await }
    }

    /// A transaction for work that goes on by itself, of which there may be hundreds at once: a few have their turn
    /// at a time, so that whoever waits for an answer never waits for all of them.
    ///
    /// # Errors
    /// See [`Self::begin`].
    #[track_caller]
    pub fn begin_behind(&self) -> impl Future<Output = Result<Tx, StoreError>> + Send {
        let place = Location::caller();
        async move {
            let held = self.in_use.queue(Kind::Changes, place);
            // Never closed.
            let turn = Arc::clone(&self.behind).acquire_owned().await.ok();
            let tx = self.begun(held).await?;
            Ok(tx.with_turn(turn))
        }
    }

    async fn begun(&self, held: Held) -> Result<Tx, StoreError> {
        let asked = Instant::now();
        let link = match &self.pools {
            Pools::Sqlite(ways) => ways
                .writer
                .begin_with(dialect::sqlite::BEGIN_WRITE)
                .await
                .map(Link::SqliteWriter),
            Pools::Postgres(ways) => {
                let beginning = dialect::postgres::begin(&ways.writer);
                let begun = self.reach.or_refused(&ways.writer, beginning).await;
                begun.map(Link::PostgresWriter)
            }
        };
        let link = match link {
            Ok(link) => link,
            Err(error) => {
                let doing = "beginning a change";
                let locked = self.troubles.locked_out(error).await;
                return Err(locked.map_or_else(
                    |error| self.refused(Kind::Changes, asked, error),
                    |source| StoreError::Query { doing, source },
                ));
            }
        };
        if let Link::SqliteWriter(_) = &link {
            // There is no other lock.
            self.troubles.has_lock();
        }
        let conn = self.conn(link, held);
        Ok(Tx::new(conn, self.changes.clone(), self.own.clone()))
    }

    /// What committed transactions changed, from now on: of this process, and on PostgreSQL of all. A change
    /// of this process is told before its commit returns: answers that were kept rely on that.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// The clock that all times in the database come from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A candidate for what only one of all servers may do.
    #[must_use]
    pub fn lead(&self) -> Lead {
        Lead::new(match &self.pools {
            Pools::Sqlite(_) => None,
            Pools::Postgres(ways) => Some(ways.writer.connect_options().as_ref().clone()),
        })
    }

    /// Whether the database answers, and what is wrong all the same: it only reads, it could not take changes
    /// lately, they wait for a standby, or clocks are apart.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<Option<Trouble>, StoreError> {
        let answered = self.how_is_it().await;
        match &answered {
            Ok(_) => self.troubles.looked(),
            Err(_) => self.troubles.no_answer(),
        }
        answered
    }

    async fn how_is_it(&self) -> Result<Option<Trouble>, StoreError> {
        let failed = || StoreError::because("asking the database whether it is there");
        let mut conn = self.read().await?;
        let before = self.clock.now();
        let Some(postgres) = conn.postgres() else {
            sql("SELECT 1").execute(conn.raw()).await.map_err(failed())?;
            self.troubles.judge_lock(false, None).await;
            return Ok(self.troubles.now());
        };
        let (theirs, is_replica, is_set_so, n_waiting, n_locked): (DateTime<Utc>, bool, bool, i64, i64) =
            sqlx::query_as(dialect::postgres::HOW_IS_IT)
                .fetch_one(&mut *postgres)
                .await
                .map_err(failed())?;
        // It was read somewhere between the two.
        let half = (self.clock.now() - before) / 2;
        if let Some(instance) = instance::of(&mut *postgres).await {
            *self.instance.lock().unwrap_or_else(PoisonError::into_inner) = Some(instance);
        }
        self.troubles.judge_lock(n_locked > 0, Some(postgres)).await;
        drop(conn);
        self.troubles.judge(is_replica || is_set_so).await;
        self.troubles.waiting(n_waiting > 0);
        if self.clock.follows_system() {
            self.troubles.compared(ClockOff::of(before + half - theirs, half));
        }
        Ok(self.troubles.now())
    }

    /// Reads a row of each table that answers are made from, so that what users ask would be answered too.
    ///
    /// # Errors
    /// It can't be read, or isn't there.
    pub async fn try_tables(&self) -> Result<(), StoreError> {
        let mut conn = self.read().await?;
        let doing = "reading a row of each table";
        sql(TABLES)
            .execute(conn.raw())
            .await
            .map_err(StoreError::because(doing))?;
        Ok(())
    }

    /// What is wrong with a database that answers and whose tables could not be read for so long.
    #[must_use]
    pub fn held_up(seconds: u64) -> Trouble {
        Trouble::held_up(seconds)
    }

    /// The server of the database that answered last, and where that is, as it is configured; none of a file.
    #[must_use]
    pub fn instance(&self) -> Option<Instance> {
        self.instance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The database's host as it is configured: `host:port`, or the folder of a socket; none of a file.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        let Pools::Postgres(ways) = &self.pools else {
            return None;
        };
        let options = ways.writer.connect_options();
        Some(match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        })
    }

    /// How far this server's clock is off, which must not claim anything then.
    ///
    /// # Errors
    /// The database doesn't answer.
    pub async fn clock_off(&self) -> Result<Option<ClockOff>, StoreError> {
        self.ping().await?;
        Ok(self.troubles.clock())
    }

    /// Closes all connections; what was committed is on disk.
    pub async fn close(&self) {
        if let Some(ear) = &self.ear {
            ear.close();
        }
        match &self.pools {
            Pools::Sqlite(ways) => ways.close().await,
            Pools::Postgres(ways) => ways.close().await,
        }
    }
}
