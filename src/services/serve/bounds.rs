//! How much of a server one visitor may hold, and for how long.

use std::time::Duration;

use crate::config::server::{DEFAULT_CONNECTIONS, share};
use crate::wire::idle::SERVERS_KEEP;

/// What a server grants. The defaults suit a fleet behind one server; see [`Bounds::default`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the connection, or from the answer before, until the next request's head is there: bounds both
    /// who sends it drop by drop and who keeps an idle connection, which our own clients let go before (`wire/idle.rs`). Also for a TLS handshake.
    pub head: Duration,
    /// From a request's head until its body is there.
    pub body: Duration,
    /// For the answer.
    pub answer: Duration,
    /// Connections at once, event streams included. Where all are taken, the one that is idle for longest makes
    /// room; where something is asked on all of them, further ones wait.
    pub connections: usize,
    /// As many of them may be of one address.
    pub per_address: usize,
    /// Bytes of answers that one address may have waiting for it. Where there are more, the connection that has waited
    /// for longest to be read makes room.
    pub owed_per_address: usize,
    /// Bytes that wait for all addresses together; beyond it the one goes that has most waiting for it.
    pub owed: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: SERVERS_KEEP,
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            connections: DEFAULT_CONNECTIONS,
            per_address: share(DEFAULT_CONNECTIONS),
            owed_per_address: 32 << 20,
            owed: 128 << 20,
        }
    }
}

impl Bounds {
    /// Bounds for listeners that few ask, maybe all from one address, for short answers.
    #[must_use]
    pub fn of_few(connections: usize) -> Self {
        Self {
            connections,
            per_address: connections,
            ..Self::default()
        }
    }

    /// Bounds for listeners that only tell health.
    #[must_use]
    pub fn of_health() -> Self {
        Self::of_few(64)
    }

    /// For a whole request, from its head to the head of its answer. Routes that know more to say give up before.
    pub(super) fn request(&self) -> Duration {
        self.body + self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::idle::{APART, CLIENTS_KEEP};

    #[test]
    fn no_server_lets_go_of_an_idle_connection_before_our_clients_do() {
        for bounds in [Bounds::default(), Bounds::of_few(1), Bounds::of_health()] {
            assert!(CLIENTS_KEEP + APART <= bounds.head, "{bounds:?}");
        }
    }
}
