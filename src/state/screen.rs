//! Screens: where the operator is, and cursor, marks, filter and sort there. Cursor and marks hold ids,
//! so that a list that changes never puts another thing under them.

use std::collections::BTreeSet;

use super::query::ListQuery;

/// Every screen, in the order of the number keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViewId {
    /// What is broken and what breaks next.
    Triage,
    /// All certificates.
    Certificates,
    /// All agents.
    Agents,
    /// All requests.
    Requests,
    /// The audit trail.
    Audit,
    /// The backends, Vault above all.
    Services,
    /// What was carried out.
    CommandLog,
    /// One certificate.
    Certificate,
    /// One agent.
    Agent,
    /// One request.
    Request,
    /// One audit row.
    AuditRow,
}

/// A screen, and for a detail whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which screen.
    pub view: ViewId,
    /// The id of what a detail shows.
    pub subject: Option<String>,
}

/// Cursor, marks, filter and sort of one screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Which pane has the focus, where there are several.
    pub pane: usize,
    /// The row that the cursor is on, by id, for each pane.
    pub cursors: Vec<Option<String>>,
    /// Marked rows, by id.
    pub marks: BTreeSet<String>,
    /// Filter and sort.
    pub list: ListQuery,
    /// The first line shown, where a detail is longer than the screen.
    pub scroll: u16,
}

impl Screen {
    /// The cursor of `pane`: its id.
    #[must_use]
    pub fn cursor(&self, pane: usize) -> Option<&str> {
        self.cursors.get(pane).and_then(|cursor| cursor.as_deref())
    }

    /// Puts the cursor of `pane` on a row.
    pub fn set_cursor(&mut self, pane: usize, id: Option<String>) {
        if self.cursors.len() <= pane {
            self.cursors.resize(pane + 1, None);
        }
        self.cursors[pane] = id;
    }

    /// Where the cursor of `pane` is among `ids`: on its own row, or on the first.
    #[must_use]
    pub fn cursor_index(&self, pane: usize, ids: &[String]) -> usize {
        self.cursor(pane)
            .and_then(|id| ids.iter().position(|other| other == id))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_follows_its_thing_and_not_its_row() {
        let mut screen = Screen::default();
        screen.set_cursor(0, Some("b".to_owned()));
        assert_eq!(screen.cursor_index(0, &["a".to_owned(), "b".to_owned()]), 1);
        assert_eq!(screen.cursor_index(0, &["b".to_owned(), "a".to_owned()]), 0);
        assert_eq!(screen.cursor_index(0, &["c".to_owned()]), 0);
    }
}
