//! Rows of either database into the domain's types, and words in columns back into its enums.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::json::Json;

/// A row.
pub(super) enum Row {
    /// Of SQLite.
    Sqlite(SqliteRow),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

/// What a row is read into.
pub(super) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error>;
}

/// What a column is read into.
pub(super) trait Column: Sized {
    fn read(row: &Row, at: At<'_>) -> Result<Self, sqlx::Error>;
}

/// Which column.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// By its name.
    Name(&'a str),
    /// By its place, from 0.
    Place(usize),
}

impl<'a> From<&'a str> for At<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for At<'_> {
    fn from(place: usize) -> Self {
        Self::Place(place)
    }
}

impl Row {
    /// A column's value.
    pub(super) fn try_get<'a, T: Column>(&self, at: impl Into<At<'a>>) -> Result<T, sqlx::Error> {
        T::read(self, at.into())
    }
}

macro_rules! read_by_sqlx {
    ($($kind:ty),+) => {
        $(impl Column for $kind {
            fn read(row: &Row, at: At<'_>) -> Result<Self, sqlx::Error> {
                use sqlx::Row as _;
                match (row, at) {
                    (Row::Sqlite(row), At::Name(name)) => row.try_get(name),
                    (Row::Sqlite(row), At::Place(place)) => row.try_get(place),
                    (Row::Postgres(row), At::Name(name)) => row.try_get(name),
                    (Row::Postgres(row), At::Place(place)) => row.try_get(place),
                }
            }
        })+
    };
}

read_by_sqlx!(
    String,
    i64,
    DateTime<Utc>,
    Option<String>,
    Option<i64>,
    Option<DateTime<Utc>>
);

impl<T: DeserializeOwned> Column for Json<T> {
    fn read(row: &Row, at: At<'_>) -> Result<Self, sqlx::Error> {
        let text = String::read(row, at)?;
        parsed(&text, at)
    }
}

impl<T: DeserializeOwned> Column for Option<Json<T>> {
    fn read(row: &Row, at: At<'_>) -> Result<Self, sqlx::Error> {
        let text: Option<String> = Option::read(row, at)?;
        text.map(|text| parsed(&text, at)).transpose()
    }
}

fn parsed<T: DeserializeOwned>(text: &str, at: At<'_>) -> Result<Json<T>, sqlx::Error> {
    let index = match at {
        At::Name(name) => name.to_owned(),
        At::Place(place) => place.to_string(),
    };
    serde_json::from_str(text)
        .map(Json)
        .map_err(|error| sqlx::Error::ColumnDecode {
            index,
            source: error.into(),
        })
}

/// A row of one column.
impl<T: Column> FromRow for T {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        row.try_get(0)
    }
}

impl<A: Column, B: Column> FromRow for (A, B) {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}

impl<A: Column, B: Column, C: Column> FromRow for (A, B, C) {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    }
}

/// A column whose word `from_word` knows.
pub(super) fn word<T>(
    row: &Row,
    column: &'static str,
    from_word: impl FnOnce(&str) -> Option<T>,
) -> Result<T, sqlx::Error> {
    let word: String = row.try_get(column)?;
    from_word(&word).ok_or_else(|| unknown(column, &word))
}

/// A word in a column that may be null.
pub(super) fn optional_word<T>(
    row: &Row,
    column: &'static str,
    from_word: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, sqlx::Error> {
    let word: Option<String> = row.try_get(column)?;
    match word {
        Some(word) => from_word(&word).map(Some).ok_or_else(|| unknown(column, &word)),
        None => Ok(None),
    }
}

/// A list that is kept as JSON text.
pub(super) fn list(row: &Row, column: &'static str) -> Result<Vec<String>, sqlx::Error> {
    let Json(list) = row.try_get(column)?;
    Ok(list)
}

fn unknown(column: &'static str, word: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("`{word}` means nothing here").into(),
    }
}
