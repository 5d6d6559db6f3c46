//! One setting laid over another: what was given counts, and where nothing was, what was there stays.

/// Puts `given` into `place`, if something was given.
pub(super) fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}
