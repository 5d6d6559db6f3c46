//! Keyset pages: a window over an ordered list, continued by an opaque cursor.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::id::EntityKind;

/// Rows in a page when the caller does not say.
pub const DEFAULT_LIMIT: u32 = 100;
/// As many rows of a list are counted at most: nobody reads on to know how many more there are, and to count a million
/// takes as long as to read them.
pub const MOST_COUNTED: i64 = 10_000;
/// As many where each row has to be looked at for what is in other tables, which takes a hundred times as long.
pub const MOST_JUDGED: i64 = 1_000;
/// Rows in a page at most.
pub const MAX_LIMIT: u32 = 500;

/// The question for a page, as query parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The cursor that the page before ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Rows wanted, 1 to [`MAX_LIMIT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1)]
    pub limit: Option<u32>,
    /// The column to sort by, with `-` in front for descending; which columns is up to the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// Only rows whose name, subject, id or the like contains this, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Only rows that this filter lets through (see [`super::filter`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Only rows with this stored status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Certificates: only those that end before this moment (RFC 3339) and are neither revoked nor
    /// replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_before: Option<String>,
    /// Certificates: only those with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spki: Option<String>,
    /// Certificates and requests: only those of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Audit: only rows about this entity, of a request with the row that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Requests: only those that are not at their end or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
}

impl PageQuery {
    /// The limit, within bounds.
    #[must_use]
    pub fn limit_or_default(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows, in the order asked for.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
    /// Number of matching rows, as far as they are counted: up to 10,000, or up to 1,000 where the filter has to be judged
    /// row by row.
    #[schema(minimum = 0, maximum = 10_000)]
    pub total: i64,
    /// There are more than that.
    pub total_is_lower_bound: bool,
}

impl<T> Page<T> {
    /// The page with its rows turned into something else.
    #[must_use]
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            next: self.next,
            total: self.total,
            total_is_lower_bound: self.total_is_lower_bound,
        }
    }

    /// Number of matching rows; one more than [`MOST_COUNTED`] or [`MOST_JUDGED`] stands for any number of more.
    #[must_use]
    pub fn counted(&self) -> i64 {
        self.total + i64::from(self.total_is_lower_bound)
    }
}

/// A number of rows as [`Page::counted`] gives it, in words: `10,000+` for more than are counted, and `1,000+`.
#[must_use]
pub fn n_rows(counted: i64) -> String {
    match counted {
        it if it > MOST_COUNTED => "10,000+".to_owned(),
        it if is_least(it) => "1,000+".to_owned(),
        it => it.to_string(),
    }
}

/// True of such a number that stands for it and any number of more. So it does where 1,001 were counted, too: that is
/// told as 1,000 and more.
#[must_use]
pub fn is_least(counted: i64) -> bool {
    counted > MOST_COUNTED || counted == MOST_JUDGED + 1
}

/// One line of the event stream: something changed, ask again if you show it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// What sort of thing.
    pub entity: EntityKind,
    /// Which one.
    pub id: String,
    /// It was heard of again, and nothing new was said: only the time of that moved, such as the
    /// `last_checkin` of a healthy agent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routine: bool,
}

impl Change {
    /// The id that stands for all of a kind, when so much changed that some of it was missed.
    pub const ALL: &'static str = "*";

    /// All that anybody may show: some changes were missed, and which ones nobody knows.
    #[must_use]
    pub fn everything() -> Vec<Self> {
        [
            EntityKind::Certificate,
            EntityKind::Key,
            EntityKind::Agent,
            EntityKind::Request,
            EntityKind::Installation,
            EntityKind::Run,
            EntityKind::Job,
            EntityKind::Adapter,
            EntityKind::Audit,
        ]
        .into_iter()
        .map(|entity| Self::of(entity, Self::ALL))
        .collect()
    }

    /// Whether it may be about the thing with this id.
    #[must_use]
    pub fn is_about(&self, id: &str) -> bool {
        self.id == id || self.id == Self::ALL
    }

    /// A change that somebody cares for.
    #[must_use]
    pub fn of(entity: EntityKind, id: &str) -> Self {
        Self {
            entity,
            id: id.to_owned(),
            routine: false,
        }
    }
}
