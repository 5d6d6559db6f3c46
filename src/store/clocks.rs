//! Clocks that are off the database's, as each process finds its own, and whose issuers', told through the
//! database so that every API can say so. Nothing here compares clocks or sets them.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::clock_off::{ClockOff, HINT};
use super::statement::sql;
use super::{Conn, StoreError, Tx, dialect};

/// Who has said nothing for so long is gone, or right.
const GONE: TimeDelta = TimeDelta::minutes(1);

/// The one clock that all agree about. SQLite has none but this host's.
pub(super) async fn databases_now(conn: &mut Conn) -> Result<DateTime<Utc>, StoreError> {
    if !conn.is_postgres() {
        return Ok(conn.now());
    }
    sql(dialect::postgres::NOW)
        .fetch_one(conn.raw())
        .await
        .map_err(StoreError::because("asking the database what time it is"))
}

/// An issuer says that its clock is off, as often as it looks.
///
/// # Errors
/// The database doesn't answer.
pub async fn tell(tx: &mut Tx, issuer: &str, off: ClockOff) -> Result<(), StoreError> {
    let doing = "telling that a clock is off";
    let seen_at = databases_now(tx).await?;
    // Each life of an issuer without a name of its own has another one.
    sql("DELETE FROM clocks_off WHERE seen_at < $1")
        .bind(seen_at - GONE)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because(doing))?;
    sql(
        "INSERT INTO clocks_off (issuer, ahead_ms, seen_at) VALUES ($1, $2, $3) \
         ON CONFLICT (issuer) DO UPDATE SET ahead_ms = excluded.ahead_ms, seen_at = excluded.seen_at",
    )
    .bind(issuer)
    .bind(off.0.num_milliseconds())
    .bind(seen_at)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because(doing))?;
    Ok(())
}

/// An issuer says that its clock is right.
///
/// # Errors
/// The database doesn't answer.
pub async fn is_right(tx: &mut Tx, issuer: &str) -> Result<(), StoreError> {
    sql("DELETE FROM clocks_off WHERE issuer = $1")
        .bind(issuer)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("telling that a clock is right"))?;
    Ok(())
}

/// The issuers whose clocks are off, with the time that each is ahead.
///
/// # Errors
/// The database doesn't answer.
pub(super) async fn off(conn: &mut Conn) -> Result<BTreeMap<String, TimeDelta>, StoreError> {
    let now = databases_now(conn).await?;
    let rows: Vec<(String, i64)> = sql("SELECT issuer, ahead_ms FROM clocks_off WHERE seen_at > $1")
        .bind(now - GONE)
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because("reading which clocks are off"))?;
    let ahead = |(issuer, ahead_ms)| (issuer, TimeDelta::milliseconds(ahead_ms));
    Ok(rows.into_iter().map(ahead).collect())
}

/// Words for it, with the next step.
///
/// # Errors
/// The database doesn't answer.
pub async fn told(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    let words = |(issuer, ahead): (String, TimeDelta)| {
        format!(
            "{}, so it claims nothing: {HINT}",
            ClockOff(ahead).words(&format!("the clock of `{issuer}`"))
        )
    };
    Ok(off(conn).await?.into_iter().map(words).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_when_it_is_surely_so() {
        let s = TimeDelta::seconds;
        assert_eq!(ClockOff::of(s(9), s(0)), None);
        assert_eq!(ClockOff::of(s(12), s(5)), None, "a slow answer proves nothing");
        let said = ClockOff::of(s(-75), s(1)).unwrap().words("this server's clock");
        assert_eq!(said, "this server's clock is 75 s behind the database's");
        let said = ClockOff::of(s(75), s(1)).unwrap().words("it");
        assert_eq!(said, "it is 75 s ahead of the database's");
    }
}
