//! Pages: one way to turn a [`PageQuery`] into a statement over a keyset window.
//!
//! Text of a statement comes only from constants in this folder; whatever a caller said is bound.

use chrono::{DateTime, Duration, Utc};

use crate::domain::told::cut;
use crate::problem::Problem;
use crate::wire::filter::{Filter, Wants};
use crate::wire::page::{MOST_COUNTED, MOST_JUDGED, Page, PageQuery};

use super::counted::Asked;
use super::cursor::Cursor;
use super::row::FromRow;
use super::search::{Place, Sought, literally, takes_no_letters};
use super::searched::{Driver, Search, Wanted};
use super::statement::Value;
use super::window::{Direction, Window, cursor_of};
use super::{Conn, StoreError};

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
    /// A narrow table in `from` that has a row for each row of the list.
    pub(super) beside: Option<Beside>,
    /// The column with the id, unique.
    pub(super) id: &'static str,
    /// Whether ids are numbers.
    pub(super) number_as_id: bool,
    /// What can be sorted by; the first is the default.
    pub(super) sorts: &'static [SortColumn],
    /// Columns on screen that it can't be sorted by, each with the reason.
    pub(super) unsorted: &'static [(&'static str, &'static str)],
    /// `-` when the default is descending.
    pub(super) default_sort: &'static str,
    /// Places that a word of a filter is looked for in.
    pub(super) words: Is,
    /// The fields of a filter.
    pub(super) fields: &'static [Field],
    /// Which query parameters mean something here, beside `filter`.
    pub(super) parameters: &'static [&'static str],
    /// Said when a statement fails.
    pub(super) doing: &'static str,
}

/// A narrow table that has a row for each row of a list. What names nothing but its columns is counted in it alone, and
/// an order by one of them ends with its own id, as its indexes do.
pub(super) struct Beside {
    /// `table t`
    pub(super) from: &'static str,
    /// The beginning of its columns' names: `t.`
    pub(super) columns: &'static str,
    /// Its column with the id.
    pub(super) id: &'static str,
    /// The beginning of the names of all other columns that conditions have.
    pub(super) others: &'static str,
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
    /// A text that is looked for in these places.
    Text(&'static [Place]),
    /// A text that matches a pattern, which each `?` stands for; no index knows it.
    Like(&'static str),
    /// One of these words, or one that time makes of them: its condition, in which `?now` stands for the
    /// present and `?soon` for thirty days later.
    Word(&'static str, &'static [&'static str], &'static [Named]),
    /// A time, whether near or far; the second is what must hold beside, unless the filter chooses by status
    /// ([`Filter::chooses_status`]).
    Time(&'static str, &'static str),
    /// A time in the past, by how long ago it is.
    Ago(&'static str),
    /// Either of these conditions, for yes and no.
    Flag(&'static str, &'static str),
}

/// A condition with a name; `?now` and `?soon` in it are moments.
pub(super) struct Named {
    pub(super) name: &'static str,
    pub(super) is: &'static str,
    /// Its opposite, where that is said in a way that leads to an index.
    pub(super) is_not: Option<&'static str>,
}

impl Named {
    pub(super) const fn of(name: &'static str, is: &'static str) -> Self {
        Self {
            name,
            is,
            is_not: None,
        }
    }
}

/// Conditions, joined by AND.
#[derive(Default)]
pub(super) struct Where {
    pub(super) text: String,
    /// What is joined in it.
    pub(super) parts: Vec<String>,
    pub(super) binds: Vec<Value>,
    /// Searches, each for one of several texts: a condition is made of it where no index finds it.
    searches: Vec<Search>,
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
            let is = field.map_or(&list.words, |field| &field.is);
            if let (Is::Text(_) | Is::Like(_), Wants::Text(text)) = (is, &term.wants) {
                self.and_text(is, text, term.not);
                continue;
            }
            if let (Is::Text(places), Wants::Letters(text)) = (is, &term.wants) {
                if let Some(why) = takes_no_letters(places) {
                    return Err(Problem::bad_input(format!(
                        "`~{}`: letters in any distance can't be looked for: {why}",
                        cut(text, 60)
                    ))
                    .hint("give the word as it is written, without `~`"));
                }
                let pattern = contains_letters(text);
                match term.not {
                    true => {
                        let condition = Sought::letters(places, &pattern, &mut self.binds);
                        self.and_or_not(&condition, true);
                    }
                    false => self.searches.push(Search::new(Wanted::Letters(pattern), places)),
                }
                continue;
            }
            let (condition, bind) = match (is, &term.wants) {
                (Is::Like(sql), Wants::Letters(text)) => {
                    ((*sql).to_owned(), Some(Value::from(contains_letters(text))))
                }
                (Is::Word(_, _, timed), Wants::Text(word))
                    if let Some(named) = timed.iter().find(|named| named.name == word) =>
                {
                    if let (true, Some(is_not)) = (term.not, named.is_not) {
                        let condition = self.timed(is_not, now);
                        self.push(&condition);
                        continue;
                    }
                    (self.timed(named.is, now), None)
                }
                (Is::Word(column, words, _), Wants::Text(word)) if words.contains(&word.as_str()) => {
                    (format!("{column} = ?"), Some(Value::from(word.clone())))
                }
                // Either is a range of the index, and its inverse is the other one, of the same rows.
                (Is::Time(column, beside), Wants::Within(span) | Wants::Beyond(span)) => {
                    let is_near = matches!(term.wants, Wants::Within(_)) != term.not;
                    let than = if is_near { "<" } else { ">=" };
                    let condition = self.bound(&format!("{column} {than} ?"), Value::from(now + *span));
                    self.push(&condition);
                    if !filter.chooses_status() {
                        self.push(beside);
                    }
                    continue;
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
                            let timed = timed.iter().map(|named| named.name);
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
            self.and_or_not(&condition, term.not);
        }
        Ok(())
    }

    /// Adds that a text is there, or one of several with `|` between them; or that it is not.
    fn and_text(&mut self, is: &Is, text: &str, not: bool) {
        let either: Vec<&str> = text.split('|').filter(|text| !text.is_empty()).collect();
        if either.is_empty() {
            return self.and_or_not("1 = 1", not);
        }
        match is {
            Is::Text(places) => {
                let either = either.into_iter().map(Sought::read).collect();
                let wants = match not {
                    true => Wanted::Lacks(either),
                    false => Wanted::Has(either),
                };
                self.searches.push(Search::new(wants, places));
            }
            Is::Like(sql) => {
                let either = either.into_iter().map(|text| self.bound(sql, contains(text)));
                let condition = either.collect::<Vec<_>>().join(" OR ");
                self.and_or_not(&condition, not);
            }
            _ => {}
        }
    }

    fn and_or_not(&mut self, condition: &str, not: bool) {
        match not {
            true => self.push(&format!("NOT ({condition})")),
            false => self.push(condition),
        }
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

    pub(super) fn push(&mut self, condition: &str) {
        self.text.push_str(if self.text.is_empty() {
            " WHERE ("
        } else {
            " AND ("
        });
        self.text.push_str(condition);
        self.text.push(')');
        self.parts.push(condition.to_owned());
    }
}

/// `%text%` in lower case for LIKE … ESCAPE '\', with its wildcards taken literally.
pub(super) fn contains(text: &str) -> Value {
    Value::from(format!("%{}%", literally(&text.to_lowercase())))
}

/// `%t%e%x%t%`: its letters in their order, whatever is between them.
fn contains_letters(text: &str) -> String {
    let letters = text
        .to_lowercase()
        .chars()
        .map(|c| literally(&c.to_string()) + "%")
        .collect::<String>();
    format!("%{letters}")
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
                let why = self.unsorted.iter().find(|(column, _)| *column == name);
                let why = why.map_or(String::new(), |(_, why)| format!(": {why}"));
                Problem::bad_input(format!("this list can't be sorted by `{sort}`{why}")).hint(format!(
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
            match &self.words {
                // Whole, whatever is in it.
                Is::Text(places) => {
                    let wants = Wanted::Has(vec![Sought::read(q)]);
                    filter.searches.push(Search::new(wants, places));
                }
                is => filter.and_text(is, q, false),
            }
        }
        if let Some(text) = &query.filter {
            // In the order of `wire/filter.rs`, by which the screen reads them too.
            let names: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
            let wanted = Filter::read(text, &names).map_err(Problem::bad_input)?;
            filter.and_filter(&wanted, self, conn.now())?;
        }
        let after = query.after.as_ref().map(|after| Cursor::decode(after, sort));
        let window = Window {
            column,
            direction,
            after: after.transpose()?,
            limit,
        };
        window.check()?;
        // A total that was counted already isn't counted again.
        let (counted, asked) = (conn.counted(), Asked::of(self.doing, query));
        let mut is_known = counted.is_beyond(&asked).await;
        let mut is_all = false;
        let driver = match self.driver(conn, &mut filter.searches).await? {
            Driver::Nothing => {
                return Ok(Page {
                    items: Vec::new(),
                    next: None,
                    total: 0,
                    total_is_lower_bound: false,
                });
            }
            Driver::By(search, hits) => {
                if !search.is_exact() {
                    let condition = search.row(&mut filter.binds);
                    filter.push(&condition);
                }
                Some((search, hits))
            }
            Driver::None => None,
            Driver::Many => {
                is_all = filter.text.is_empty() && filter.searches.len() == 1;
                is_known |= is_all;
                None
            }
        };
        let is_judged = !filter.searches.is_empty() || filter.text.contains("(SELECT ");
        let most = match is_judged && !is_all {
            true => MOST_JUDGED,
            false => MOST_COUNTED,
        };
        for search in std::mem::take(&mut filter.searches) {
            let condition = search.row(&mut filter.binds);
            match driver {
                Some(_) => filter.push(&condition),
                // Frequent, as far as they were looked for: PostgreSQL, which takes what it can't know for rare, would
                // judge and sort all rows where the first few of the order will do. What differs it takes for frequent.
                None => filter.push(&format!("CASE WHEN {condition} THEN 1 ELSE 0 END <> 0")),
            }
        }
        let (mut rows, total, is_least) = match driver {
            Some((search, hits)) => {
                let (rows, n) = self.found(conn, filter, &search, hits, window).await?;
                (rows, n, false)
            }
            None => self.walked(conn, filter, window, (most, is_known)).await?,
        };
        if is_least && !is_known {
            counted.keep_beyond(asked).await;
        }
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
        Ok(Page {
            items,
            next,
            total,
            total_is_lower_bound: is_least,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{agents, audit, certificate_list, request_list};
    use super::*;
    use crate::wire::filter::{AGENT_FIELDS, AUDIT_FIELDS, CERTIFICATE_FIELDS, REQUEST_FIELDS, Takes, takes};

    /// The screen tells wrong words of a filter by itself, and help what is right: the lists have to know just that.
    #[test]
    fn the_fields_of_filters_take_what_the_lists_compare_them_with() {
        let lists = [
            (CERTIFICATE_FIELDS, certificate_list::LIST),
            (AGENT_FIELDS, agents::LIST),
            (REQUEST_FIELDS, request_list::LIST),
            (AUDIT_FIELDS, audit::LIST),
        ];
        for (fields, list) in lists {
            // In one order, by which both know which list it is.
            let known: Vec<&str> = list.fields.iter().map(|field| field.name).collect();
            assert_eq!(fields, known);
            for field in list.fields {
                match (&field.is, takes(fields, field.name)) {
                    (Is::Text(_) | Is::Like(_), Takes::Text | Takes::Thing(_))
                    | (Is::Time(..), Takes::Ahead)
                    | (Is::Ago(_), Takes::Ago)
                    | (Is::Flag(..), Takes::Flag) => {}
                    (Is::Word(_, words, timed), Takes::OneOf(told)) => {
                        for word in told {
                            let is_timed = timed.iter().any(|named| named.name == *word);
                            assert!(words.contains(word) || is_timed, "{}:{word}", field.name);
                        }
                    }
                    (_, takes) => panic!("{} takes {takes:?}", field.name),
                }
            }
        }
    }
}
