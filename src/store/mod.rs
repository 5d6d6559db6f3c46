//! The database: every SQL statement of the platform, and nothing else.
//!
//! One file a noun. Functions that read take a [`Conn`], functions that change take a [`Tx`], which
//! collects what changed and tells it to [`Store::changes`] once it is committed. Rules of the domain
//! are asked, not repeated; words for people are made at the edge from [`StoreError`].

pub mod adapters;
pub mod agents;
pub mod audit;
pub mod certificates;
pub mod compromise;
mod constraint;
mod cursor;
mod dialect;
mod error;
pub mod findings;
pub mod holders;
pub mod idempotency;
pub mod installations;
pub mod issuance;
pub mod jobs;
pub mod keys;
mod request_failure;
pub mod requests;
pub mod revocation;
mod row;
pub mod runs;
mod select;
pub mod serials;
pub mod tokens;
pub mod trends;

use std::ops::{Deref, DerefMut};

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::domain::id::EntityKind;
use crate::wire::page::Change;

pub use error::StoreError;

/// How many changes a slow listener may lag behind before it misses some.
const CHANGES_KEPT: usize = 4096;

/// The database. Clones share it.
#[derive(Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    clock: Clock,
    changes: broadcast::Sender<Change>,
}

impl Store {
    /// Opens `sqlite://path`, makes the file if there is none, and brings the schema up to date.
    ///
    /// # Errors
    /// The file can't be opened, or its schema is newer than this program.
    pub async fn open(url: &str, clock: Clock) -> Result<Self, StoreError> {
        let (writer, readers) = dialect::sqlite::open(url)
            .await
            .map_err(|source| StoreError::Open {
                url: url.to_owned(),
                source,
            })?;
        sqlx::migrate!("migrations/sqlite")
            .run(&writer)
            .await
            .map_err(|source| StoreError::Migrate {
                url: url.to_owned(),
                source,
            })?;
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        Ok(Self {
            writer,
            readers,
            clock,
            changes,
        })
    }

    /// A connection for reading.
    ///
    /// # Errors
    /// No connection could be had.
    pub async fn read(&self) -> Result<Conn, StoreError> {
        let conn = self.readers.acquire().await.map_err(StoreError::Connect)?;
        Ok(Conn {
            link: Link::Reader(conn),
            now: self.clock.now(),
        })
    }

    /// A transaction for changes. It holds the only write lock: no network call while it is open.
    ///
    /// # Errors
    /// The write lock could not be had in time.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let tx = self
            .writer
            .begin_with(dialect::sqlite::BEGIN_WRITE)
            .await
            .map_err(StoreError::Connect)?;
        Ok(Tx {
            conn: Conn {
                link: Link::Writer(tx),
                now: self.clock.now(),
            },
            changed: Vec::new(),
            changes: self.changes.clone(),
        })
    }

    /// What committed transactions changed, from now on. A change of this process is told before its commit
    /// returns: answers that were kept rely on that.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// The clock that all times in the database come from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut conn = self.read().await?;
        sqlx::query("SELECT 1")
            .execute(conn.raw())
            .await
            .map_err(StoreError::because("asking the database whether it is there"))?;
        Ok(())
    }

    /// Closes all connections; what was committed is on disk.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A connection, or an open transaction, to read from.
pub struct Conn {
    link: Link,
    now: DateTime<Utc>,
}

enum Link {
    Reader(PoolConnection<Sqlite>),
    Writer(Transaction<'static, Sqlite>),
}

impl Conn {
    /// The moment that this connection works at: the same for all its statements.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    fn raw(&mut self) -> &mut SqliteConnection {
        match &mut self.link {
            Link::Reader(conn) => conn,
            Link::Writer(tx) => tx,
        }
    }
}

/// An open transaction. Dropped without [`Tx::commit`], nothing happened.
pub struct Tx {
    conn: Conn,
    changed: Vec<Change>,
    changes: broadcast::Sender<Change>,
}

impl Tx {
    /// Makes it durable and tells the listeners what changed.
    ///
    /// # Errors
    /// The database refused; then nothing happened.
    pub async fn commit(self) -> Result<(), StoreError> {
        if let Link::Writer(tx) = self.conn.link {
            tx.commit()
                .await
                .map_err(StoreError::because("committing a change"))?;
        }
        for change in self.changed {
            // Nobody listening is no error.
            let _ = self.changes.send(change);
        }
        Ok(())
    }

    /// Takes back everything, and waits until that is so.
    ///
    /// # Errors
    /// The database did not answer; the transaction is gone all the same.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.conn.link {
            Link::Writer(tx) => tx
                .rollback()
                .await
                .map_err(StoreError::because("taking a change back")),
            Link::Reader(_) => Ok(()),
        }
    }

    fn changed(&mut self, entity: EntityKind, id: &str) {
        self.tell(Change::of(entity, id));
    }

    /// A healthy agent checked in.
    fn heard_of(&mut self, agent_id: &str) {
        self.tell(Change {
            routine: true,
            ..Change::of(EntityKind::Agent, agent_id)
        });
    }

    fn tell(&mut self, change: Change) {
        if !self.changed.contains(&change) {
            self.changed.push(change);
        }
    }
}

impl Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}
