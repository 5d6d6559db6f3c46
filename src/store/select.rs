//! Pages: one way to turn a [`PageQuery`] into a statement over a keyset window.
//!
//! Text of a statement comes only from constants in this folder; whatever a caller said is bound.

use chrono::{DateTime, Duration, Utc};
use sqlx::AssertSqlSafe;

use crate::problem::Problem;
use crate::wire::filter::{Filter, Wants};
use crate::wire::page::{Page, PageQuery};

use super::cursor::{Cursor, SortValue};
use super::row::{FromRow, Row};
use super::statement::{Value, sql};
use super::{Conn, StoreError};

impl From<SortValue> for Value {
    fn from(value: SortValue) -> Self {
        match value {
            SortValue::Text(text) => text.into(),
            SortValue::Time(at) => at.into(),
            SortValue::Number(n) => n.into(),
        }
    }
}

/// What ends within this time is soon to end, as the screens call it.
const SOON: Duration = Duration::days(30);

/// What a sort column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sorts {
    Text,
    Time,
    Number,
}

/// A column that a list can be sorted by.
pub(super) struct SortColumn {
    /// The word in `sort=`.
    pub(super) name: &'static str,
    /// The expression; never null.
    pub(super) sql: &'static str,
    /// What it holds.
    pub(super) sorts: Sorts,
}

/// A list: what is selected, and by what it can be sorted.
pub(super) struct List {
    /// Columns, comma separated.
    pub(super) columns: &'static str,
    /// `table t JOIN …`
    pub(super) from: &'static str,
    /// The column with the id, unique.
    pub(super) id: &'static str,
    /// Whether ids are numbers.
    pub(super) number_as_id: bool,
    /// What can be sorted by; the first is the default.
    pub(super) sorts: &'static [SortColumn],
    /// `-` when the default is descending.
    pub(super) default_sort: &'static str,
    /// What a word of a filter is looked for in; each `?` stands for the pattern.
    pub(super) words: &'static str,
    /// The fields of a filter.
    pub(super) fields: &'static [Field],
    /// Which query parameters mean something here, beside `filter`.
    pub(super) parameters: &'static [&'static str],
    /// Said when a statement fails.
    pub(super) doing: &'static str,
}

/// A field of a filter.
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is compared with.
    pub(super) is: Is,
}

/// How a field is compared; a condition is never null.
pub(super) enum Is {
    /// A text that matches a pattern, which each `?` stands for.
    Like(&'static str),
    /// One of these words, or one that time makes of them: its condition, in which `?now` stands for the
    /// present and `?soon` for thirty days later.
    Word(
        &'static str,
        &'static [&'static str],
        &'static [(&'static str, &'static str)],
    ),
    /// A time; the second is what must hold beside for one that is near.
    Time(&'static str, &'static str),
    /// A time in the past, by how long ago it is.
    Ago(&'static str),
    /// Either of these conditions, for yes and no.
    Flag(&'static str, &'static str),
}

/// Conditions, joined by AND.
#[derive(Default)]
pub(super) struct Where {
    text: String,
    binds: Vec<Value>,
}

impl Where {
    /// Adds a condition; each `?` in it stands for `bind`, bound once.
    pub(super) fn and(&mut self, condition: &'static str, bind: Value) {
        self.binds.push(bind);
        let place = format!("${}", self.binds.len());
        self.push(&condition.replace('?', &place));
    }

    /// Adds what a filter wants of `list` at `now`.
    fn and_filter(&mut self, filter: &Filter, list: &List, now: DateTime<Utc>) -> Result<(), Problem> {
        for term in &filter.terms {
            let field = term
                .field
                .as_deref()
                .and_then(|name| list.fields.iter().find(|field| field.name == name));
            let anywhere = Is::Like(list.words);
            let is = field.map_or(&anywhere, |field| &field.is);
            if let (Is::Like(sql), Wants::Text(text)) = (is, &term.wants)
                && text.contains('|')
            {
                let either = text.split('|').filter(|text| !text.is_empty());
                let either: Vec<String> = either.map(|text| self.bound(sql, contains(text))).collect();
                let either = match either.is_empty() {
                    true => "1 = 1".to_owned(),
                    false => either.join(" OR "),
                };
                self.push(&match term.not {
                    true => format!("NOT ({either})"),
                    false => either,
                });
                continue;
            }
            let (condition, bind) = match (is, &term.wants) {
                (Is::Like(sql), Wants::Text(text)) => ((*sql).to_owned(), Some(contains(text))),
                (Is::Like(sql), Wants::Letters(text)) => ((*sql).to_owned(), Some(contains_letters(text))),
                (Is::Word(_, _, timed), Wants::Text(word))
                    if let Some((_, condition)) = timed.iter().find(|(name, _)| name == word) =>
                {
                    (self.timed(condition, now), None)
                }
                (Is::Word(column, words, _), Wants::Text(word)) if words.contains(&word.as_str()) => {
                    (format!("{column} = ?"), Some(Value::from(word.clone())))
                }
                (Is::Time(column, beside), Wants::Within(span)) => {
                    let until = Value::from(now + *span);
                    (format!("{column} < ? AND {beside}"), Some(until))
                }
                (Is::Time(column, _), Wants::Beyond(span)) => {
                    (format!("{column} >= ?"), Some(Value::from(now + *span)))
                }
                (Is::Ago(column), Wants::Within(span)) => {
                    (format!("{column} > ?"), Some(Value::from(now - *span)))
                }
                (Is::Ago(column), Wants::Beyond(span)) => {
                    (format!("{column} <= ?"), Some(Value::from(now - *span)))
                }
                (Is::Flag(yes, no), Wants::Flag(wanted)) => {
                    (if *wanted { *yes } else { *no }.to_owned(), None)
                }
                (is, _) => {
                    let name = term.field.as_deref().unwrap_or("a word");
                    let problem =
                        Problem::bad_input(format!("`{name}` takes another sort of value in a filter"));
                    return Err(match is {
                        Is::Word(_, words, timed) => {
                            let timed = timed.iter().map(|(name, _)| *name);
                            let known: Vec<&str> = words.iter().copied().chain(timed).collect();
                            Problem::bad_input(format!("{name} is one of: {}", known.join(", ")))
                        }
                        _ => problem,
                    });
                }
            };
            let condition = match bind {
                Some(bind) => self.bound(&condition, bind),
                None => condition,
            };
            self.push(&match term.not {
                true => format!("NOT ({condition})"),
                false => condition,
            });
        }
        Ok(())
    }

    /// A condition, each `?` of which stands for `bind`.
    fn bound(&mut self, condition: &str, bind: Value) -> String {
        self.binds.push(bind);
        condition.replace('?', &format!("${}", self.binds.len()))
    }

    /// A condition with its moments bound.
    fn timed(&mut self, condition: &str, now: DateTime<Utc>) -> String {
        let mut text = condition.to_owned();
        for (name, at) in [("?now", now), ("?soon", now + SOON)] {
            if text.contains(name) {
                self.binds.push(Value::from(at));
                text = text.replace(name, &format!("${}", self.binds.len()));
            }
        }
        text
    }

    /// Adds a condition that binds nothing.
    pub(super) fn and_plain(&mut self, condition: &'static str) {
        self.push(condition);
    }

    fn push(&mut self, condition: &str) {
        self.text.push_str(if self.text.is_empty() {
            " WHERE ("
        } else {
            " AND ("
        });
        self.text.push_str(condition);
        self.text.push(')');
    }
}

/// `%text%` in lower case for LIKE … ESCAPE '\', with its wildcards taken literally.
pub(super) fn contains(text: &str) -> Value {
    Value::from(format!(
        "%{}%",
        text.to_lowercase().chars().map(literal).collect::<String>()
    ))
}

/// `%t%e%x%t%`: its letters in their order, whatever is between them.
fn contains_letters(text: &str) -> Value {
    let letters = text
        .to_lowercase()
        .chars()
        .map(|c| literal(c) + "%")
        .collect::<String>();
    Value::from(format!("%{letters}"))
}

fn literal(c: char) -> String {
    match c {
        '%' | '_' | '\\' => format!("\\{c}"),
        c => c.to_string(),
    }
}

impl List {
    /// Refuses parameters that this list doesn't know, by name.
    fn check(&self, query: &PageQuery) -> Result<(), Problem> {
        let given = [
            ("q", query.q.is_some()),
            ("status", query.status.is_some()),
            ("expires_before", query.expires_before.is_some()),
            ("spki", query.spki.is_some()),
            ("agent", query.agent.is_some()),
            ("entity", query.entity.is_some()),
            ("open", query.open.is_some()),
        ];
        match given
            .iter()
            .find(|(name, given)| *given && !self.parameters.contains(name))
        {
            Some((name, _)) => Err(Problem::bad_input(format!(
                "the parameter `{name}` means nothing in this list"
            ))
            .hint(format!(
                "allowed: after, limit, sort, filter, {}",
                self.parameters.join(", ")
            ))),
            None => Ok(()),
        }
    }

    fn order(&self, sort: &str) -> Result<(&'static SortColumn, Direction), Problem> {
        let (name, direction) = match sort.strip_prefix('-') {
            Some(name) => (name, Direction::Down),
            None => (sort, Direction::Up),
        };
        self.sorts
            .iter()
            .find(|column| column.name == name)
            .map(|column| (column, direction))
            .ok_or_else(|| {
                let names: Vec<&str> = self.sorts.iter().map(|column| column.name).collect();
                Problem::bad_input(format!("this list can't be sorted by `{sort}`")).hint(format!(
                    "allowed: {}; with `-` in front for descending",
                    names.join(", ")
                ))
            })
    }

    /// The page that `query` asks for, among the rows that `filter` lets through.
    pub(super) async fn page<T>(
        &self,
        conn: &mut Conn,
        query: &PageQuery,
        mut filter: Where,
    ) -> Result<Page<T>, StoreError>
    where
        T: FromRow,
    {
        self.check(query)?;
        let sort = query.sort.as_deref().unwrap_or(self.default_sort);
        let (column, direction) = self.order(sort)?;
        let limit = query.limit_or_default();
        if let Some(q) = &query.q {
            filter.and(self.words, contains(q));
        }
        if let Some(text) = &query.filter {
            // In the order of `wire/filter.rs`, by which the screen reads them too.
            let names: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
            let wanted = Filter::read(text, &names).map_err(Problem::bad_input)?;
            filter.and_filter(&wanted, self, conn.now())?;
        }
        let total = self.total(conn, &filter).await?;

        let mut window = filter;
        if let Some(after) = &query.after {
            let cursor = Cursor::decode(after, sort)?;
            window.after(column, self, direction, cursor)?;
        }
        let by = match direction {
            Direction::Up => "ASC",
            Direction::Down => "DESC",
        };
        let columns = self.columns;
        let (from, id, by_what) = (self.from, self.id, column.sql);
        let text = format!(
            "SELECT {columns}, {by_what} AS sort_value, {id} AS sort_id FROM {from}{} \
             ORDER BY {by_what} {by}, {id} {by} LIMIT {}",
            window.text,
            limit + 1
        );
        let mut rows = sql(AssertSqlSafe(text))
            .bind_all(window.binds)
            .rows(conn.raw())
            .await
            .map_err(StoreError::because(self.doing))?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = match rows.last() {
            Some(last) if more => Some(
                cursor_of(last, sort, column.sorts, self.number_as_id)
                    .map_err(StoreError::because(self.doing))?
                    .encode(),
            ),
            _ => None,
        };
        let items = rows
            .iter()
            .map(T::from_row)
            .collect::<Result<Vec<T>, sqlx::Error>>()
            .map_err(StoreError::because(self.doing))?;
        Ok(Page { items, next, total })
    }

    async fn total(&self, conn: &mut Conn, filter: &Where) -> Result<i64, StoreError> {
        let text = format!("SELECT COUNT(*) FROM {}{}", self.from, filter.text);
        sql(AssertSqlSafe(text))
            .bind_all(filter.binds.clone())
            .fetch_one(conn.raw())
            .await
            .map_err(StoreError::because(self.doing))
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

impl Where {
    /// Only rows after `cursor`, as a row-value comparison, which both databases answer by index.
    fn after(
        &mut self,
        column: &SortColumn,
        list: &List,
        direction: Direction,
        cursor: Cursor,
    ) -> Result<(), Problem> {
        let fits = matches!(
            (column.sorts, &cursor.value),
            (Sorts::Text, SortValue::Text(_))
                | (Sorts::Time, SortValue::Time(_))
                | (Sorts::Number, SortValue::Number(_))
        );
        if !fits {
            return Err(
                Problem::bad_input("the cursor `after` is not one that this API made")
                    .hint("start again without `after`"),
            );
        }
        self.binds.push(cursor.value.into());
        // A number as id (audit rows) must be compared as a number.
        self.binds.push(match list.number_as_id {
            true => Value::from(cursor.id.parse().unwrap_or(i64::MAX)),
            false => Value::from(cursor.id),
        });
        let n = self.binds.len();
        let than = match direction {
            Direction::Up => '>',
            Direction::Down => '<',
        };
        let (by_what, id) = (column.sql, list.id);
        self.push(&format!("({by_what}, {id}) {than} (${}, ${n})", n - 1));
        Ok(())
    }
}

fn cursor_of(row: &Row, sort: &str, sorts: Sorts, number_as_id: bool) -> Result<Cursor, sqlx::Error> {
    let value = match sorts {
        Sorts::Text => SortValue::Text(row.try_get("sort_value")?),
        Sorts::Time => SortValue::Time(row.try_get("sort_value")?),
        Sorts::Number => SortValue::Number(row.try_get("sort_value")?),
    };
    let id = match number_as_id {
        true => row.try_get::<i64>("sort_id")?.to_string(),
        false => row.try_get("sort_id")?,
    };
    Ok(Cursor {
        order: sort.to_owned(),
        value,
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{agents, audit, certificates, requests};
    use super::*;
    use crate::wire::filter::{AGENT_FIELDS, AUDIT_FIELDS, CERTIFICATE_FIELDS, REQUEST_FIELDS, Takes, takes};

    /// The screen tells wrong words of a filter by itself, and help what is right: the lists have to know just that.
    #[test]
    fn the_fields_of_filters_take_what_the_lists_compare_them_with() {
        let lists = [
            (CERTIFICATE_FIELDS, certificates::LIST),
            (AGENT_FIELDS, agents::LIST),
            (REQUEST_FIELDS, requests::LIST),
            (AUDIT_FIELDS, audit::LIST),
        ];
        for (fields, list) in lists {
            // In one order, by which both know which list it is.
            let known: Vec<&str> = list.fields.iter().map(|field| field.name).collect();
            assert_eq!(fields, known);
            for field in list.fields {
                match (&field.is, takes(fields, field.name)) {
                    (Is::Like(_), Takes::Text)
                    | (Is::Time(..), Takes::Ahead)
                    | (Is::Ago(_), Takes::Ago)
                    | (Is::Flag(..), Takes::Flag) => {}
                    (Is::Word(_, words, timed), Takes::OneOf(told)) => {
                        for word in told {
                            let is_timed = timed.iter().any(|(name, _)| name == word);
                            assert!(words.contains(word) || is_timed, "{}:{word}", field.name);
                        }
                    }
                    (_, takes) => panic!("{} takes {takes:?}", field.name),
                }
            }
        }
    }
}
