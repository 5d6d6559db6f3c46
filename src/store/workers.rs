//! Issuers and schedulers as they were last seen at work. Each says so by itself while its loop goes round; that one
//! is gone is noticed by who asks. Times are the database's, so that a clock that is off hides nobody.

use chrono::{DateTime, TimeDelta, Utc};

use super::clocks::{self, databases_now};
use super::row::{FromRow, Row, word};
use super::standstill::Counts;
use super::statement::sql;
use super::{Conn, StoreError, Tx};
use crate::domain::worker::{Duty, Worker};

/// Rows of workers that were not seen for so long are taken away: each life of one without a name of its own has
/// another one.
const FORGOTTEN: TimeDelta = TimeDelta::days(1);

/// A duty that nobody was seen at lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Which.
    pub duty: Duty,
    /// When somebody was seen last, if ever.
    pub seen_at: Option<DateTime<Utc>>,
    /// Who that was.
    pub last: Option<String>,
}

impl Gone {
    /// What is missing, what that means and what to do.
    #[must_use]
    pub fn words(&self) -> String {
        let duty = self.duty.word();
        let since = match (&self.last, self.seen_at) {
            (Some(last), Some(at)) => {
                let at = at.format("%Y-%m-%d %H:%MZ");
                format!("no {duty} was seen since {at}, `{last}` last")
            }
            _ => format!("no {duty} was ever seen"),
        };
        format!(
            "{since}: {}; start `cmp-server` with the role {duty}, or see in its log why it stopped",
            self.duty.without_it()
        )
    }
}

/// A worker says that it is at work.
///
/// # Errors
/// The database doesn't answer.
pub async fn beat(tx: &mut Tx, duty: Duty, name: &str, version: &str) -> Result<(), StoreError> {
    let doing = "telling that a worker is there";
    let seen_at = databases_now(tx).await?;
    sql(
        "INSERT INTO workers (duty, name, version, seen_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (duty, name) DO UPDATE SET version = excluded.version, seen_at = excluded.seen_at",
    )
    .bind(duty.word())
    .bind(name)
    .bind(version)
    .bind(seen_at)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because(doing))?;
    sql("DELETE FROM workers WHERE seen_at < $1 AND duty = $2")
        .bind(seen_at - FORGOTTEN)
        .bind(duty.word())
        .execute(tx.raw())
        .await
        .map_err(StoreError::because(doing))?;
    Ok(())
}

/// All that were seen within a day, by duty and name. While no change could be made nobody could say that he is there:
/// that silence means nothing.
///
/// # Errors
/// The database doesn't answer.
pub async fn all(conn: &mut Conn) -> Result<Vec<Worker>, StoreError> {
    let now = databases_now(conn).await?;
    let rows: Vec<Seen> = sql("SELECT duty, name, version, seen_at FROM workers ORDER BY duty, name")
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because("reading which workers are there"))?;
    let clocks = clocks::off(conn).await?;
    let until = match conn.silence() {
        Counts::UntilNow => Some(now),
        Counts::UntilBefore(ago) => Some(now - TimeDelta::from_std(ago).unwrap_or(TimeDelta::zero())),
        Counts::Never => None,
    };
    let silent = |seen_at| until.map_or(TimeDelta::zero(), |until| until - seen_at);
    let worker = |it: Seen| Worker {
        is_there: silent(it.seen_at) <= Duty::PATIENCE,
        clock_ahead_s: clocks
            .get(&it.name)
            .filter(|_| it.duty == Duty::Issuer)
            .map(TimeDelta::num_seconds),
        duty: it.duty,
        name: it.name,
        version: it.version,
        seen_at: it.seen_at,
    };
    Ok(rows.into_iter().map(worker).collect())
}

/// Duties that nobody was seen at for [`Duty::PATIENCE`]. On a platform that has no adapter nobody has to be.
///
/// # Errors
/// The database doesn't answer.
pub async fn gone(conn: &mut Conn) -> Result<Vec<Gone>, StoreError> {
    let now = databases_now(conn).await?;
    let since: Option<DateTime<Utc>> = sql("SELECT MIN(created_at) FROM adapters")
        .fetch_one(conn.raw())
        .await
        .map_err(StoreError::because("reading the adapters"))?;
    // A platform that has just been set up gives its workers time to come.
    if since.is_none_or(|since| now - since <= Duty::PATIENCE) {
        return Ok(Vec::new());
    }
    let workers = all(conn).await?;
    let gone = Duty::ALL.into_iter().filter_map(|duty| {
        let last = workers
            .iter()
            .filter(|it| it.duty == duty)
            .max_by_key(|it| it.seen_at);
        let is_there = last.is_some_and(|it| it.is_there);
        (!is_there).then(|| Gone {
            duty,
            seen_at: last.map(|it| it.seen_at),
            last: last.map(|it| it.name.clone()),
        })
    });
    Ok(gone.collect())
}

struct Seen {
    duty: Duty,
    name: String,
    version: String,
    seen_at: DateTime<Utc>,
}

impl FromRow for Seen {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            duty: word(row, "duty", Duty::from_word)?,
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            seen_at: row.try_get("seen_at")?,
        })
    }
}
