//! `application/problem+json` (RFC 9457): a [`Problem`] on its way through HTTP.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::told;
use crate::problem::{Denial, Problem, ProblemKind};

/// The media type.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Beginning of every `type` of ours.
pub const TYPE: &str = "urn:cmp:problem:";

/// The body of an error reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemJson {
    /// `about:blank`-style URI that names the kind.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The event, and the thing that it happened to.
    #[serde(deserialize_with = "told::text")]
    pub title: String,
    /// The HTTP status, repeated.
    pub status: u16,
    /// The next step.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "told::maybe"
    )]
    pub detail: Option<String>,
    /// The kind, for programs.
    pub code: ProblemKind,
    /// For an agent: what it is to do now. Without it, and from a proxy that knows no such word, it asks
    /// again later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<Denial>,
}

impl From<Problem> for ProblemJson {
    fn from(problem: Problem) -> Self {
        let code = serde_json::to_value(problem.kind).ok();
        let code = code
            .as_ref()
            .and_then(|value| value.as_str())
            .unwrap_or("internal")
            .to_owned();
        Self {
            type_uri: format!("{TYPE}{code}"),
            // It may quote what the caller sent, and is kept for whoever asks the same again.
            title: told::shortened(&problem.what, told::LONGEST),
            status: problem.kind.status(),
            detail: problem.hint.map(|hint| told::shortened(&hint, told::LONGEST)),
            code: problem.kind,
            denial: problem.denial,
        }
    }
}

impl From<ProblemJson> for Problem {
    fn from(json: ProblemJson) -> Self {
        Self {
            kind: json.code,
            what: json.title,
            hint: json.detail,
            denial: json.denial,
            remedy: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_sent_comes_back_cut() {
        let problem = Problem::bad_input(format!("`{}` is no host name", "x".repeat(1_000_000)));
        let body = serde_json::to_string(&ProblemJson::from(problem)).unwrap();
        assert!(body.len() < 2_000, "{} bytes", body.len());
    }
}
