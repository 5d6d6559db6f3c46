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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::adapter::{Pause, PauseKind};

    #[test]
    fn a_ca_that_gives_no_answer_is_one_finding_with_all_that_waits_for_it() {
        let revocation = |name: &str, paused: Option<&str>| Unconfirmed {
            certificate_id: format!("crt_{name}"),
            version: 1,
            subject: format!("CN={name}"),
            adapter_id: Some("adp_1".to_owned()),
            asked_at: DateTime::UNIX_EPOCH,
            reason: None,
            error: None,
            queued: true,
            paused: paused.map(|why| Pause::new(PauseKind::NoAnswer, why)),
        };
        let (waiting, own) = Waiting::of(vec![
            revocation(
                "a.example.com",
                Some("issuer-1 gets no answer from Vault at http://vault:8200: refused"),
            ),
            revocation("b.example.com", None),
        ]);
        assert_eq!(waiting.for_adapter["adp_1"], ["a.example.com"]);
        let own: Vec<&str> = own.iter().map(|it| it.certificate_id.as_str()).collect();
        assert_eq!(own, ["crt_b.example.com"]);
        let blocked = Blocked {
            n: 2,
            names: vec!["c.example.com".to_owned(), "d.example.com".to_owned()],
        };
        assert_eq!(count_waiting(2, 1), "2 requests and 1 revocation waiting");
        let all = with_revocations(blocked, &waiting.for_adapter["adp_1"]);
        assert_eq!((all.n, all.names.len()), (3, 3));
    }
}
