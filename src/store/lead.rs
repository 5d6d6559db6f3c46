//! Who leads: of several servers on one PostgreSQL one does what has to be done once, such as the
//! scheduler's work. It holds a lock on a connection of its own; when it is lost, with its process or
//! its network, another one takes over. On SQLite there is only one, which leads.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::{StoreError, dialect};

/// For so long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A candidate.
pub struct Lead {
    /// How a connection is made; none on SQLite.
    options: Option<PgConnectOptions>,
    held: Option<PgConnection>,
}

impl Lead {
    pub(super) fn new(options: Option<PgConnectOptions>) -> Self {
        Self { options, held: None }
    }

    /// Whether this one leads now. Asked again before each piece of work, it finds out when it lost the
    /// lead, and takes it over when nobody has it.
    ///
    /// # Errors
    /// The database doesn't answer; then nobody knows, and this one must not act.
    pub async fn is_ours(&mut self) -> Result<bool, StoreError> {
        let Some(options) = &self.options else {
            return Ok(true);
        };
        if let Some(mut conn) = self.held.take() {
            // The lock lives exactly as long as its connection.
            if let Ok(Ok(())) = tokio::time::timeout(PATIENCE, conn.ping()).await {
                self.held = Some(conn);
                return Ok(true);
            }
            tracing::warn!("the lead was lost with its connection");
        }
        let taking = async {
            let mut conn = options.connect().await?;
            let ours: bool = sqlx::query_scalar(dialect::postgres::LEAD)
                .fetch_one(&mut conn)
                .await?;
            Ok::<_, sqlx::Error>(ours.then_some(conn))
        };
        let taken = tokio::time::timeout(PATIENCE, taking)
            .await
            .map_err(|_| StoreError::Connect(sqlx::Error::PoolTimedOut))?;
        self.held = taken.map_err(StoreError::Connect)?;
        Ok(self.held.is_some())
    }

    /// Lets another one take over at once.
    pub async fn resign(&mut self) {
        if let Some(conn) = self.held.take() {
            // Cut off or said goodbye to, the lock is free either way.
            let _ = tokio::time::timeout(PATIENCE, conn.close()).await;
        }
    }
}
