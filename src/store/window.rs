//! Windows over a list: where a page begins, which way it goes, and the cursor of the next.

use crate::problem::Problem;

use super::cursor::{Cursor, SortValue};
use super::row::Row;
use super::select::{SortColumn, Sorts};
use super::statement::Value;

impl From<SortValue> for Value {
    fn from(value: SortValue) -> Self {
        match value {
            SortValue::Text(text) => text.into(),
            SortValue::Time(at) => at.into(),
            SortValue::Number(n) => n.into(),
        }
    }
}

/// The page that is wanted of a list.
pub(super) struct Window {
    pub(super) column: &'static SortColumn,
    pub(super) direction: Direction,
    pub(super) after: Option<Cursor>,
    pub(super) limit: u32,
}

#[derive(Clone, Copy)]
pub(super) enum Direction {
    Up,
    Down,
}

impl Window {
    /// Check that its cursor holds what the list is sorted by.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let fits = self.after.as_ref().is_none_or(|cursor| {
            matches!(
                (self.column.sorts, &cursor.value),
                (Sorts::Text, SortValue::Text(_))
                    | (Sorts::Time, SortValue::Time(_))
                    | (Sorts::Number, SortValue::Number(_))
            )
        });
        match fits {
            true => Ok(()),
            false => Err(
                Problem::bad_input("the cursor `after` is not one that this API made")
                    .hint("start again without `after`"),
            ),
        }
    }

    /// Only rows after its cursor, as a row-value comparison, which both databases answer by index.
    pub(super) fn after(
        &self,
        by_what: &str,
        id: &str,
        number_as_id: bool,
        binds: &mut Vec<Value>,
    ) -> Option<String> {
        let cursor = self.after.clone()?;
        binds.push(cursor.value.into());
        // A number as id (audit rows) must be compared as a number.
        binds.push(match number_as_id {
            true => Value::from(cursor.id.parse().unwrap_or(i64::MAX)),
            false => Value::from(cursor.id),
        });
        let n = binds.len();
        let than = match self.direction {
            Direction::Up => '>',
            Direction::Down => '<',
        };
        Some(format!("({by_what}, {id}) {than} (${}, ${n})", n - 1))
    }

    pub(super) fn by(&self) -> &'static str {
        match self.direction {
            Direction::Up => "ASC",
            Direction::Down => "DESC",
        }
    }
}

/// Cursor of the page after this row.
pub(super) fn cursor_of(
    row: &Row,
    sort: &str,
    sorts: Sorts,
    number_as_id: bool,
) -> Result<Cursor, sqlx::Error> {
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
