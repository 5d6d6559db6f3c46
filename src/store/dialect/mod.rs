//! What one database says differently from the others. A statement that both share is not here.

pub(super) mod postgres;
pub(super) mod sqlite;
