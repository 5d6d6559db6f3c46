//! One statement, written once, run on whichever database the store is on. It holds the text and what
//! is bound to it; the dialect is decided when it meets a connection.
//!
//! Lists and objects are kept as JSON text in both databases, so that one statement can search them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, SqlSafeStr, SqlStr};

use super::dialect::{self, Locking};
pub(super) use super::json::Json;
use super::question::Bound;
use super::row::{FromRow, Row};
use super::trouble::Troubles;

/// The places of `n` values in a list, from `$first` on.
pub(super) fn places(first: usize, n: usize) -> String {
    let all: Vec<String> = (first..first + n).map(|i| format!("${i}")).collect();
    all.join(", ")
}

/// The places of `n_rows` rows of `n_columns` values each, for `VALUES`, from `$1` on.
pub(super) fn rows_of(n_rows: usize, n_columns: usize) -> String {
    let all: Vec<String> = (0..n_rows)
        .map(|row| format!("({})", places(1 + row * n_columns, n_columns)))
        .collect();
    all.join(", ")
}

/// The condition that a column is one of the texts in a list, the value at `$n`, which [`listed`] makes. However long the
/// list is, they are looked up one by one.
pub(super) fn is_listed(column: &str, n: usize) -> String {
    format!("{column} IN (SELECT l.value FROM json_each(${n}) l)")
}

/// Texts as one value.
pub(super) fn listed(texts: &[String]) -> Value {
    Value::from(Json(texts))
}

/// A condition that is looked at on rows which another one finds. It answers to no index: of one over few rows, or over
/// none when PostgreSQL last looked, it would take any that may be used, and read all of it for one row.
macro_rules! judged {
    ($condition:literal) => {
        concat!("CASE WHEN ", $condition, " THEN 1 ELSE 0 END = 1")
    };
}
pub(super) use judged;

/// A connection for one statement.
pub(super) struct Raw<'c> {
    pub(super) to: To<'c>,
    /// How long it may take, of a statement that is part of a question.
    pub(super) bound: Option<&'c mut Bound>,
    /// Where it is kept what is wrong, of a statement that is part of a change.
    pub(super) troubles: Option<&'c Troubles>,
}

/// A connection of either kind.
pub(super) enum To<'c> {
    /// To SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// To PostgreSQL.
    Postgres(&'c mut PgConnection),
}

/// A value to bind. The kind is known even where it is null, since PostgreSQL asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// Words, names, ids.
    Text(Option<String>),
    /// Whole numbers.
    Number(Option<i64>),
    /// Moments.
    Time(Option<DateTime<Utc>>),
    /// A list or an object, as text; or why it can't be written as such.
    Json(Result<Option<String>, String>),
}

/// A statement with what is bound to it.
pub(super) struct Statement {
    text: SqlStr,
    values: Vec<Value>,
    locking: Option<Locking>,
}

/// A statement in the SQL that both databases share: `$1`, `RETURNING`, `ON CONFLICT`, and the time
/// always bound.
pub(super) fn sql(text: impl SqlSafeStr) -> Statement {
    Statement {
        text: text.into_sql_str(),
        values: Vec::new(),
        locking: None,
    }
}

impl Statement {
    /// Binds the next value.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Binds several.
    pub(super) fn bind_all(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.values.extend(values);
        self
    }

    /// Keeps the rows of `table`, an alias in the statement, from others until the transaction ends.
    pub(super) fn locking(mut self, table: &'static str) -> Self {
        self.locking = Some(Locking::Wait(table));
        self
    }

    /// Keeps the rows of `table` from being changed until the transaction ends.
    pub(super) fn sharing(mut self, table: &'static str) -> Self {
        self.locking = Some(Locking::Share(table));
        self
    }

    /// The statement with a lock that passes over what somebody else is at: for workers that share work.
    pub(super) fn skipping_locked(mut self, table: &'static str) -> Self {
        self.locking = Some(Locking::Skip(table));
        self
    }

    /// All rows.
    pub(super) async fn fetch_all<T: FromRow>(self, on: Raw<'_>) -> Result<Vec<T>, sqlx::Error> {
        let rows = self.rows(on).await?;
        rows.iter().map(T::from_row).collect()
    }

    /// The first row, if there is one.
    pub(super) async fn fetch_optional<T: FromRow>(self, on: Raw<'_>) -> Result<Option<T>, sqlx::Error> {
        let Raw { to, bound, troubles } = on;
        let row = noting(troubles, bound, async {
            Ok(match to {
                To::Sqlite(conn) => {
                    let args = self.sqlite()?;
                    let row = sqlx::query_with(self.text, args).fetch_optional(conn).await?;
                    row.map(Row::Sqlite)
                }
                To::Postgres(conn) => {
                    let (text, args) = self.postgres()?;
                    let row = sqlx::query_with(text, args).fetch_optional(conn).await?;
                    row.map(Row::Postgres)
                }
            })
        })
        .await?;
        row.as_ref().map(T::from_row).transpose()
    }

    /// The one row.
    pub(super) async fn fetch_one<T: FromRow>(self, on: Raw<'_>) -> Result<T, sqlx::Error> {
        self.fetch_optional(on).await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// All rows, as they come.
    pub(super) async fn rows(self, on: Raw<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let Raw { to, bound, troubles } = on;
        noting(troubles, bound, async {
            Ok(match to {
                To::Sqlite(conn) => {
                    let args = self.sqlite()?;
                    let rows = sqlx::query_with(self.text, args).fetch_all(conn).await?;
                    rows.into_iter().map(Row::Sqlite).collect()
                }
                To::Postgres(conn) => {
                    let (text, args) = self.postgres()?;
                    let rows = sqlx::query_with(text, args).fetch_all(conn).await?;
                    rows.into_iter().map(Row::Postgres).collect()
                }
            })
        })
        .await
    }

    /// Runs it; how many rows it changed.
    pub(super) async fn execute(self, on: Raw<'_>) -> Result<u64, sqlx::Error> {
        let Raw { to, bound, troubles } = on;
        noting(troubles, bound, async {
            Ok(match to {
                To::Sqlite(conn) => {
                    let args = self.sqlite()?;
                    let done = sqlx::query_with(self.text, args).execute(conn).await?;
                    done.rows_affected()
                }
                To::Postgres(conn) => {
                    let (text, args) = self.postgres()?;
                    let done = sqlx::query_with(text, args).execute(conn).await?;
                    done.rows_affected()
                }
            })
        })
        .await
    }

    fn sqlite(&self) -> Result<SqliteArguments, sqlx::Error> {
        let mut args = SqliteArguments::default();
        for value in &self.values {
            match value.clone() {
                Value::Text(text) => args.add(text),
                Value::Number(number) => args.add(number),
                Value::Time(at) => args.add(at),
                Value::Json(json) => args.add(json.map_err(|error| sqlx::Error::Encode(error.into()))?),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(args)
    }

    fn postgres(self) -> Result<(SqlStr, PgArguments), sqlx::Error> {
        let mut args = PgArguments::default();
        for value in self.values {
            match value {
                Value::Text(text) => args.add(text),
                Value::Number(number) => args.add(number),
                Value::Time(at) => args.add(at),
                Value::Json(json) => args.add(json.map_err(|error| sqlx::Error::Encode(error.into()))?),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        let text = match self.locking {
            None => self.text,
            Some(locking) => {
                let text = format!("{}{}", self.text.as_str(), dialect::postgres::locking(locking));
                AssertSqlSafe(text).into_sql_str()
            }
        };
        Ok((text, args))
    }
}

/// What `work` gives; keeps what is wrong with the database if it fails for that.
async fn noting<T>(
    troubles: Option<&Troubles>,
    bound: Option<&mut Bound>,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let done = match (bound, troubles) {
        (Some(bound), _) => bound.hold(work).await,
        (None, Some(troubles)) => troubles.watch(work).await,
        (None, None) => work.await,
    };
    let (error, troubles) = match (done, troubles) {
        (Err(error), Some(troubles)) => (error, troubles),
        (done, _) => return done,
    };
    let error = troubles.with_reason(error).await;
    troubles.met(&error);
    Err(error)
}

macro_rules! bound_as {
    ($variant:ident: $($from:ty => |$value:ident| $to:expr),+ $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$variant($to)
            }
        })+
    };
}

bound_as!(Text:
    String => |it| Some(it),
    &String => |it| Some(it.clone()),
    &str => |it| Some(it.to_owned()),
    Option<String> => |it| it,
    &Option<String> => |it| it.clone(),
    Option<&String> => |it| it.cloned(),
    Option<&str> => |it| it.map(str::to_owned),
);
bound_as!(Number:
    i64 => |it| Some(it),
    u32 => |it| Some(i64::from(it)),
);
bound_as!(Time:
    DateTime<Utc> => |it| Some(it),
    Option<DateTime<Utc>> => |it| it,
);

impl<T: Serialize> From<Json<T>> for Value {
    fn from(Json(value): Json<T>) -> Self {
        Self::from(Some(Json(value)))
    }
}

impl<T: Serialize> From<Option<Json<T>>> for Value {
    fn from(value: Option<Json<T>>) -> Self {
        let text = value.map(|Json(value)| serde_json::to_string(&value)).transpose();
        Self::Json(text.map_err(|error| error.to_string()))
    }
}
