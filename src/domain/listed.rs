//! Names in a sentence: the first few, and how many more there are.

/// `a, b and 3 more`: these names of `total`, none of them more often than it is there.
#[must_use]
pub fn listed(names: &[impl AsRef<str>], total: usize) -> String {
    let named: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match (total.saturating_sub(named.len()), named.as_slice()) {
        (0, _) => named.join(", "),
        (more, []) => format!("{more} more"),
        (more, _) => format!("{} and {more} more", named.join(", ")),
    }
}

/// The first `most` of these, and how many more.
#[must_use]
pub fn first(names: &[impl AsRef<str>], most: usize) -> String {
    listed(&names[..most.min(names.len())], names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_divided_by_commas_and_what_is_left_out_is_counted() {
        assert_eq!(listed(&["a"], 1), "a");
        assert_eq!(listed(&["a", "b"], 2), "a, b");
        assert_eq!(listed(&["a", "b"], 5), "a, b and 3 more");
        assert_eq!(first(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(first(&["a", "b"], 2), "a, b");
        assert_eq!(first(&[] as &[&str], 2), "");
    }
}
