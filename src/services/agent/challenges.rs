//! The answers to the HTTP challenges of CAs (RFC 8555 §8.3) that the platform asked for, until their time is
//! over. Who serves them is `challenge_listener`.
//!
//! They are on disk before the platform hears "done", so that an agent that is started again between that
//! and the CA's look still has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::files::{FileError, read_if_there, write_whole};
use crate::wire::agents::ChallengeAnswer;

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

    pub(super) fn answer(&self, token: &str, now: DateTime<Utc>) -> Option<String> {
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
