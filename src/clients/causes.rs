//! The causes of an error: reqwest's own sentence names the address and leaves the reason out.

use std::error::Error;

/// The error and what it came from, the innermost last.
pub(super) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}

/// All of them in words.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let words: Vec<_> = sources(error).map(ToString::to_string).collect();
    words.join(": ")
}

/// The innermost alone, where the address is said already.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    sources(error).last().map(ToString::to_string).unwrap_or_default()
}
