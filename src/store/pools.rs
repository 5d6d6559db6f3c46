//! Connections by kind of work, so that none takes another's: a screen that asks too much, or a scrape, is
//! never in the way of an agent, a change, a token or the question whether this server is ready.

use std::fmt;
use std::time::Duration;

use sqlx::{Database, Pool};

use super::StoreError;

/// What is read that may take long, and for whom. Short reads of single rows need none of this: see
/// [`super::Store::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A person waits for it: a list, a search, a trend.
    Screen,
    /// Nobody does, or everybody for the same answer: findings, figures, the check of the audit trail.
    Background,
}

impl Work {
    /// How long it may take in all, once it has a connection.
    #[must_use]
    pub const fn limit(self) -> Duration {
        match self {
            Self::Screen => Duration::from_secs(3),
            Self::Background => Duration::from_secs(30),
        }
    }

    /// How long it waits for a connection.
    pub(super) const fn queues(self) -> Duration {
        match self {
            Self::Screen => Duration::from_secs(3),
            Self::Background => Duration::from_secs(10),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Kind::from(*self).fmt(f)
    }
}

/// Connections that one kind of work shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Changes,
    Vital,
    Screen,
    Background,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Vital => "vital",
            Self::Screen => "screen",
            Self::Background => "background",
        }
    }
}

impl From<Work> for Kind {
    fn from(work: Work) -> Self {
        match work {
            Work::Screen => Self::Screen,
            Work::Background => Self::Background,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One database's connections.
pub(super) struct Ways<DB: Database> {
    /// Changes.
    pub(super) writer: Pool<DB>,
    /// Short reads that others' work hangs on.
    pub(super) vital: Pool<DB>,
    pub(super) screens: Pool<DB>,
    pub(super) background: Pool<DB>,
}

impl<DB: Database> Ways<DB> {
    pub(super) fn of(&self, work: Work) -> &Pool<DB> {
        match work {
            Work::Screen => &self.screens,
            Work::Background => &self.background,
        }
    }

    /// How many are in use, by the name of their work.
    pub(super) fn busy(&self) -> [(&'static str, usize); 4] {
        [
            (Kind::Changes, &self.writer),
            (Kind::Vital, &self.vital),
            (Kind::Screen, &self.screens),
            (Kind::Background, &self.background),
        ]
        .map(|(kind, pool)| (kind.word(), busy(pool)))
    }

    pub(super) async fn close(&self) {
        for pool in [&self.screens, &self.background, &self.vital, &self.writer] {
            pool.close().await;
        }
    }
}

fn busy<DB: Database>(pool: &Pool<DB>) -> usize {
    let size = usize::try_from(pool.size()).unwrap_or(usize::MAX);
    size.saturating_sub(pool.num_idle())
}

/// Why no connection was to be had: others have them all, or the database gives none.
pub(super) fn refused<DB: Database>(pool: &Pool<DB>, work: Work, error: sqlx::Error) -> StoreError {
    let most = usize::try_from(pool.options().get_max_connections()).unwrap_or(usize::MAX);
    match error {
        sqlx::Error::PoolTimedOut if busy(pool) >= most => StoreError::Crowded(work),
        error => StoreError::Connect(error),
    }
}
