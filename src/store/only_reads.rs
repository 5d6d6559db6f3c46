//! A PostgreSQL that only reads: it is a replica, or a primary that somebody set so. A refused change has one code for
//! both (25006), and a replica's next step done to a primary makes two of them, so that the server is asked.
//!
//! It is asked on a connection of its own: what a role's or a database's setting is now only a new session is told.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Trouble;
use super::dialect::postgres::{self, Upstream};

/// PostgreSQL: a change where only reading is allowed.
pub(super) const CODE: &str = "25006";
/// For how long an answer holds, for all whose changes were refused.
const HOLDS: Duration = Duration::from_secs(1);
/// Time that asking may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// State of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It follows another one.
    Replica(Upstream),
    /// It is a primary that was set so, in a place of this name (`pg_settings.source`).
    SetSo(String),
    /// It takes changes by now.
    NotNow,
    /// It gave no answer.
    Unknown,
}

/// A change that was refused, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub(super) struct OnlyReads {
    why: Why,
    source: sqlx::Error,
}

impl OnlyReads {
    /// Cause of an error that carries one.
    pub(super) fn trouble(error: &sqlx::Error) -> Option<Trouble> {
        let sqlx::Error::AnyDriverError(error) = error else {
            return None;
        };
        error.downcast_ref::<Self>().map(|it| it.why.trouble())
    }
}

impl Why {
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Replica(follows) => Trouble::replica(follows),
            Self::SetSo(source) => Trouble::set_read_only(source),
            Self::NotNow => Trouble::only_read(),
            Self::Unknown => Trouble::only_reads(),
        }
    }
}

/// Asks one server, for one at a time. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    server: Arc<PgConnectOptions>,
    last: Arc<Mutex<Option<(Instant, Why)>>>,
}

impl Asked {
    pub(super) fn new(server: Arc<PgConnectOptions>) -> Self {
        Self {
            server,
            last: Arc::default(),
        }
    }

    /// State of changes now.
    pub(super) async fn why(&self) -> Why {
        let mut last = self.last.lock().await;
        if let Some((at, why)) = last.as_ref()
            && at.elapsed() < HOLDS
        {
            return why.clone();
        }
        let why = match timeout(PATIENCE, self.ask()).await {
            Ok(Ok(why)) => why,
            Ok(Err(_)) | Err(_) => Why::Unknown,
        };
        *last = Some((Instant::now(), why.clone()));
        why
    }

    async fn ask(&self) -> Result<Why, sqlx::Error> {
        let mut conn = self.server.connect().await?;
        let why = match postgres::upstream(&mut conn).await? {
            Some(follows) => Why::Replica(follows),
            None => match postgres::set_read_only(&mut conn).await? {
                Some(source) => Why::SetSo(source),
                None => Why::NotNow,
            },
        };
        conn.close().await?;
        Ok(why)
    }
}

/// A change was refused because it only reads.
pub(super) fn is(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().as_deref() == Some(CODE),
        _ => false,
    }
}

/// The error with its reason.
pub(super) fn told(why: Why, source: sqlx::Error) -> sqlx::Error {
    sqlx::Error::AnyDriverError(Box::new(OnlyReads { why, source }))
}
