//! The local snapshot: what the screens last held, for a console that finds nobody to ask. It goes to disk, so
//! it has no secret in it and nothing that only an audit needs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::State;
use super::link::{Link, Seal};
use super::loaded::Loaded;
use super::query::{Answer, Query, Window};
use crate::domain::link::{Backend, LinkState};

/// Rows of a list that are kept: a screen's first.
const ROWS: usize = 200;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The answers that were there.
    pub answers: Vec<Kept>,
    /// Vault's seal, and when it was seen.
    pub seal: Option<(DateTime<Utc>, Seal)>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// To what.
    pub query: Query,
    /// When it came.
    pub as_of: DateTime<Utc>,
    /// What it was.
    pub answer: Answer,
}

impl Snapshot {
    /// What `state` holds now, its own snapshot's rest included.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let answers = state.data.iter().filter_map(|(query, loaded)| {
            let (value, as_of) = (loaded.value.as_ref()?, loaded.as_of?);
            let answer = lean(value)?;
            Some(Kept {
                query: query.clone(),
                as_of,
                answer,
            })
        });
        let link = state.links.get(&Backend::Vault);
        let seal = link.and_then(|link| {
            let seal = Seal {
                nonce: String::new(),
                ..link.seal.clone()?
            };
            Some((link.as_of, seal))
        });
        Self {
            answers: answers.collect(),
            seal,
        }
    }

    /// Puts it into a state that knows nothing yet; everything in it is asked for again.
    pub fn show(self, state: &mut State) {
        for kept in self.answers {
            state.data.insert(
                kept.query,
                Loaded {
                    value: Some(kept.answer),
                    as_of: Some(kept.as_of),
                    kept: true,
                    ..Loaded::default()
                },
            );
        }
        if let Some((as_of, seal)) = self.seal {
            let link = Link {
                state: LinkState::Unknown,
                note: None,
                latency_ms: None,
                as_of,
                seal: Some(seal),
            };
            state.links.insert(Backend::Vault, link);
        }
    }
}

/// The answer with what a screen needs; none where it is of no use later.
fn lean(answer: &Answer) -> Option<Answer> {
    fn first<T: Clone>(window: &Window<T>) -> Window<T> {
        Window {
            rows: window.rows.iter().take(ROWS).cloned().collect(),
            total: window.total,
        }
    }
    let mut answer = match answer {
        Answer::Certificates(window) => Answer::Certificates(first(window)),
        Answer::Agents(window) => Answer::Agents(first(window)),
        Answer::Requests(window) => Answer::Requests(first(window)),
        Answer::Audit(window) => Answer::Audit(first(window)),
        // Another platform's are not this one's to keep.
        Answer::Logs(_) | Answer::Links(_) | Answer::Figures(_) => return None,
        other => other.clone(),
    };
    let certificates = match &mut answer {
        Answer::Certificates(window) => window.rows.iter_mut().collect(),
        Answer::Certificate(detail) => {
            let others = detail.same_key.iter_mut();
            others.chain([&mut detail.certificate]).collect()
        }
        Answer::Key(detail) => detail.certificates.iter_mut().collect(),
        Answer::Audit(window) => {
            for row in &mut window.rows {
                row.reason = None;
                row.detail = None;
            }
            Vec::new()
        }
        _ => Vec::new(),
    };
    for certificate in certificates {
        certificate.pem = None;
        certificate.chain_pem = None;
    }
    Some(answer)
}
