//! A string that must never be shown: it has no `Debug` with content, no `Display`, no `Serialize`,
//! and its memory is wiped when it is dropped.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};
use zeroize::{Zeroize, Zeroizing};

use super::wrapping::{from_base64, from_hex};

/// A token, an unseal share, a private key in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the string over.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The content, for the one place that has to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Collects a secret character by character; the buffer never reallocates, so that no copy stays
/// behind in freed memory.
pub struct SecretBuffer(Zeroizing<String>);

/// More than any unseal share or token is long, in bytes.
const CAPACITY: usize = 4096;
/// A share of a key of 256 bits has 33 bytes: 44 letters in base64, 66 in hex.
const LONGEST_SHARE: usize = 2 * 129;
/// Bytes of a share: one more than the key has, which has 128 bits at least.
const SHARES: RangeInclusive<usize> = 17..=129;

impl SecretBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self(Zeroizing::new(String::with_capacity(CAPACITY)))
    }

    /// Adds a character; what doesn't fit is dropped.
    pub fn push(&mut self, c: char) {
        if self.0.len() + c.len_utf8() <= CAPACITY {
            self.0.push(c);
        }
    }

    /// Takes the last character back.
    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// Characters so far.
    #[must_use]
    pub fn n_chars(&self) -> usize {
        self.0.chars().count()
    }

    /// Wipes what was collected.
    pub fn clear(&mut self) {
        self.0.zeroize();
    }

    /// Hands the secret over, without what was typed around it, and starts again.
    pub fn take(&mut self) -> Secret {
        let text = self.0.trim();
        let secret = Secret::new(share_in(text).unwrap_or(text).to_owned());
        self.clear();
        secret
    }
}

/// True if `text` has the form of an unseal share: base64 or hex of as many bytes as a key and one more.
#[must_use]
pub fn is_share(text: &str) -> bool {
    let is_plausible = |bytes: Zeroizing<Vec<u8>>| SHARES.contains(&bytes.len());
    let is_in_both_cases = text.contains(char::is_lowercase) && text.contains(char::is_uppercase);
    from_hex(text).is_some_and(is_plausible)
        || is_in_both_cases && from_base64(text).is_some_and(is_plausible)
}

/// The unseal share in what was pasted, without what is copied along with it: quotes, commas, line ends, and
/// what `vault operator init` writes before it. Nothing where that is no share: shares are base64 or hex.
#[must_use]
pub fn share_in(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let text = match text.split_once(':') {
        Some((before, share)) if before.starts_with("Unseal Key ") => share,
        _ => text,
    };
    let is_around = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | ';');
    let share = text.trim_matches(is_around);
    let is_share = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    (!share.is_empty() && share.len() <= LONGEST_SHARE && share.chars().all(is_share)).then_some(share)
}

impl Default for SecretBuffer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "Secret(…)");
    }

    #[test]
    fn a_share_is_taken_out_of_what_was_copied_with_it() {
        let share = "q+k8rP0tFvhx3pJX2cKZl5N5rG8yYQ9bqS1mC1S0bWkB";
        for text in [
            share.to_owned(),
            format!(" {share}\r\n"),
            format!("\"{share}\",\n"),
            format!("\u{feff}Unseal Key 3: {share}\n"),
        ] {
            assert_eq!(share_in(&text), Some(share), "{text}");
        }
        for text in [
            "",
            "\"\"",
            "two shares\nof them",
            "x".repeat(259).as_str(),
            "sorry, try again",
        ] {
            assert_eq!(share_in(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_has_the_form_of_one() {
        let share = "q+k8rP0tFvhx3pJX2cKZl5N5rG8yYQ9bqS1mC1S0bWkB";
        for text in [share, &"0f".repeat(33), &"AB".repeat(17)] {
            assert!(is_share(text), "{text}");
        }
        for text in [
            "",
            "unseal",
            "8401",
            "y",
            "correct horse battery staple",
            "internationalizations1234567",
            &"0f".repeat(16),
            &"0f".repeat(130),
            "hvs.AbC1dEf2GhI3jKl4MnO5pQr6StU7",
            "https://vault.example.com:8200",
        ] {
            assert!(!is_share(text), "{text}");
        }
    }

    #[test]
    fn a_buffer_is_empty_after_take() {
        let mut buffer = SecretBuffer::new();
        " ab\n".chars().for_each(|c| buffer.push(c));
        assert_eq!(buffer.take().expose(), "ab");
        assert_eq!(buffer.n_chars(), 0);
    }
}
