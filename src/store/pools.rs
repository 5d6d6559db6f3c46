//! Connections by kind of work, so that none takes another's: a screen that asks too much, or a scrape, is
//! never in the way of an agent, a change, a token or the question whether this server is ready.

use std::fmt;
use std::time::Duration;

use sqlx::{Database, Pool};

use crate::wire::page::PageQuery;

/// What is read that may take long, and for whom. Short reads of single rows need none of this: see
/// [`super::Store::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A person waits for it: a list, a trend.
    Screen,
    /// A person waits for it, and every row has to be looked at: a list with a filter. Others' lists don't wait for
    /// that.
    Search,
    /// Nobody does, or everybody for the same answer: findings, figures, the check of the audit trail.
    Background,
}

impl Work {
    /// Reading a page of a list.
    #[must_use]
    pub const fn of_page(query: &PageQuery) -> Self {
        match (&query.q, &query.filter) {
            (None, None) => Self::Screen,
            _ => Self::Search,
        }
    }

    /// How long it may take in all, once it has a connection.
    #[must_use]
    pub const fn limit(self) -> Duration {
        match self {
            Self::Screen | Self::Search => Duration::from_secs(3),
            Self::Background => Duration::from_secs(30),
        }
    }

    /// How long it waits for a connection.
    pub(super) const fn queues(self) -> Duration {
        match self {
            Self::Screen | Self::Search => Duration::from_secs(3),
            Self::Background => Duration::from_secs(10),
        }
    }
}

/// Connections that one kind of work shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Changes.
    Changes,
    /// Short reads that others' work hangs on.
    Vital,
    /// Lists.
    Screen,
    /// Searches.
    Search,
    /// Work that nobody waits for, or everybody.
    Background,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Vital => "vital",
            Self::Screen => "screen",
            Self::Search => "search",
            Self::Background => "background",
        }
    }
}

impl From<Work> for Kind {
    fn from(work: Work) -> Self {
        match work {
            Work::Screen => Self::Screen,
            Work::Search => Self::Search,
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
    pub(super) searches: Pool<DB>,
    pub(super) background: Pool<DB>,
}

impl<DB: Database> Ways<DB> {
    pub(super) fn of(&self, work: Work) -> &Pool<DB> {
        self.of_kind(work.into())
    }

    pub(super) fn of_kind(&self, kind: Kind) -> &Pool<DB> {
        match kind {
            Kind::Changes => &self.writer,
            Kind::Vital => &self.vital,
            Kind::Screen => &self.screens,
            Kind::Search => &self.searches,
            Kind::Background => &self.background,
        }
    }

    /// How many are in use, by the name of their work.
    pub(super) fn busy(&self) -> [(&'static str, usize); 5] {
        [
            (Kind::Changes, &self.writer),
            (Kind::Vital, &self.vital),
            (Kind::Screen, &self.screens),
            (Kind::Search, &self.searches),
            (Kind::Background, &self.background),
        ]
        .map(|(kind, pool)| (kind.word(), busy(pool)))
    }

    pub(super) async fn close(&self) {
        for pool in [
            &self.screens,
            &self.searches,
            &self.background,
            &self.vital,
            &self.writer,
        ] {
            pool.close().await;
        }
    }
}

/// Connections for lists. Each may take a core of the database for as long as its time limit, and a small platform has
/// its database on the same machine: there one core is left for what agents, changes and readiness need.
pub(super) fn screens() -> u32 {
    cores().clamp(1, 3)
}

/// Connections for searches, each of which does take a core.
pub(super) fn searches() -> u32 {
    (cores() / 2).clamp(1, 2)
}

/// Cores of this machine, or the share of it that this process may use.
fn cores() -> u32 {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

fn busy<DB: Database>(pool: &Pool<DB>) -> usize {
    let size = usize::try_from(pool.size()).unwrap_or(usize::MAX);
    size.saturating_sub(pool.num_idle())
}

/// The most connections that a pool has at once.
pub(super) fn most<DB: Database>(pool: &Pool<DB>) -> usize {
    usize::try_from(pool.options().get_max_connections()).unwrap_or(usize::MAX)
}
