//! A clue that is followed: how it was read, what is awaited for that, and how else it could be read.

use super::query::ListQuery;
use super::screen::Place;
use crate::domain::clue::Reading;

/// How much of a clue is said again, in characters.
const SAID: usize = 48;

/// A clue on its way.
#[derive(Clone, Debug)]
pub struct Following {
    /// The clue, cut to what can be said.
    pub clue: String,
    /// How it is read now, in words.
    pub words: String,
    /// The readings that were tried in vain, in words.
    pub tried: Vec<String>,
    /// Those that are left.
    pub left: Vec<Reading>,
    /// What is awaited.
    pub awaits: Awaits,
    /// How many things the filter has no room for.
    pub left_out: usize,
}

/// What a reading waits for.
#[derive(Clone, Debug)]
pub enum Awaits {
    /// The rows of this list.
    Rows(ListQuery),
    /// A handshake with this address; and where the person was when it was asked for.
    Handshake(String, Vec<Place>),
}

impl Following {
    /// The first part of a clue, for a message.
    #[must_use]
    pub fn said(clue: &str) -> String {
        let clue = clue.split_whitespace().collect::<Vec<_>>().join(" ");
        match clue.char_indices().nth(SAID) {
            Some((at, _)) => format!("{}…", &clue[..at]),
            None => clue,
        }
    }

    /// All readings that were tried, in words.
    #[must_use]
    pub fn read_as(&self) -> String {
        let tried = self.tried.iter().map(String::as_str);
        tried.chain([self.words.as_str()]).collect::<Vec<_>>().join(", ")
    }
}
