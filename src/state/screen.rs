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

/// The cursor of one pane: the thing that it is on, and where that was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cursor {
    id: Option<String>,
    index: usize,
    /// Its neighbours where somebody or the list's growth has put it, and not where the thing was sorted to since.
    beside: Option<Beside>,
    /// Thing that an action was started from. When that isn't under the cursor any more, the same key acts on no other
    /// one until somebody moves the cursor.
    acted: Option<String>,
}

/// The rows above and below a thing, by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Beside {
    above: Option<String>,
    below: Option<String>,
}

impl Beside {
    fn of(index: usize, ids: &[impl AsRef<str>]) -> Self {
        let id = |at: Option<usize>| Some(ids.get(at?)?.as_ref().to_owned());
        Self {
            above: id(index.checked_sub(1)),
            below: id(index.checked_add(1)),
        }
    }

    /// A thing at `at` is where it was among its neighbours, whatever came between or went: one is still next to it, or
    /// each is still on its side.
    fn is_around(&self, at: usize, ids: &[impl AsRef<str>]) -> bool {
        let above = position(self.above.as_deref(), ids);
        let below = position(self.below.as_deref(), ids);
        let is_next = above.is_some_and(|it| it + 1 == at) || below == Some(at + 1);
        is_next || (above.is_none_or(|it| it < at) && below.is_none_or(|it| it > at))
    }
}

fn position(id: Option<&str>, ids: &[impl AsRef<str>]) -> Option<usize> {
    let id = id?;
    ids.iter().position(|other| other.as_ref() == id)
}

impl Cursor {
    fn at(index: usize, ids: &[impl AsRef<str>]) -> Self {
        Self {
            id: ids.get(index).map(|id| id.as_ref().to_owned()),
            index,
            beside: Some(Beside::of(index, ids)),
            acted: None,
        }
    }

    fn own(&self, ids: &[impl AsRef<str>]) -> Option<usize> {
        position(self.id.as_deref(), ids)
    }

    fn is_in_place(&self, at: usize, ids: &[impl AsRef<str>]) -> bool {
        self.beside.as_ref().is_some_and(|it| it.is_around(at, ids))
    }

    /// Index of the row that takes the place of the thing, which has gone: the one that was below it, or else above.
    fn without_its_thing(&self, ids: &[impl AsRef<str>]) -> usize {
        let beside = self.beside.as_ref();
        let below = beside.and_then(|it| position(it.below.as_deref(), ids));
        let above = || beside.and_then(|it| position(it.above.as_deref(), ids));
        below
            .or_else(above)
            .unwrap_or(self.index.min(ids.len().saturating_sub(1)))
    }

    /// Goes with its thing to `at`. Where that was only sorted to, by what became of it, the place that it had before is
    /// remembered.
    fn follow(&mut self, at: usize, ids: &[impl AsRef<str>]) {
        if self.is_in_place(at, ids) {
            self.index = at;
            self.beside = Some(Beside::of(at, ids));
        }
    }
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
    /// was below it, so that a list that shrinks doesn't throw the cursor back to its beginning.
    #[must_use]
    pub fn cursor_index(&self, pane: usize, ids: &[impl AsRef<str>]) -> usize {
        self.cursors.get(pane).map_or(0, |cursor| {
            cursor.own(ids).unwrap_or_else(|| cursor.without_its_thing(ids))
        })
    }

    /// Puts the cursor of `pane` on the row at `index` among `ids`.
    pub fn put_cursor(&mut self, pane: usize, index: usize, ids: &[impl AsRef<str>]) {
        if self.cursors.len() <= pane {
            self.cursors.resize(pane + 1, Cursor::default());
        }
        self.cursors[pane] = Cursor::at(index, ids);
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
        let is_moved = self.moved.contains(&pane);
        let at_end = self.at_end && pane == self.pane;
        match self.cursors.get_mut(pane) {
            Some(cursor) if cursor.acted.is_some() => hold_acted(cursor, is_moved, ids),
            Some(cursor) if is_moved && !at_end => match cursor.own(ids) {
                Some(at) => cursor.follow(at, ids),
                None => *cursor = Cursor::at(cursor.without_its_thing(ids), ids),
            },
            _ => {
                let index = if at_end { ids.len() - 1 } else { 0 };
                self.put_cursor(pane, index, ids);
            }
        }
    }

    /// Of rows of which the oldest are first and go first: what was before the one that is gone is gone too, so that the
    /// first is the nearest.
    pub fn to_the_first_if_gone(&mut self, pane: usize, ids: &[impl AsRef<str>]) {
        if let Some(cursor) = self.cursors.get_mut(pane)
            && let Some(id) = &cursor.id
            && !ids.iter().any(|other| other.as_ref() == id)
        {
            cursor.index = 0;
            cursor.beside = None;
        }
    }

    /// An action was started from the row with the cursor of the pane that has the focus.
    pub fn note_action(&mut self, ids: &[impl AsRef<str>]) {
        let pane = self.pane;
        self.put_cursor(pane, self.cursor_index(pane, ids), ids);
        let cursor = &mut self.cursors[pane];
        cursor.acted.clone_from(&cursor.id);
    }

    /// True if another thing is under the cursor, or none, than the one that an action was started from: that has left
    /// the list, or was sorted away from a cursor that nobody had moved.
    #[must_use]
    pub fn is_adrift(&self, ids: &[impl AsRef<str>]) -> bool {
        let Some(cursor) = self.cursors.get(self.pane) else {
            return false;
        };
        let under = ids.get(self.cursor_index(self.pane, ids)).map(AsRef::as_ref);
        cursor.acted.is_some() && cursor.acted.as_deref() != under
    }

    /// Back to the first row of every pane, as after another filter or order, or with another visit.
    pub fn release_cursors(&mut self) {
        self.cursors.clear();
        self.moved.clear();
        self.at_end = false;
    }
}

/// Holds a cursor that an action was started from: it stays on that thing when rows come above. Where nobody had moved it
/// and the thing is sorted elsewhere, or goes, it is on the first row again: a key that acts is no move.
fn hold_acted(cursor: &mut Cursor, is_moved: bool, ids: &[impl AsRef<str>]) {
    let own = cursor.own(ids);
    let is_on_it = cursor.id == cursor.acted;
    match own {
        Some(at) if is_moved || (is_on_it && cursor.is_in_place(at, ids)) => cursor.follow(at, ids),
        None if is_moved => cursor.index = cursor.without_its_thing(ids),
        _ => {
            let acted = cursor.acted.take();
            *cursor = Cursor {
                acted,
                ..Cursor::at(0, ids)
            };
        }
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
        screen.move_cursor(0, 1, &ids("a b c"));
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
    fn an_action_is_no_move_the_cursor_goes_back_to_the_top_from_what_is_sorted_away_or_gone() {
        let mut screen = Screen::default();
        screen.hold_cursor(0, &ids("v a b c"));
        screen.note_action(&ids("v a b c"));
        screen.hold_cursor(0, &ids("n v a b c"));
        assert_eq!(screen.cursor_index(0, &ids("n v a b c")), 1, "a row came above");
        screen.hold_cursor(0, &ids("n a b v c"));
        assert_eq!(screen.cursor_index(0, &ids("n a b v c")), 0, "it was sorted away");
        assert!(screen.is_adrift(&ids("n a b v c")));
        screen.hold_cursor(0, &ids("m n a b c"));
        assert_eq!(
            screen.cursor_index(0, &ids("m n a b c")),
            0,
            "it is with the top again"
        );

        screen.put_cursor(0, 0, &ids("v a b"));
        screen.note_action(&ids("v a b"));
        screen.hold_cursor(0, &ids("n m v a b"));
        screen.hold_cursor(0, &ids("n m a b"));
        assert_eq!(screen.cursor_index(0, &ids("n m a b")), 0, "it is gone");
    }

    #[test]
    fn a_moved_cursor_does_not_keep_the_place_that_its_thing_was_sorted_to() {
        let gone = |held: &[&str], after: &str| {
            let mut screen = Screen::default();
            screen.move_cursor(0, 1, &ids("a v b c d e"));
            for list in held {
                screen.hold_cursor(0, &ids(list));
            }
            screen.hold_cursor(0, &ids(after));
            let after = ids(after);
            after[screen.cursor_index(0, &after)].clone()
        };
        assert_eq!(gone(&["a b c d v e"], "a b c d e"), "b");
        assert_eq!(gone(&["a b c d v e", "n a b c d v e"], "n a b c d e"), "b");
        assert_eq!(
            gone(&["a b c d v e"], "a c d e"),
            "a",
            "what was below is gone too"
        );
        assert_eq!(gone(&["n m a v b c d e"], "n m a b c d e"), "b");
        assert_eq!(
            gone(&["b a v c d e"], "b a c d e"),
            "c",
            "a neighbour moved, not it"
        );
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
