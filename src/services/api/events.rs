//! `GET /api/v1/events`: what changes, as it changes, as server-sent events. Each says only what to ask
//! for again, so a missed one does no harm that the next one doesn't mend.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinSet;

use crate::domain::id::EntityKind;
use crate::problem::{Problem, ProblemKind};
use crate::store::tokens::{self, Token};
use crate::wire::page::Change;

use super::ApiState;
use super::caller::Reader;
use super::reply;
use super::streams::AT_ONCE;
use crate::services::api::openapi::Refused;

/// Changes within this time are told together, each once.
const COALESCE: Duration = Duration::from_millis(50);

/// A line at least this often, so that a dead connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long a token that was taken back, or has expired, may still be told what changes, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The stream, until the server goes down or the token ends.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    operation_id = "events",
    responses((status = 200, body = String, content_type = "text/event-stream", description = "Each event's data is a `Change` in JSON"), Refused),
    security(("token" = []))
)]
pub(super) async fn events(State(api): State<ApiState>, Reader(caller): Reader) -> Response {
    let Some(streaming) = api.streams.open(&caller.token.id) else {
        let problem = Problem::new(
            ProblemKind::TooMany,
            format!(
                "the token `{}` has {AT_ONCE} event streams open already",
                caller.token.name
            ),
        );
        return reply::problem(problem.hint("close one, or use a token of your own"));
    };
    let stream = lines(api.store.changes());
    // A task of its own: the stream goes on only while somebody takes it, and a place in the queue for a connection is
    // not to stand still with it.
    let mut watching = JoinSet::new();
    watching.spawn(async move {
        tokio::select! {
            () = api.drained() => {}
            () = ended(&api, caller.token) => {}
        }
    });
    let stream = stream.take_until(async move {
        let _streaming = streaming;
        let _ended = watching.join_next().await;
    });
    let mut response = Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    response
        .headers_mut()
        .insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

/// Ends when the token does. A database that doesn't answer ends nothing: it may be the very thing that is watched.
async fn ended(api: &ApiState, mut token: Token) {
    let mut changes = api.store.changes();
    loop {
        let left = token.expires_at.map(|at| at - api.store.now());
        let left = left.map_or(LOOK_AGAIN, |left| left.to_std().unwrap_or_default());
        tokio::select! {
            () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
            () = touched(&mut changes, &token.id) => {}
        }
        let read = async {
            let mut conn = api.store.read().await?;
            tokens::read(&mut conn, &token.id).await
        };
        match read.await {
            Ok(Some(now)) => token = now,
            Ok(None) => return,
            Err(_) => {}
        }
        if token.good(api.store.now()).is_err() {
            return;
        }
    }
}

/// Ends when something may have changed about the token.
async fn touched(changes: &mut Receiver<Change>, id: &str) {
    loop {
        match changes.recv().await {
            Ok(change) if change.entity == EntityKind::Token && (change.id == id || change.id == "*") => {
                return;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn lines(changes: Receiver<Change>) -> impl Stream<Item = Result<Event, Infallible>> {
    let start = (changes, VecDeque::new());
    stream::unfold(
        start,
        |(mut changes, mut told): (_, VecDeque<Change>)| async move {
            loop {
                if let Some(change) = told.pop_front() {
                    let line = reply::harmless(serde_json::to_string(&change).unwrap_or_default());
                    return Some((Ok(Event::default().data(line)), (changes, told)));
                }
                told = next(&mut changes).await?;
            }
        },
    )
}

/// The next changes, each once; `None` when there will be no more.
async fn next(changes: &mut Receiver<Change>) -> Option<VecDeque<Change>> {
    let first = match changes.recv().await {
        Ok(change) => change,
        Err(RecvError::Lagged(_)) => return Some(Change::everything().into()),
        Err(RecvError::Closed) => return None,
    };
    let mut told = VecDeque::from([first]);
    tokio::time::sleep(COALESCE).await;
    loop {
        match changes.try_recv() {
            Ok(change) if told.contains(&change) => {}
            Ok(change) => told.push_back(change),
            Err(TryRecvError::Lagged(_)) => return Some(Change::everything().into()),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(told),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::caller::Caller;
    use super::*;
    use crate::clock::Clock;
    use crate::domain::role::Role;
    use crate::services::wake::OverHttp;
    use crate::store::tokens::{NewToken, Purpose};
    use crate::store::{READERS, Store};

    #[tokio::test]
    async fn streams_that_nobody_takes_stand_in_no_queue_for_connections() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cmp.db", dir.path().display());
        let store = Store::open(&url, Clock::system()).await.unwrap();
        let api = ApiState::new(store.clone(), Arc::new(OverHttp::default()));
        let new = NewToken {
            name: "ops".to_owned(),
            purpose: Purpose::Bearer,
            role: Role::Viewer,
            agent_id: None,
            parent: None,
            expires_at: None,
        };
        let mut tx = store.begin().await.unwrap();
        let token = tokens::create(&mut tx, &new, &tokens::mint().unwrap())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..READERS {
            let caller = Caller {
                token: token.clone(),
                source: "console".to_owned(),
                proven: Ok(()),
            };
            let answer = events(State(api.clone()), Reader(caller)).await;
            streams.push(answer.into_body().into_data_stream());
        }
        for stream in &mut streams {
            assert!(futures::poll!(stream.next()).is_pending());
            tokio::task::yield_now().await;
        }

        // Each looks after its token, when there is no connection; then its console takes nothing any more.
        let mut taken = Vec::new();
        for _ in 0..READERS {
            taken.push(store.read().await.unwrap());
        }
        let mut tx = store.begin().await.unwrap();
        tokens::revoke(&mut tx, &token.id).await.unwrap();
        tx.commit().await.unwrap();
        for stream in &mut streams {
            let _told_or_not = futures::poll!(stream.next());
            tokio::task::yield_now().await;
        }
        drop(taken);
        let read = tokio::time::timeout(Duration::from_secs(5), store.read()).await;
        assert!(read.is_ok(), "they keep all connections from everybody");
        for mut stream in streams {
            while stream.next().await.is_some() {}
        }
    }
}
