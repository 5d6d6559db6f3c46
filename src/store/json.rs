//! Lists and objects as a column holds them, on both databases. What stands in them is the domain's.

/// A list or an object, kept as JSON text.
#[derive(Clone, Debug)]
pub(super) struct Json<T>(pub(super) T);
