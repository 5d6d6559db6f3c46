//! A string that must never be shown: it has no `Debug` with content, no `Display`, no `Serialize`,
//! and its memory is wiped when it is dropped.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::{Zeroize, Zeroizing};

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

    /// Hands the secret over, trimmed, and starts again.
    pub fn take(&mut self) -> Secret {
        let secret = Secret::new(self.0.trim().to_owned());
        self.clear();
        secret
    }
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
    fn a_buffer_is_empty_after_take() {
        let mut buffer = SecretBuffer::new();
        " ab\n".chars().for_each(|c| buffer.push(c));
        assert_eq!(buffer.take().expose(), "ab");
        assert_eq!(buffer.n_chars(), 0);
    }
}
