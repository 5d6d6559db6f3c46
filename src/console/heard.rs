//! What can come from a terminal, by the names of the keymap. It reads nothing itself.

use tokio::time::Instant;

use crate::state::Size;

/// What came at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When.
    pub at: Instant,
    /// What, in its order.
    pub inputs: Vec<Input>,
}

impl Packet {
    /// One thing, now.
    #[must_use]
    pub fn of(input: Input) -> Self {
        Self {
            at: Instant::now(),
            inputs: vec![input],
        }
    }
}

/// What came from the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A key, by its name in the keymap.
    Key(String),
    /// Text was pasted.
    Paste(String),
    /// A paste began and did not end in time: it is dropped, and the rest of it with it.
    PasteBroke,
    /// Text was pasted that nothing has room for, in bytes: it is dropped.
    PasteTooLong(usize),
    /// The mark of a paste's end came outside of one: what is right before and behind it belongs to a paste.
    PasteEnded,
    /// The terminal has another size.
    Resize(Size),
    /// The terminal has shown all that it was sent before it was asked with this mark (see `pace`).
    Answered(u16),
    /// The terminal is gone.
    HangUp,
}

/// The character that a key's name types, for a field whose content must not become an event.
#[must_use]
pub fn typed_character(key: &str) -> Option<char> {
    let mut chars = key.chars();
    match (key, chars.next(), chars.next()) {
        ("space", ..) => Some(' '),
        (_, Some(c), None) => Some(c),
        _ => None,
    }
}
