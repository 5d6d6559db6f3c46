//! Judges what came back over HTTP, for every client of the platform's own programs: whether it is theirs, and
//! what follows when it isn't. Gateways, captive portals and load balancers answer in a server's place, under any
//! status; of what the server did they know nothing.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::body::{self, BodyError, Limit};
use super::causes::innermost;
use crate::problem::{Problem, ProblemKind};
use crate::wire::problem_json::{MEDIA_TYPE, ProblemJson, TYPE};

/// Media type of what isn't a problem.
const JSON: &str = "application/json";
/// Upper bound for an answer's body. A page of 500 rows is far below it.
const ANSWER: Limit = Limit {
    bytes: 32 << 20,
    time: Duration::from_secs(30),
};

/// A call, as far as its answer is judged by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The one who was asked, in words: ``the API at `http://…` ``.
    pub(super) who: &'a str,
    /// The path that was asked.
    pub(super) path: &'a str,
    /// Set for a change: then nobody knows whether a lost answer's call was carried out.
    pub(super) changes: bool,
    /// A status besides success under which the answer itself comes, and no problem.
    pub(super) also: Option<StatusCode>,
    /// Upper bound for the body.
    pub(super) at_most: Limit,
}

impl<'a> Asked<'a> {
    /// A question.
    pub(super) fn question(who: &'a str, path: &'a str) -> Self {
        Self {
            who,
            path,
            changes: false,
            also: None,
            at_most: ANSWER,
        }
    }

    /// A change.
    pub(super) fn change(who: &'a str, path: &'a str) -> Self {
        Self {
            changes: true,
            ..Self::question(who, path)
        }
    }

    /// The answer, or the problem that it tells.
    ///
    /// # Errors
    /// The problem; of a change [`ProblemKind::NoAnswer`] wherever it may have been carried out all the same.
    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        response: reqwest::Response,
    ) -> Result<T, Problem> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = body::whole(response, self.at_most)
            .await
            .map_err(|error| match error {
                BodyError::Broken(error) => self.lost(&format!("it broke off: {}", innermost(&error))),
                other => self.lost(&other.to_string()),
            })?;
        self.judge(status, &headers, &body)
    }

    /// The problem with what should have been a stream.
    pub(super) async fn no_stream(&self, response: reqwest::Response) -> Problem {
        if response.status().is_success() {
            return self.foreign(response.status(), response.headers());
        }
        match self.answer::<serde::de::IgnoredAny>(response).await {
            Err(problem) => problem,
            // No status but success gets here.
            Ok(_) => self.lost("it is no stream"),
        }
    }

    /// Judgement of an answer that is there as a whole.
    ///
    /// # Errors
    /// See [`Self::answer`].
    pub(super) fn judge<T: DeserializeOwned>(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<T, Problem> {
        if status.is_success() || Some(status) == self.also {
            if !is(headers, JSON) {
                return Err(self.foreign(status, headers));
            }
            return body::json(body).map_err(|error| {
                self.lost(&format!("it can't be read: {error}"))
                    .hint("is the server of the same version as this program?")
            });
        }
        let problem = is(headers, MEDIA_TYPE).then(|| body::json::<ProblemJson>(body).ok());
        match problem.flatten() {
            Some(problem) if problem.status == status.as_u16() && problem.type_uri.starts_with(TYPE) => {
                Err(self.told(problem.into()))
            }
            _ => Err(self.foreign(status, headers)),
        }
    }

    /// The one table of what a problem of the platform's own says about the call.
    fn told(&self, problem: Problem) -> Problem {
        let kind = match problem.kind {
            // It broke in the middle: before the commit or after it.
            ProblemKind::Internal if self.changes => ProblemKind::NoAnswer,
            // Looked at and refused, or not taken on: nothing was changed. `NoAnswer` says for itself that
            // something may have been.
            kind @ (ProblemKind::BadInput
            | ProblemKind::NotAuthenticated
            | ProblemKind::Forbidden
            | ProblemKind::NotFound
            | ProblemKind::Conflict
            | ProblemKind::NotYet
            | ProblemKind::Refused
            | ProblemKind::TooMany
            | ProblemKind::BackendFailed
            | ProblemKind::Unavailable
            | ProblemKind::NoAnswer
            | ProblemKind::Internal) => kind,
        };
        Problem { kind, ..problem }
    }

    /// Somebody else's answer, whatever its status.
    fn foreign(&self, status: StatusCode, headers: &HeaderMap) -> Problem {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let hint = match (status.as_u16(), text(header::LOCATION)) {
            (300..=399, Some(elsewhere)) => format!(
                "it points to `{}`: is the address that is configured right?",
                cut(elsewhere)
            ),
            (407, _) => "a proxy wants a login: this address should be reached without it".to_owned(),
            _ => format!(
                "something between here and {} answered in its place, or the address is another program's",
                self.who
            ),
        };
        let what = text(header::CONTENT_TYPE).map_or_else(String::new, |it| format!(", `{}`", cut(it)));
        self.lost(&format!("what came ({status}{what}) is not its own"))
            .hint(hint)
    }

    fn lost(&self, why: &str) -> Problem {
        let kind = match self.changes {
            true => ProblemKind::NoAnswer,
            false => ProblemKind::BackendFailed,
        };
        Problem::new(
            kind,
            format!("there is no answer of {} to `{}`: {why}", self.who, self.path),
        )
    }
}

/// The least that an answer to a change about one thing says: which.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Taken {
    id: String,
}

impl Taken {
    /// That it is about the thing with this id.
    ///
    /// # Errors
    /// It is an answer to something else.
    pub(super) fn about(self, id: &str, asked: &Asked<'_>) -> Result<(), Problem> {
        if self.id == id {
            return Ok(());
        }
        Err(asked.lost("it is about something else"))
    }
}

/// Whether the answer is of this media type, whatever its parameters.
pub(super) fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = value.and_then(|it| it.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(media_type)
}

/// A stranger's words, as far as a screen and a log take them.
fn cut(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::wire::health::Me;

    fn judged(changes: bool, status: u16, media_type: &str, body: &str) -> Result<Me, ProblemKind> {
        let asked = Asked {
            changes,
            ..Asked::question("the API at `http://api`", "/api/v1/me")
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        asked
            .judge(status, &headers, body.as_bytes())
            .map_err(|problem| problem.kind)
    }

    fn problem(kind: ProblemKind) -> String {
        let problem = Problem::new(kind, "no").hint("then this");
        serde_json::to_string(&ProblemJson::from(problem)).unwrap()
    }

    #[test]
    fn what_is_not_ours_is_no_answer_whatever_its_status() {
        let page = "<html><body>Sign in</body></html>";
        let me = r#"{"name":"ops","role":"operator"}"#;
        let refused = problem(ProblemKind::Conflict);
        let foreign = refused.replace("urn:cmp:problem:", "https://example.com/");
        for status in [
            200, 201, 204, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504,
        ] {
            for (media_type, body) in [
                ("text/html", page),
                ("application/json", page),
                ("application/json", "{}"),
                ("application/json", r#"{"message":"upstream timed out"}"#),
                ("application/json", r#"{"name":"ops","ro"#),
                ("application/problem+json", foreign.as_str()),
                // Ours, under a status that somebody else gave it.
                ("application/problem+json", refused.as_str()),
                ("text/plain", me),
                ("text/plain", ""),
            ] {
                if status == 409 && body == refused {
                    continue;
                }
                let what = format!("{status} {media_type} {body}");
                assert_eq!(
                    judged(true, status, media_type, body),
                    Err(ProblemKind::NoAnswer),
                    "{what}"
                );
                assert_eq!(
                    judged(false, status, media_type, body),
                    Err(ProblemKind::BackendFailed),
                    "{what}"
                );
            }
        }
        assert!(judged(true, 200, "application/json; charset=utf-8", me).is_ok());
    }

    #[test]
    fn what_is_ours_means_what_its_kind_says() {
        for (kind, changed, asked) in [
            (
                ProblemKind::Conflict,
                ProblemKind::Conflict,
                ProblemKind::Conflict,
            ),
            (ProblemKind::Refused, ProblemKind::Refused, ProblemKind::Refused),
            (
                ProblemKind::Unavailable,
                ProblemKind::Unavailable,
                ProblemKind::Unavailable,
            ),
            (
                ProblemKind::NoAnswer,
                ProblemKind::NoAnswer,
                ProblemKind::NoAnswer,
            ),
            // A defect after the commit looks like one before it.
            (
                ProblemKind::Internal,
                ProblemKind::NoAnswer,
                ProblemKind::Internal,
            ),
        ] {
            let told = |changes| judged(changes, kind.status(), MEDIA_TYPE, &problem(kind)).unwrap_err();
            assert_eq!((told(true), told(false)), (changed, asked), "{kind:?}");
        }
    }
}
