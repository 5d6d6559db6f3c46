//! Answers that are read often and made of several rows, kept for a moment in the cache. Whether one may
//! still be given is asked of `freshness`; whoever asks is let in by the database each time.

use std::convert::Infallible;
use std::future::Future;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;

use crate::domain::id::EntityKind;
use crate::problem::Problem;

use super::ApiState;
use super::freshness::{Mark, Part};
use super::reply::{self, Refusal};

/// How long an answer is kept: the longest that another server's change may stay unseen here.
const KEPT: Duration = Duration::from_secs(2);
/// Longest age by the clocks of the servers, should Redis keep something for longer than it was told.
const KEPT_BY_CLOCK_MS: i64 = 5_000;

/// Whether the caller wants what is in the database now: `Cache-Control: no-cache`.
#[derive(Clone, Copy)]
pub(super) struct AsNow(bool);

impl AsNow {
    pub(super) fn when(wanted: bool) -> Self {
        Self(wanted)
    }

    pub(super) fn is_wanted(self) -> bool {
        self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AsNow {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let wanted = parts
            .headers
            .get_all(header::CACHE_CONTROL)
            .iter()
            .any(|value| value.as_bytes().windows(8).any(|word| word == b"no-cache"));
        Ok(Self::when(wanted))
    }
}

/// What is kept before the answer, on a line of its own.
#[derive(Serialize, Deserialize)]
struct Head {
    mark: Mark,
    at_ms: i64,
    parts: Vec<(EntityKind, String)>,
}

/// Where the answer about a thing is kept.
fn place(kind: EntityKind, id: &str) -> String {
    format!("read:{}:{id}", kind.word())
}

/// The answer about one thing: the kept one, or what `read` finds, with what it is made of.
pub(super) async fn answer<T: Serialize>(
    api: &ApiState,
    AsNow(as_now): AsNow,
    (kind, id): (EntityKind, &str),
    read: impl Future<Output = Result<(T, Vec<Part>), Refusal>>,
) -> Result<Response, Refusal> {
    let place = place(kind, id);
    if !as_now
        && let Some(kept) = api.cache.get(&place, |kept| is_good(api, kept)).await
        && let Some((_, body)) = kept.split_once('\n')
    {
        return Ok(reply::raw(StatusCode::OK, body.to_owned()));
    }
    let (mark, began) = (api.freshness.mark(), Instant::now());
    let (value, parts) = read.await?;
    let body = serde_json::to_string(&value)
        .map_err(|error| Problem::internal(format!("the answer can't be written: {error}")))?;
    // What took long to read may be about changes that nobody remembers.
    if began.elapsed() < KEPT {
        let head = Head {
            mark,
            at_ms: api.clock.now().timestamp_millis(),
            parts: parts
                .iter()
                .map(|part| (part.words().0, part.words().1.to_owned()))
                .collect(),
        };
        if let Ok(head) = serde_json::to_string(&head) {
            api.cache.put(&place, &format!("{head}\n{body}"), KEPT).await;
        }
    }
    Ok(reply::raw(StatusCode::OK, body))
}

fn is_good(api: &ApiState, kept: &str) -> bool {
    let head = kept.lines().next().unwrap_or_default();
    // What can't be read was put there by another version.
    let Ok(head) = serde_json::from_str::<Head>(head) else {
        return false;
    };
    let age_ms = api.clock.now().timestamp_millis().saturating_sub(head.at_ms);
    let parts = head.parts.iter().map(|(kind, id)| (*kind, id.as_str()));
    age_ms.abs() <= KEPT_BY_CLOCK_MS && api.freshness.holds(&head.mark, parts)
}

/// Takes what changed out of the cache, so that other servers don't find it there; until the store is
/// gone. This server's own answers don't depend on it.
pub(super) async fn forget_changes(api: ApiState) {
    let mut changes = api.store.changes();
    loop {
        match changes.recv().await {
            Ok(change) if matches!(change.entity, EntityKind::Certificate | EntityKind::Key) => {
                api.cache.forget(&place(change.entity, &change.id)).await;
            }
            // What was missed is over in a moment.
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
