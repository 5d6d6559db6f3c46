//! Event streams of one token: a few, since each holds a connection for as long as it lives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// More consoles than one person has open, and fewer connections than anybody misses.
pub(super) const AT_ONCE: usize = 16;

/// Open event streams, counted by token.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<String, usize>>>);

/// One stream, until it is dropped.
pub(super) struct Streaming {
    streams: Streams,
    token: String,
}

impl Streams {
    /// Room for one more of this token; none where it has all that it may.
    pub(super) fn open(&self, token: &str) -> Option<Streaming> {
        let mut all = self.all();
        let n = all.entry(token.to_owned()).or_default();
        if *n >= AT_ONCE {
            return None;
        }
        *n += 1;
        Some(Streaming {
            streams: self.clone(),
            token: token.to_owned(),
        })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let mut all = self.streams.all();
        if let Some(n) = all.get_mut(&self.token) {
            *n -= 1;
            if *n == 0 {
                all.remove(&self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_its_own_few() {
        let streams = Streams::default();
        let mut open: Vec<_> = (0..AT_ONCE).map(|_| streams.open("tok_1").unwrap()).collect();
        assert!(streams.open("tok_1").is_none());
        assert!(streams.open("tok_2").is_some());
        open.pop();
        assert!(streams.open("tok_1").is_some());
        drop(open);
        assert!(streams.all().is_empty());
    }
}
