//! Words in columns back into the domain's enums.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// A column whose word `from_word` knows.
pub(super) fn word<T>(
    row: &SqliteRow,
    column: &'static str,
    from_word: impl FnOnce(&str) -> Option<T>,
) -> Result<T, sqlx::Error> {
    let word: String = row.try_get(column)?;
    from_word(&word).ok_or_else(|| unknown(column, &word))
}

/// The same for a column that may be null.
pub(super) fn optional_word<T>(
    row: &SqliteRow,
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
pub(super) fn list(row: &SqliteRow, column: &'static str) -> Result<Vec<String>, sqlx::Error> {
    let sqlx::types::Json(list) = row.try_get(column)?;
    Ok(list)
}

fn unknown(column: &'static str, word: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("`{word}` means nothing here").into(),
    }
}
