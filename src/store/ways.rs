//! Ways to the rows of a page: by a search that leaves few of them, or along the order of the list.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use crate::wire::page::MOST_COUNTED;

use super::counted::Asked;
use super::row::Row;
use super::searched::{Driver, FEW, Search, bounded, bounded_by};
use super::select::{List, Where};
use super::statement::{Json, Value, sql};
use super::window::Window;
use super::{Conn, StoreError};

/// As many of the things that are searched for at once are tried, whether they are rare.
const MOST_TRIED: usize = 3;

impl List {
    /// The search that leads to the rows: the first, by how much they tell, that leaves few of them.
    pub(super) async fn driver(
        &self,
        conn: &mut Conn,
        searches: &mut Vec<Search>,
    ) -> Result<Driver, StoreError> {
        searches.sort_by_key(Search::rank);
        let mut led = Driver::None;
        for at in 0..searches.len().min(MOST_TRIED) {
            let scans = conn.scans();
            for scan in searches[at].scans() {
                if let Some(ids) = scans.ids(conn, &scan).await? {
                    searches[at].kept.push((scan.kind, ids));
                }
            }
            let mut binds = Vec::new();
            let Some(ids) = searches[at].ids(conn.is_postgres(), &mut binds) else {
                continue;
            };
            if ids.is_empty() {
                return Ok(Driver::Nothing);
            }
            // Texts that were frequent a moment ago aren't looked for to find that out again.
            let counted = conn.counted();
            let known = Asked::of_search(self.doing, &format!("{ids:?} {binds:?}"));
            if counted.is_beyond(&known).await {
                if searches[at].is_exact() {
                    led = Driver::Many;
                }
                continue;
            }
            let few = format!(
                "SELECT CAST(h.id AS text) FROM ({}) h",
                bounded_by(FEW, &ids, " UNION ALL ")
            );
            let hits: Vec<String> = sql(AssertSqlSafe(few))
                .bind_all(binds.clone())
                .fetch_all(conn.raw())
                .await
                .map_err(StoreError::because(self.doing))?;
            match i64::try_from(hits.len()) {
                Ok(0) => return Ok(Driver::Nothing),
                Ok(n) if n <= FEW => return Ok(Driver::By(searches.remove(at), Some(hits))),
                _ => {}
            }
            // Of many it is enough to know that: the first of them end the question.
            let text = format!(
                "SELECT COUNT(*), COUNT(DISTINCT id) FROM ({}) h",
                bounded(&ids, " UNION ALL ")
            );
            let (n, n_distinct): (i64, i64) = sql(AssertSqlSafe(text))
                .bind_all(binds)
                .fetch_one(conn.raw())
                .await
                .map_err(StoreError::because(self.doing))?;
            match n {
                n if n <= MOST_COUNTED => return Ok(Driver::By(searches.remove(at), None)),
                _ if searches[at].is_exact() && n_distinct > MOST_COUNTED => {
                    counted.keep_beyond(known).await;
                    led = Driver::Many;
                }
                _ => {}
            }
        }
        Ok(led)
    }

    /// The rows that a search leads to, by their ids, as far as the other conditions hold, and how many there are. They
    /// are put together before they are sorted: in the order of an index they would be looked for among all rows.
    pub(super) async fn found(
        &self,
        conn: &mut Conn,
        mut filter: Where,
        search: &Search,
        hits: Option<Vec<String>>,
        window: Window,
    ) -> Result<(Vec<Row>, i64), StoreError> {
        let hits = match hits {
            Some(ids) => {
                let ids: BTreeSet<String> = ids.into_iter().collect();
                filter.binds.push(Value::from(Json(ids)));
                let id = match self.number_as_id {
                    true => "CAST(l.value AS bigint)",
                    false => "l.value",
                };
                format!("SELECT {id} AS id FROM json_each(${}) l", filter.binds.len())
            }
            None => {
                let ids = search
                    .ids(conn.is_postgres(), &mut filter.binds)
                    .unwrap_or_default();
                bounded(&ids, " UNION ")
            }
        };
        let (from, id, columns, by_what) = (self.from, self.id, self.columns, window.column.sql);
        let condition = &filter.text;
        let and = match condition.is_empty() {
            true => "WHERE",
            false => "AND",
        };
        // A narrow table may have all that is judged and sorted by.
        let (within, its_id) = match &self.beside {
            Some(beside) if by_what.starts_with(beside.columns) && !condition.contains(beside.others) => {
                (beside.from, beside.id)
            }
            _ => (from, id),
        };
        // Never null where there is a row. As a value of its own it is looked up id by id, whatever plan is made.
        let kept = format!(
            "WITH hits AS MATERIALIZED ({hits}), kept AS MATERIALIZED (SELECT hits.id AS kept_id, \
             (SELECT {by_what} FROM {within}{condition} {and} {its_id} = hits.id) AS kept_by FROM hits), \
             all_kept AS (SELECT kept_id, kept_by FROM kept WHERE kept_by IS NOT NULL)"
        );
        let n_binds = filter.binds.len();
        // As a range of its index each row is looked up, whatever PostgreSQL believes of their number.
        let after = window.after("kept_by", "kept_id", self.number_as_id, &mut filter.binds);
        let after = after.map(|it| format!(" WHERE {it}")).unwrap_or_default();
        let (by, limit) = (window.by(), window.limit + 1);
        let text = format!(
            "{kept} SELECT {columns}, page.kept_by AS sort_value, page.kept_id AS sort_id, \
             (SELECT COUNT(*) FROM all_kept) AS n_in_all \
             FROM (SELECT * FROM all_kept{after} ORDER BY kept_by {by}, kept_id {by} LIMIT {limit}) page \
             CROSS JOIN {from} WHERE {id} >= page.kept_id AND {id} <= page.kept_id ORDER BY page.kept_by {by}, page.kept_id {by}"
        );
        let rows = sql(AssertSqlSafe(text))
            .bind_all(filter.binds.clone())
            .rows(conn.raw())
            .await
            .map_err(StoreError::because(self.doing))?;
        let n = match rows.first() {
            Some(row) => row.try_get("n_in_all").map_err(StoreError::because(self.doing))?,
            None if after.is_empty() => 0,
            // A page after the last one.
            None => {
                filter.binds.truncate(n_binds);
                sql(AssertSqlSafe(format!("{kept} SELECT COUNT(*) FROM all_kept")))
                    .bind_all(filter.binds)
                    .fetch_one(conn.raw())
                    .await
                    .map_err(StoreError::because(self.doing))?
            }
        };
        Ok((rows, n))
    }

    /// The rows in the order of the list, as far as the conditions hold, how many there are up to `most`,
    /// and whether there are more.
    pub(super) async fn walked(
        &self,
        conn: &mut Conn,
        mut filter: Where,
        window: Window,
        (most, is_known): (i64, bool),
    ) -> Result<(Vec<Row>, i64, bool), StoreError> {
        let (columns, from, by_what) = (self.columns, self.from, window.column.sql);
        let id = match &self.beside {
            Some(beside) if by_what.starts_with(beside.columns) => beside.id,
            _ => self.id,
        };
        let (condition, binds) = (filter.text.clone(), filter.binds.clone());
        let parts = filter.parts.clone();
        if let Some(after) = window.after(by_what, id, self.number_as_id, &mut filter.binds) {
            filter.push(&after);
        }
        let (by, limit) = (window.by(), window.limit + 1);
        let text = format!(
            "SELECT {columns}, {by_what} AS sort_value, {id} AS sort_id FROM {from}{} \
             ORDER BY {by_what} {by}, {id} {by} LIMIT {limit}",
            filter.text,
        );
        let rows = sql(AssertSqlSafe(text))
            .bind_all(filter.binds)
            .rows(conn.raw())
            .await
            .map_err(StoreError::because(self.doing))?;
        // All of them are on a first page that isn't full.
        if let (None, Ok(n)) = (&window.after, i64::try_from(rows.len()))
            && n <= i64::from(window.limit)
        {
            return Ok((rows, n, false));
        }
        if is_known {
            return Ok((rows, most, true));
        }
        let of_first = |from: &str| format!("SELECT 1 FROM {from} LIMIT {}", most + 1);
        let first = match &self.beside {
            Some(beside) if !condition.contains(beside.others) => {
                of_first(&format!("{}{condition}", beside.from))
            }
            // Row by row as the page is: PostgreSQL would rather read all tables before it puts them together.
            Some(beside) if most < MOST_COUNTED => {
                let by_what = match by_what.starts_with(beside.columns) {
                    true => by_what,
                    false => beside.id,
                };
                // What the narrow table knows leaves out rows before they are looked up in the wide one.
                let (mut narrow, mut wide) = (Where::default(), Where::default());
                for part in &parts {
                    match part.contains(beside.others) {
                        true => wide.push(part),
                        false => narrow.push(part),
                    }
                }
                of_first(&format!(
                    "(SELECT {} AS walked_id, {by_what} AS walked_by FROM {}{}) walked WHERE \
                     (SELECT 1 FROM {from}{} AND {} = walked.walked_id) IS NOT NULL \
                     ORDER BY walked_by {by}, walked_id {by}",
                    beside.id, beside.from, narrow.text, wide.text, self.id,
                ))
            }
            _ if most < MOST_COUNTED => {
                of_first(&format!("{from}{condition} ORDER BY {by_what} {by}, {id} {by}"))
            }
            _ => of_first(&format!("{from}{condition}")),
        };
        let n: i64 = sql(AssertSqlSafe(format!("SELECT COUNT(*) FROM ({first}) n")))
            .bind_all(binds)
            .fetch_one(conn.raw())
            .await
            .map_err(StoreError::because(self.doing))?;
        Ok((rows, n.min(most), n > most))
    }
}
