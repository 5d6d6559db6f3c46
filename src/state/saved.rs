//! Saved views: a list with its filter and order, under a name. How they are kept on disk is `console`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::query::ListQuery;
use super::screen::ViewId;

/// The saved views by name.
pub type SavedViews = BTreeMap<String, SavedView>;

/// One saved view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedView {
    /// Which list.
    pub view: ViewId,
    /// Its filter and order.
    pub list: ListQuery,
}
