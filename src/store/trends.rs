//! Counts over time: one statement for each chart, over an index. What they mean is said in `wire`.

use chrono::{DateTime, Duration, Utc};
use sqlx::AssertSqlSafe;

use crate::wire::trends::{CHECKIN_MIN, CHECKINS, HOURS, Trends, WEEKS};

use super::certificate_list::STILL_MATTERS;
use super::statement::{Value, sql};
use super::{Conn, StoreError};

/// All charts.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn) -> Result<Trends, StoreError> {
    let now = conn.now();
    let mut expiring = Counts {
        column: "s.not_after",
        from: format!("certificate_states s WHERE s.not_after < $LAST AND {STILL_MATTERS}"),
        edges: edges(now, Duration::weeks(1), WEEKS),
        before: true,
    }
    .read(conn)
    .await?;
    let expired = expiring.remove(0);
    let mut checked_in = Counts {
        column: "COALESCE(a.last_checkin, '1970-01-01T00:00:00+00:00')",
        from: "agents a WHERE a.status = 'active'".to_owned(),
        edges: edges_back(now, Duration::minutes(CHECKIN_MIN), CHECKINS),
        before: true,
    }
    .read(conn)
    .await?;
    let silent = checked_in.remove(0);
    checked_in.reverse();
    let mut by_outcome = Vec::new();
    for outcome in ["done", "failed"] {
        let mut hours = Counts {
            column: "timestamp",
            from: format!(
                "audit_logs WHERE timestamp >= $FIRST AND action = 'issue' AND outcome = '{outcome}'"
            ),
            edges: edges_back(now, Duration::hours(1), HOURS),
            before: false,
        }
        .read(conn)
        .await?;
        hours.reverse();
        by_outcome.push(hours);
    }
    let failed = by_outcome.pop().unwrap_or_default();
    let issued = by_outcome.pop().unwrap_or_default();
    Ok(Trends {
        expiring,
        expired,
        checked_in,
        silent,
        issued,
        failed,
    })
}

/// From now on, one step after the other.
fn edges(now: DateTime<Utc>, step: Duration, n: usize) -> Vec<DateTime<Utc>> {
    let n = i32::try_from(n).unwrap_or(0);
    (0..=n).map(|index| now + step * index).collect()
}

/// Until now, the oldest first; a moment after now still counts as now.
fn edges_back(now: DateTime<Utc>, step: Duration, n: usize) -> Vec<DateTime<Utc>> {
    let first = now - step * i32::try_from(n).unwrap_or(0);
    let mut edges = edges(first, step, n);
    if let Some(last) = edges.last_mut() {
        *last += Duration::days(1);
    }
    edges
}

/// How many rows lie between each two edges, by one statement.
struct Counts {
    /// The time that is looked at.
    column: &'static str,
    /// `table WHERE …`; `$FIRST` and `$LAST` are the outer edges.
    from: String,
    /// In rising order.
    edges: Vec<DateTime<Utc>>,
    /// Whether what lies before the first edge is counted too, first.
    before: bool,
}

impl Counts {
    async fn read(&self, conn: &mut Conn) -> Result<Vec<i64>, StoreError> {
        let column = self.column;
        let mut columns: Vec<String> = Vec::new();
        if self.before {
            columns.push(format!("COUNT(*) FILTER (WHERE {column} < $1)"));
        }
        for index in 1..self.edges.len() {
            let (from, to) = (index, index + 1);
            columns.push(format!(
                "COUNT(*) FILTER (WHERE {column} >= ${from} AND {column} < ${to})"
            ));
        }
        let from = self
            .from
            .replace("$FIRST", "$1")
            .replace("$LAST", &format!("${}", self.edges.len()));
        let text = format!("SELECT {} FROM {from}", columns.join(", "));
        let doing = "counting over time";
        let edges = self.edges.iter().map(|edge| Value::from(*edge));
        let rows = sql(AssertSqlSafe(text))
            .bind_all(edges)
            .rows(conn.raw())
            .await
            .map_err(StoreError::because(doing))?;
        let row = rows
            .first()
            .ok_or(sqlx::Error::RowNotFound)
            .map_err(StoreError::because(doing))?;
        (0..columns.len())
            .map(|index| row.try_get(index))
            .collect::<Result<_, _>>()
            .map_err(StoreError::because(doing))
    }
}
