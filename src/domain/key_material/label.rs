//! Words before hex or base64 that say what it is.

/// Kind of what a label stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// A hash of something public.
    Hash,
    /// A number of a private key, as OpenSSL writes it out.
    Private,
    /// A coordinate of a point, which is public, in a JWK.
    Coordinate,
}

/// Ends of the last words of labels before hashes, in lower case.
const OF_HASHES: [&str; 8] = [
    "fingerprint",
    "thumbprint",
    "sha256",
    "sha-256",
    "sha1",
    "sha-1",
    "spki",
    "x5t#s256",
];

/// Names of the numbers of a private key.
const OF_NUMBERS: [&str; 7] = [
    "privateexponent",
    "prime1",
    "prime2",
    "exponent1",
    "exponent2",
    "coefficient",
    "priv",
];

/// Signs between a label and what it is about.
fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, ':' | '=' | '/' | '"' | '\'' | '(' | ')')
}

/// The label that `before` ends with.
pub(super) fn said_by(before: &str) -> Option<Says> {
    let label = before.trim_end_matches(is_between);
    // A word without a sign behind it is a word of a sentence.
    if !before.get(label.len()..)?.contains([':', '=', '/']) {
        return None;
    }
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '#');
    let word = label.rsplit(|c| !in_word(c)).next()?.to_ascii_lowercase();
    if OF_NUMBERS.contains(&word.as_str()) {
        return Some(Says::Private);
    }
    if matches!(word.as_str(), "x" | "y") {
        return Some(Says::Coordinate);
    }
    let is_hash = OF_HASHES.iter().any(|end| word.ends_with(end));
    is_hash.then_some(Says::Hash)
}

/// True if what follows `before` in `text` is said to be as public as a hash.
pub(super) fn names_public(before: &str, text: &str) -> bool {
    match said_by(before) {
        Some(Says::Hash) => true,
        Some(Says::Coordinate) => text.contains("crv"),
        Some(Says::Private) | None => false,
    }
}
