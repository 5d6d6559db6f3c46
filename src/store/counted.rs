//! Filters that let through more rows than are counted. A screen asks for its list every few seconds, and to find that out
//! takes as long as to count them: for a while it counts as still so.

use std::time::Duration;

use moka::future::Cache;

use crate::wire::page::PageQuery;

/// Upper bound for the time in which fewer rows may have become of it, unnoticed.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// Upper bound for the filters that are known so, by as many screens.
const AT_MOST: u64 = 1_000;

/// Knowledge of the lists of a store; a clone is the same.
#[derive(Clone)]
pub(super) struct Counted(Cache<Asked, ()>);

/// A list, by what it says it is doing, and what of its rows is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked(&'static str, PageQuery);

impl Asked {
    /// Of one search by itself: what looks for it, with its values.
    pub(super) fn of_search(doing: &'static str, looks: &str) -> Self {
        let query = PageQuery {
            q: Some(looks.to_owned()),
            ..PageQuery::default()
        };
        Self(doing, query)
    }

    /// Of a query, whatever its order and its page.
    pub(super) fn of(doing: &'static str, query: &PageQuery) -> Self {
        let query = PageQuery {
            after: None,
            limit: None,
            sort: None,
            ..query.clone()
        };
        Self(doing, query)
    }
}

impl Default for Counted {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(AT_MOST)
                .time_to_live(KNOWN_FOR)
                .build(),
        )
    }
}

impl Counted {
    pub(super) async fn is_beyond(&self, asked: &Asked) -> bool {
        self.0.get(asked).await.is_some()
    }

    pub(super) async fn keep_beyond(&self, asked: Asked) {
        self.0.insert(asked, ()).await;
    }
}
