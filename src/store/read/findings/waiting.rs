//! Requests and revocations that wait for the same: a CA, or an issuer. They are told together with what is missing.

use std::collections::BTreeMap;

use super::words::{counted, name, number};
use crate::domain::finding::NAMED;
use crate::store::findings::{Blocked, Unconfirmed};

/// Revocations that go on by themselves once their CA can be asked: they are told with what they wait for.
#[derive(Default)]
pub(super) struct Waiting {
    /// By the adapter that is paused.
    pub(super) for_adapter: BTreeMap<String, Vec<String>>,
    /// Names of those that wait for no adapter.
    pub(super) for_issuer: Vec<String>,
}

impl Waiting {
    /// Names of those that wait, and the revocations that are findings of their own where there is an issuer.
    pub(super) fn of(all: Vec<Unconfirmed>) -> (Self, Vec<Unconfirmed>) {
        let (mut waiting, mut own) = (Self::default(), Vec::new());
        for it in all {
            match (&it.adapter_id, &it.paused) {
                (Some(adapter), Some(_)) if it.queued => {
                    let names = waiting.for_adapter.entry(adapter.clone()).or_default();
                    names.push(name(&it.subject));
                }
                _ => {
                    if it.queued {
                        waiting.for_issuer.push(name(&it.subject));
                    }
                    own.push(it);
                }
            }
        }
        (waiting, own)
    }
}

/// Requests and revocations that wait, in words: `2 requests and 1 revocation waiting`.
pub(super) fn count_waiting(n_requests: i64, n_revocations: usize) -> String {
    let n_revocations = number(n_revocations);
    match (n_requests, n_revocations) {
        (_, 0) => format!("{} waiting", counted(n_requests, "request")),
        (0, _) => format!("{} waiting", counted(n_revocations, "revocation")),
        _ => format!(
            "{} and {} waiting",
            counted(n_requests, "request"),
            counted(n_revocations, "revocation")
        ),
    }
}

/// Adds revocations that wait for the same as the requests in `blocked`.
pub(super) fn with_revocations(mut blocked: Blocked, revocations: &[String]) -> Blocked {
    blocked.n += number(revocations.len());
    let room = NAMED.saturating_sub(blocked.names.len());
    blocked.names.extend(revocations.iter().take(room).cloned());
    blocked
}
