//! Which running server of a database a connection leads to.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::dialect::postgres::INSTANCE;
use crate::domain::database::Instance;

/// The server; none where the account may not ask for it.
pub(super) async fn of(conn: impl PgExecutor<'_>) -> Option<Instance> {
    let row: Result<(String, i32, DateTime<Utc>), _> = sqlx::query_as(INSTANCE).fetch_one(conn).await;
    match row {
        Ok((system_identifier, timeline, started_at)) => Some(Instance {
            system_identifier,
            timeline,
            started_at,
        }),
        Err(error) => {
            tracing::debug!(%error, "the database doesn't say which server it is");
            None
        }
    }
}
