//! What one database says differently from the others. A statement that both share is not here.

pub(super) mod postgres;
pub(super) mod sqlite;

/// How the rows that are read are kept from others until the transaction ends. SQLite needs none of it:
/// its one writer is alone.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Locking {
    /// Waits until it is alone with the rows of this table.
    Wait(&'static str),
    /// Waits until nobody changes the rows of this table; others may read them as well.
    Share(&'static str),
    /// Passes over the rows of this table that somebody else is at.
    Skip(&'static str),
}
