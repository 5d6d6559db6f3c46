//! Cursors: where a page ended, as a text that a caller hands back and doesn't look into.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// The value of the sort column in the last row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SortValue {
    /// Names, words, ids.
    #[serde(rename = "s")]
    Text(String),
    /// Moments.
    #[serde(rename = "t")]
    Time(DateTime<Utc>),
    /// Numbers.
    #[serde(rename = "n")]
    Number(i64),
}

/// Where a page ended. The order is in it, so that a cursor isn't taken for another list's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The `sort` that it belongs to.
    #[serde(rename = "o")]
    pub(super) order: String,
    /// The sort column's value.
    #[serde(rename = "v")]
    pub(super) value: SortValue,
    /// The id, which decides between equal values.
    #[serde(rename = "i")]
    pub(super) id: String,
}

impl Cursor {
    pub(super) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads a cursor that belongs to `order`.
    pub(super) fn decode(text: &str, order: &str) -> Result<Self, Problem> {
        let cursor: Option<Self> = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match cursor {
            Some(cursor) if cursor.order == order => Ok(cursor),
            Some(cursor) => Err(Problem::bad_input(format!(
                "the cursor `after` belongs to the order `{}`, not to `{order}`",
                cursor.order
            ))
            .hint("start again without `after`")),
            None => Err(
                Problem::bad_input("the cursor `after` is not one that this API made")
                    .hint("start again without `after`"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_the_trip(value in "\\PC*", id in "[a-z_0-9]{1,30}") {
            let cursor = Cursor { order: "-subject".to_owned(), value: SortValue::Text(value), id };
            prop_assert_eq!(Cursor::decode(&cursor.encode(), "-subject").unwrap(), cursor.clone());
            prop_assert!(Cursor::decode(&cursor.encode(), "subject").is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = Cursor::decode(&text, "id");
        }
    }
}
