//! Screens: where the operator is, and cursor, marks, filter and sort there. Cursor and marks hold ids,
//! so that a list that changes never puts another thing under them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::query::ListQuery;
use crate::domain::link::Backend;

/// Every screen, in the order of the number keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// What was started here, and where it is.
    Runs,
    /// Charts.
    Trends,
    /// All contexts of the configuration, and how each is.
    Contexts,
    /// The console's own log.
    Logs,
    /// One certificate.
    Certificate,
    /// One key, with all that it reaches.
    Key,
    /// One agent.
    Agent,
    /// One request.
    Request,
    /// One audit row.
    AuditRow,
}

impl ViewId {
    /// Its newest row is the last one, and the oldest ones go when there are many.
    #[must_use]
    pub fn grows_at_its_end(self) -> bool {
        self == Self::Logs
    }
}

/// A screen, and for a detail whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which screen.
    pub view: ViewId,
    /// The id of what a detail shows; of a list, the row where the cursor is to begin.
    pub subject: Option<String>,
}

impl Place {
    /// What a key reaches.
    #[must_use]
    pub fn of_key(spki: String) -> Self {
        Self {
            view: ViewId::Key,
            subject: Some(spki),
        }
    }

    /// The services, with the cursor on this one.
    #[must_use]
    pub fn of_service(backend: Backend) -> Self {
        Self {
            view: ViewId::Services,
            subject: Some(backend.word().to_owned()),
        }
    }

    /// A screen that is about nothing in particular.
    #[must_use]
    pub fn of(view: ViewId) -> Self {
        Self { view, subject: None }
    }
}

/// The cursor of one pane: the thing that it is on, and which row that was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    id: Option<String>,
    index: usize,
    /// An action was started from here. When its thing leaves the list, the same key acts on no other one until
    /// somebody moves the cursor.
    acted: bool,
}

/// Cursor, marks, filter and sort of one screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Which pane has the focus, where there are several.
    pub pane: usize,
    cursors: Vec<Cursor>,
    /// Panes whose cursor somebody moved in this visit: the others stay at their top.
    moved: BTreeSet<usize>,
    /// The row that bar and strip are about: the cursor's, once it rests.
    pub settled: Option<String>,
    /// Marked rows, by id.
    pub marks: BTreeSet<String>,
    /// The row that a range begins at: the one that was marked or unmarked last.
    pub anchor: Option<String>,
    /// Filter and sort.
    pub list: ListQuery,
    /// The cursor stays on the last row, while more rows come in.
    pub at_end: bool,
    /// The first line shown, where a detail is longer than the screen.
    pub scroll: u16,
}

impl Screen {
    /// Where the cursor of `pane` is among `ids`: on its own thing; where that is gone, on the row that
    /// it was on, so that a list that shrinks doesn't throw the cursor back to its beginning.
    #[must_use]
    pub fn cursor_index(&self, pane: usize, ids: &[impl AsRef<str>]) -> usize {
        let Some(cursor) = self.cursors.get(pane) else {
            return 0;
        };
        let own = cursor
            .id
            .as_ref()
            .and_then(|id| ids.iter().position(|other| other.as_ref() == id));
        own.unwrap_or(cursor.index.min(ids.len().saturating_sub(1)))
    }

    /// Puts the cursor of `pane` on the row at `index` among `ids`.
    pub fn put_cursor(&mut self, pane: usize, index: usize, ids: &[impl AsRef<str>]) {
        if self.cursors.len() <= pane {
            self.cursors.resize(pane + 1, Cursor::default());
        }
        let id = ids.get(index).map(|id| id.as_ref().to_owned());
        self.cursors[pane] = Cursor {
            id,
            index,
            acted: false,
        };
    }

    /// Puts it by somebody's hand. The first row is where the cursor is without anybody, so that whoever goes there
    /// is with the top again, whatever comes to be there.
    pub fn move_cursor(&mut self, pane: usize, index: usize, ids: &[impl AsRef<str>]) {
        self.put_cursor(pane, index, ids);
        match index {
            0 => self.moved.remove(&pane),
            _ => self.moved.insert(pane),
        };
    }

    /// Ties the cursor of `pane` to the thing that is under it: what somebody selected stays selected when rows come
    /// above it. Where nobody has moved it, the cursor is on the first row, which is the most urgent one.
    pub fn hold_cursor(&mut self, pane: usize, ids: &[impl AsRef<str>]) {
        if ids.is_empty() {
            return;
        }
        let at = self.cursor_index(pane, ids);
        if let Some(cursor) = self.cursors.get_mut(pane)
            && cursor.acted
        {
            cursor.index = at;
            return;
        }
        let index = match (self.at_end && pane == self.pane, self.moved.contains(&pane)) {
            (true, _) => ids.len() - 1,
            (false, true) => at,
            (false, false) => 0,
        };
        self.put_cursor(pane, index, ids);
    }

    /// Of rows of which the oldest are first and go first: what was before the one that is gone is gone too, so that the
    /// first is the nearest.
    pub fn to_the_first_if_gone(&mut self, pane: usize, ids: &[impl AsRef<str>]) {
        if let Some(cursor) = self.cursors.get_mut(pane)
            && let Some(id) = &cursor.id
            && !ids.iter().any(|other| other.as_ref() == id)
        {
            cursor.index = 0;
        }
    }

    /// An action was started from the row with the cursor of the pane that has the focus.
    pub fn note_action(&mut self, ids: &[impl AsRef<str>]) {
        let pane = self.pane;
        self.put_cursor(pane, self.cursor_index(pane, ids), ids);
        self.cursors[pane].acted = true;
    }

    /// Whether the thing under the cursor has left the list since an action was started from it.
    #[must_use]
    pub fn is_adrift(&self, ids: &[impl AsRef<str>]) -> bool {
        let Some(cursor) = self.cursors.get(self.pane).filter(|cursor| cursor.acted) else {
            return false;
        };
        cursor
            .id
            .as_ref()
            .is_some_and(|id| !ids.iter().any(|other| other.as_ref() == id))
    }

    /// Back to the first row of every pane, as after another filter or order, or with another visit.
    pub fn release_cursors(&mut self) {
        self.cursors.clear();
        self.moved.clear();
        self.at_end = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_cursor_follows_its_thing_and_not_its_row() {
        let mut screen = Screen::default();
        screen.put_cursor(0, 1, &ids("a b c"));
        assert_eq!(screen.cursor_index(0, &ids("a b c")), 1);
        assert_eq!(screen.cursor_index(0, &ids("b c a")), 0);
    }

    #[test]
    fn where_its_thing_is_gone_the_cursor_stays_on_the_row() {
        let mut screen = Screen::default();
        screen.put_cursor(0, 2, &ids("a b c d"));
        assert_eq!(screen.cursor_index(0, &ids("a b d e")), 2);
        assert_eq!(screen.cursor_index(0, &ids("a b")), 1);
        assert_eq!(screen.cursor_index(0, &ids("")[..0]), 0);
        screen.hold_cursor(0, &ids("")[..0]);
        assert_eq!(screen.cursor_index(0, &ids("c a b")), 0, "it is back");
    }

    #[test]
    fn after_an_action_the_cursor_is_on_its_thing_or_on_none() {
        let mut screen = Screen::default();
        screen.put_cursor(0, 1, &ids("a b c"));
        screen.note_action(&ids("a b c"));
        screen.hold_cursor(0, &ids("c a b"));
        assert_eq!(screen.cursor_index(0, &ids("c a b")), 2);
        screen.hold_cursor(0, &ids("c a"));
        assert!(screen.is_adrift(&ids("c a")));
        screen.hold_cursor(0, &ids("b c a"));
        assert!(!screen.is_adrift(&ids("b c a")), "it is back");
        screen.put_cursor(0, 1, &ids("c a"));
        assert!(!screen.is_adrift(&ids("c a")), "somebody moved it");
    }

    #[test]
    fn the_cursor_goes_with_the_top_until_somebody_moves_it_and_again_once_it_is_back_there() {
        let mut screen = Screen::default();
        screen.hold_cursor(0, &ids("b c"));
        screen.hold_cursor(0, &ids("a b c"));
        assert_eq!(screen.cursor_index(0, &ids("a b c")), 0);
        screen.move_cursor(0, 1, &ids("a b c"));
        screen.hold_cursor(0, &ids("x a b c"));
        assert_eq!(screen.cursor_index(0, &ids("x a b c")), 2);
        screen.move_cursor(0, 0, &ids("x a b c"));
        screen.hold_cursor(0, &ids("y x a b c"));
        assert_eq!(screen.cursor_index(0, &ids("y x a b c")), 0);
    }

    #[test]
    fn a_pane_without_the_focus_follows_its_top_until_somebody_moves_in_it() {
        let mut screen = Screen::default();
        screen.hold_cursor(4, &ids("b c"));
        screen.hold_cursor(4, &ids("a b c"));
        assert_eq!(screen.cursor_index(4, &ids("a b c")), 0);
        screen.move_cursor(4, 2, &ids("a b c"));
        screen.hold_cursor(4, &ids("x a b c"));
        assert_eq!(screen.cursor_index(4, &ids("x a b c")), 3);
    }
}
