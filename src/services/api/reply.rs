//! Answers: JSON, or a problem in `application/problem+json`.

use axum::body::Bytes;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::plain::is_hidden;
use crate::problem::{Problem, ProblemKind};
use crate::store::StoreError;
use crate::wire::problem_json::{MEDIA_TYPE, ProblemJson, TYPE};

/// A problem on its way out.
#[derive(Debug)]
pub(super) struct Refusal {
    problem: Problem,
    /// Where HTTP has a number that the kinds of problems don't know.
    status: Option<StatusCode>,
}

impl Refusal {
    /// The problem under another status than its kind's.
    pub(super) fn with(status: StatusCode, problem: Problem) -> Self {
        Self {
            problem,
            status: Some(status),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            status: None,
        }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        refusal.into_response()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        problem_of(error).into()
    }
}

/// The words for a store's error; what isn't the caller's doing is logged here, once.
pub(super) fn problem_of(error: StoreError) -> Problem {
    let report = chain(&error);
    let problem = Problem::from(error);
    if matches!(problem.kind, ProblemKind::Internal | ProblemKind::Unavailable) {
        tracing::error!("{report}");
    }
    problem
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// So that what lets callers in can answer with a header of its own as well.
impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        self::problem(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = ProblemJson::from(self.problem);
        if let Some(status) = self.status {
            body.status = status.as_u16();
            let name = status.canonical_reason().unwrap_or("refused");
            body.type_uri = format!("{TYPE}{}", name.to_lowercase().replace(' ', "_"));
        }
        problem_json(&body)
    }
}

/// The answer for a problem.
pub(super) fn problem(problem: Problem) -> Response {
    let body = ProblemJson::from(problem);
    problem_json(&body)
}

fn problem_json(body: &ProblemJson) -> Response {
    let status = StatusCode::from_u16(body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = serde_json::to_string(body).unwrap_or_default();
    let mut response = raw(status, text);
    if status == StatusCode::TOO_MANY_REQUESTS {
        // Callers that know how long to wait put their own time in its place.
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(1));
    }
    response
}

/// JSON that is made once and given to many: all answers share its bytes.
#[derive(Clone, Debug)]
pub(super) struct Made(Bytes);

impl Made {
    /// Bytes of `value` on the wire.
    ///
    /// # Errors
    /// It can't be written as JSON.
    pub(super) fn json(value: &impl Serialize) -> Result<Self, Problem> {
        let json = serde_json::to_string(value)
            .map_err(|error| Problem::internal(format!("the answer can't be written: {error}")))?;
        Ok(Self::of(json))
    }

    /// Bytes of `json` on the wire.
    pub(super) fn of(json: String) -> Self {
        // Of the length that it has: what it was written into has room to spare.
        Self(harmless(json).into_bytes().into_boxed_slice().into())
    }

    /// 200 with it.
    pub(super) fn answer(&self) -> Response {
        with(StatusCode::OK, self.0.clone())
    }
}

/// The answer for JSON that was written before. A problem is told by its status.
pub(super) fn raw(status: StatusCode, body: String) -> Response {
    with(status, Made::of(body).0)
}

fn with(status: StatusCode, body: Bytes) -> Response {
    let media_type = if status.is_client_error() || status.is_server_error() {
        MEDIA_TYPE
    } else {
        "application/json"
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// JSON with what steers a terminal escaped: answers are looked at with `curl`. JSON escapes only the
/// controls below U+0020 by itself; the others can be in its texts alone, so that each may be replaced where it is.
pub(super) fn harmless(json: String) -> String {
    let steers = |c: char| is_hidden(c) && !c.is_ascii_whitespace();
    if !json.contains(steers) {
        return json;
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match steers(c) {
            true => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
            false => text.push(c),
        }
    }
    text
}

/// 200 with JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Response {
    json_as(StatusCode::OK, value)
}

/// Any status with JSON.
pub(super) fn json_as<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => raw(status, text),
        Err(error) => problem(Problem::internal(format!("the answer can't be written: {error}"))),
    }
}

/// There is nothing at this path.
pub(super) async fn no_route(uri: Uri) -> Response {
    problem(Problem::not_found(format!("there is no route `{}`", uri.path())))
}

/// There is something at this path, but not for this method.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> Response {
    let problem = Problem::bad_input(format!("`{}` doesn't know the method {method}", uri.path()));
    Refusal::with(StatusCode::METHOD_NOT_ALLOWED, problem).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_escaped_and_means_the_same() {
        let text = "a\u{202e}b\u{e0041}\u{2028}ä😀";
        let json = serde_json::to_string(text).unwrap();
        let escaped = harmless(json);
        assert_eq!(escaped, "\"a\\u202eb\\udb40\\udc41\\u2028ä😀\"");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
