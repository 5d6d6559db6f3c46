//! Connections to read from, and transactions for changes, which tell what they changed when they are
//! committed.

use std::ops::{Deref, DerefMut};

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Sqlite, Transaction};
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::counted::Counted;
use super::in_use::Held;
use super::question::Question;
use super::scans::Scans;
use super::standstill::Counts;
use super::statement::{Raw, To, sql};
use super::trouble::Troubles;
use super::{StoreError, audit, dialect, news};
use crate::domain::audit::AuditEntry;
use crate::domain::id::EntityKind;
use crate::wire::page::Change;

/// A connection, or an open transaction, to read from.
pub struct Conn {
    link: Link,
    now: DateTime<Utc>,
    troubles: Troubles,
    /// A transaction for changes, which keeps there what is wrong.
    changes: bool,
    counted: Counted,
    scans: Scans,
    /// Whose it is; last, so that it is told of until it is given back.
    _held: Option<Held>,
}

pub(super) enum Link {
    SqliteReader(PoolConnection<Sqlite>),
    SqliteWriter(Transaction<'static, Sqlite>),
    PostgresReader(PoolConnection<Postgres>),
    PostgresWriter(Transaction<'static, Postgres>),
    Question(Question),
}

impl Conn {
    pub(super) fn new(
        link: Link,
        now: DateTime<Utc>,
        counted: Counted,
        scans: Scans,
        troubles: Troubles,
        held: Option<Held>,
    ) -> Self {
        Self {
            link,
            now,
            troubles,
            changes: false,
            counted,
            scans,
            _held: held,
        }
    }

    /// The moment that this connection works at: the same for all its statements.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Knowledge of lists that are too long to be counted.
    pub(super) fn counted(&self) -> Counted {
        self.counted.clone()
    }

    /// Knowledge of reads of all words.
    pub(super) fn scans(&self) -> Scans {
        self.scans.clone()
    }

    pub(super) fn raw(&mut self) -> Raw<'_> {
        let (to, bound) = match &mut self.link {
            Link::SqliteReader(conn) => (To::Sqlite(conn), None),
            Link::SqliteWriter(tx) => (To::Sqlite(tx), None),
            Link::PostgresReader(conn) => (To::Postgres(conn), None),
            Link::PostgresWriter(tx) => (To::Postgres(tx), None),
            Link::Question(question) => {
                let (to, bound) = question.parts();
                (to, Some(bound))
            }
        };
        Raw {
            to,
            bound,
            troubles: self.changes.then_some(&self.troubles),
        }
    }

    /// Until when it means something that somebody wrote nothing.
    pub(super) fn silence(&self) -> Counts {
        self.troubles.silence()
    }

    /// The connection as PostgreSQL's own; none of a file.
    pub(super) fn postgres(&mut self) -> Option<&mut PgConnection> {
        match &mut self.link {
            Link::SqliteReader(_) | Link::SqliteWriter(_) => None,
            Link::PostgresReader(conn) => Some(&mut **conn),
            Link::PostgresWriter(tx) => Some(&mut **tx),
            // Bound in time by itself, which only its own statements see.
            Link::Question(_) => None,
        }
    }

    pub(super) fn is_postgres(&self) -> bool {
        match &self.link {
            Link::SqliteReader(_) | Link::SqliteWriter(_) => false,
            Link::PostgresReader(_) | Link::PostgresWriter(_) => true,
            Link::Question(question) => question.is_postgres(),
        }
    }
}

/// An open transaction. Dropped without [`Tx::commit`], nothing happened.
pub struct Tx {
    conn: Conn,
    changed: Vec<Change>,
    /// Those that other processes on the same PostgreSQL are told of already, if this is committed.
    told: Vec<Change>,
    /// Audit rows to be written before the end. The chain is one for all servers, so it is taken hold of
    /// as late as can be.
    noted: Vec<AuditEntry>,
    /// An audit row was written, for which the head of the chain was to be had.
    is_audited: bool,
    changes: broadcast::Sender<Change>,
    own: String,
    /// Given back once the transaction has ended.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Tx {
    pub(super) fn new(conn: Conn, changes: broadcast::Sender<Change>, own: String) -> Self {
        Self {
            conn: Conn {
                changes: true,
                ..conn
            },
            changed: Vec::new(),
            told: Vec::new(),
            noted: Vec::new(),
            is_audited: false,
            changes,
            own,
            _turn: None,
        }
    }

    pub(super) fn with_turn(self, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { _turn: turn, ..self }
    }

    /// Makes it durable and tells the listeners what changed. Where nobody knows whether it did, because the
    /// connection was cut off or the caller no longer waits, they are told that anything may have changed.
    ///
    /// # Errors
    /// The database refused; then nothing happened. Or it was cut off, and nobody knows.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        let doing = "committing a change";
        // Others wait for the head of the chain from here on. A row takes the news with it.
        audit::write_noted(&mut self).await?;
        let notices = self.notices();
        self.notify(notices).await?;
        let mut outcome = Outcome {
            changes: &self.changes,
            is_known: false,
        };
        let committed = match self.conn.link {
            Link::SqliteWriter(tx) => tx.commit().await,
            Link::PostgresWriter(tx) => tx.commit().await,
            Link::SqliteReader(_) | Link::PostgresReader(_) | Link::Question(_) => Ok(()),
        };
        committed.map_err(|source| {
            if is_cut_off(&source) {
                return StoreError::CutOff(source);
            }
            outcome.is_known = true;
            self.conn.troubles.met(&source);
            StoreError::Query { doing, source }
        })?;
        outcome.is_known = true;
        // Where nothing was written, nothing is proven.
        if !self.changed.is_empty() || !self.told.is_empty() {
            self.conn.troubles.over();
        }
        if self.is_audited {
            self.conn.troubles.audited();
        }
        news::tell(&self.changes, self.changed.into_iter().chain(self.told));
        Ok(())
    }

    /// Takes back everything, and waits until that is so.
    ///
    /// # Errors
    /// The database did not answer; the transaction is gone all the same.
    pub async fn rollback(self) -> Result<(), StoreError> {
        let done = match self.conn.link {
            Link::SqliteWriter(tx) => tx.rollback().await,
            Link::PostgresWriter(tx) => tx.rollback().await,
            Link::SqliteReader(_) | Link::PostgresReader(_) | Link::Question(_) => Ok(()),
        };
        done.map_err(StoreError::because("taking a change back"))
    }

    /// Waits until no other transaction does `what`, and keeps others from it until this one ends: for
    /// what is looked up and then made, where there is no row yet to lock.
    ///
    /// # Errors
    /// The other one takes too long, or the database doesn't answer.
    pub async fn alone(&mut self, what: &str) -> Result<(), StoreError> {
        if !self.is_postgres() {
            // SQLite's one writer is alone.
            return Ok(());
        }
        sql(dialect::postgres::ALONE)
            .bind(what)
            .rows(self.raw())
            .await
            .map_err(StoreError::because("waiting for another change"))?;
        Ok(())
    }

    /// Texts that tell other processes on the same PostgreSQL, if this is committed, of what changed since these were
    /// asked for last; none where there is nobody to be told.
    pub(super) fn notices(&mut self) -> Vec<String> {
        if !self.is_postgres() || self.changed.is_empty() {
            return Vec::new();
        }
        let texts = news::payloads(&self.own, &self.changed);
        self.told.append(&mut self.changed);
        texts
    }

    /// Sends what [`Self::notices`] gave and no other statement has taken with it.
    pub(super) async fn notify(&mut self, texts: Vec<String>) -> Result<(), StoreError> {
        for text in texts {
            sql(dialect::postgres::NOTIFY)
                .bind(text)
                .execute(self.conn.raw())
                .await
                .map_err(StoreError::because("telling of a change"))?;
        }
        Ok(())
    }

    pub(super) fn is_audited(&mut self) {
        self.is_audited = true;
    }

    pub(super) fn note(&mut self, entry: AuditEntry) {
        self.noted.push(entry);
    }

    pub(super) fn take_noted(&mut self) -> Vec<AuditEntry> {
        std::mem::take(&mut self.noted)
    }

    pub(super) fn changed(&mut self, entity: EntityKind, id: &str) {
        self.tell(Change::of(entity, id));
    }

    /// A healthy agent checked in, or a CA said the same again.
    pub(super) fn heard_of(&mut self, entity: EntityKind, id: &str) {
        self.tell(Change {
            routine: true,
            ..Change::of(entity, id)
        });
    }

    fn tell(&mut self, change: Change) {
        if !self.changed.contains(&change) && !self.told.contains(&change) {
            self.changed.push(change);
        }
    }
}

/// Of a commit under way. Dropped before it is known, by whatever ended the waiting, it tells the listeners
/// that anything may have changed: an answer that was kept must not outlive a change that happened.
struct Outcome<'a> {
    changes: &'a broadcast::Sender<Change>,
    is_known: bool,
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        if !self.is_known {
            news::tell_all(self.changes);
        }
    }
}

/// Whether the answer to a commit was lost, rather than a no.
fn is_cut_off(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // The server was told to go in the middle of it.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
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
