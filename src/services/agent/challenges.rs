//! Answers to the HTTP challenges of CAs (RFC 8555 §8.3), on a port that anybody may call: it takes no
//! input but a token, holds few connections, each for a short time, and forgets what is over.
//!
//! The answers are on disk before the platform hears "done", so that an agent that is started again
//! between that and the CA's look still has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path as Params, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::files::{FileError, read_if_there, write_whole};
use super::host::Host;
use super::stopped;
use crate::wire::agents::ChallengeAnswer;

/// Connections at a time; a CA looks from a handful of places.
const MAX_CONNECTIONS: usize = 64;
/// How long one connection may last, a slow caller's too.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);
/// The pause after the system had no connection to give.
const OUT_OF_CONNECTIONS: Duration = Duration::from_millis(100);
/// Answers that are kept at a time; more than a certificate may have names.
const MAX_KEPT: usize = 1000;

/// What is answered, by token.
#[derive(Debug)]
pub(super) struct Challenges {
    file: PathBuf,
    answers: Mutex<BTreeMap<String, Answer>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    key_authorization: String,
    until: DateTime<Utc>,
}

impl Challenges {
    /// From the state directory. A damaged file counts as none: a CA that finds nothing says so.
    pub(super) fn open(state_dir: &Path, now: DateTime<Utc>) -> Result<Self, FileError> {
        let file = state_dir.join("challenges.json");
        let mut answers: BTreeMap<String, Answer> = match read_if_there(&file)? {
            Some(text) => serde_json::from_slice(&text).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        answers.retain(|_, answer| answer.until > now);
        Ok(Self {
            file,
            answers: Mutex::new(answers),
        })
    }

    /// Answers these too from now on. The words say why not.
    pub(super) fn keep(
        &self,
        new: &[ChallengeAnswer],
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), String> {
        if until <= now {
            return Err("its time is over: the agent came too late for this challenge".to_owned());
        }
        if let Some(bad) = new.iter().find(|answer| !is_sound(answer)) {
            return Err(format!("`{}` is no token of a challenge", bad.token));
        }
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, answer| answer.until > now);
        if answers.len() + new.len() > MAX_KEPT {
            return Err("more challenges wait at this agent than it can keep".to_owned());
        }
        for answer in new {
            let kept = Answer {
                key_authorization: answer.key_authorization.clone(),
                until,
            };
            answers.insert(answer.token.clone(), kept);
        }
        let text = serde_json::to_vec(&*answers).unwrap_or_default();
        write_whole(&self.file, &text).map_err(|error| error.to_string())
    }

    fn answer(&self, token: &str, now: DateTime<Utc>) -> Option<String> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(token).filter(|answer| answer.until > now)?;
        Some(answer.key_authorization.clone())
    }
}

/// A token is base64url, and what proves it begins with it: nothing else is ever served to strangers.
fn is_sound(answer: &ChallengeAnswer) -> bool {
    let is_base64url = |text: &str| {
        !text.is_empty()
            && text.len() <= 256
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let thumbprint = answer
        .key_authorization
        .strip_prefix(&answer.token)
        .and_then(|rest| rest.strip_prefix('.'));
    is_base64url(&answer.token) && thumbprint.is_some_and(is_base64url)
}

/// Answers on `listener`, if there is one, until `shutdown` says true.
pub(super) async fn serve(
    listener: Option<TcpListener>,
    host: Arc<Host>,
    mut shutdown: watch::Receiver<bool>,
) {
    let Some(listener) = listener else {
        return;
    };
    let routes = Router::new()
        .route("/.well-known/acme-challenge/{token}", get(answer))
        .with_state(host);
    let service = TowerToHyperService::new(routes);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut shutdown) => return,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < MAX_CONNECTIONS => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(OUT_OF_CONNECTIONS).await;
                    continue;
                };
                let connection = http1::Builder::new()
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service.clone());
                // A caller that breaks off or is slow is its own loss.
                open.spawn(async move { tokio::time::timeout(CONNECTION_LIMIT, connection).await.is_ok() });
            }
        }
    }
}

async fn answer(State(host): State<Arc<Host>>, Params(token): Params<String>) -> Response {
    match host.challenges.answer(&token, host.clock.now()) {
        Some(text) => ([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response(),
        None => (StatusCode::NOT_FOUND, "no such challenge\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn challenge(token: &str, answer: &str) -> ChallengeAnswer {
        ChallengeAnswer {
            token: token.to_owned(),
            key_authorization: answer.to_owned(),
        }
    }

    #[test]
    fn an_answer_outlives_a_restart_and_not_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let until = now + TimeDelta::minutes(5);
        let challenges = Challenges::open(dir.path(), now).unwrap();
        challenges
            .keep(&[challenge("tok_1", "tok_1.thumb")], until, now)
            .unwrap();
        assert_eq!(challenges.answer("tok_1", now).as_deref(), Some("tok_1.thumb"));
        assert_eq!(challenges.answer("tok_2", now), None);
        let again = Challenges::open(dir.path(), now).unwrap();
        assert_eq!(again.answer("tok_1", now).as_deref(), Some("tok_1.thumb"));
        assert_eq!(again.answer("tok_1", until), None);
        assert!(again.keep(&[challenge("t", "t.x")], now, now).is_err());
    }

    #[test]
    fn only_what_proves_a_token_is_ever_served() {
        let dir = tempfile::tempdir().unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let challenges = Challenges::open(dir.path(), now).unwrap();
        for bad in [
            challenge("../x", "../x.thumb"),
            challenge("t", "<script>"),
            challenge("t", "t.<script>"),
            challenge("", ".x"),
        ] {
            assert!(challenges.keep(&[bad], now + TimeDelta::minutes(1), now).is_err());
        }
    }
}
