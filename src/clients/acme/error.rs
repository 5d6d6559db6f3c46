//! Why a call to an ACME server came to nothing, told apart by what to do next.

use std::time::{Duration, SystemTime};

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode, response::Parts};
use instant_acme::{Error, Problem};

use crate::domain::told::{cut, said_by, told};

/// What all of ACME's own error types begin with.
const URN: &str = "urn:ietf:params:acme:error:";
/// How long to leave a CA alone that says "too many" without saying until when.
const BUSY_FOR: Duration = Duration::from_secs(60);
/// No pause that a CA asks for is taken to be longer: a clock may be wrong.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// No error of ACME has a longer name.
const LONGEST_KIND: usize = 100;

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcmeError {
    /// The CA asks to be left alone for a while.
    #[error("{words}")]
    Busy {
        /// In its own words.
        words: String,
        /// For how long.
        pause: Duration,
    },
    /// It can't be reached, or something went wrong on its side.
    #[error("{0}")]
    Trouble(String),
    /// It doesn't know the account, or no longer.
    #[error("{0}")]
    NoAccount(String),
    /// It said no.
    #[error("{words}")]
    Refused {
        /// ACME's word for it, such as `rejectedIdentifier`; empty if there is none.
        kind: String,
        /// In its own words.
        words: String,
    },
    /// What was configured here can't work.
    #[error("{0}")]
    Setup(String),
}

impl From<Error> for AcmeError {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => said(&problem),
            Error::Timeout(_) => Self::Busy {
                words: "the CA is still at it".to_owned(),
                pause: Duration::from_secs(5),
            },
            Error::Other(other) => match other.downcast::<Trouble>() {
                Ok(trouble) => trouble.0,
                Err(other) => Self::Trouble(told(&format!("the ACME server: {other}"))),
            },
            error @ Error::Json(_) => Self::Trouble(told(&format!(
                "the ACME server's answer is not understood: {error}"
            ))),
            error => Self::Trouble(told(&format!("the ACME server: {error}"))),
        }
    }
}

/// A problem document, told apart.
pub(super) fn said(problem: &Problem) -> AcmeError {
    let kind = kind(problem);
    let words = words(problem);
    match kind.as_str() {
        "rateLimited" => AcmeError::Busy {
            words: says(&words),
            pause: BUSY_FOR,
        },
        // The library tried again with fresh nonces; a hostile or overloaded server refused them all.
        "badNonce" => AcmeError::Busy {
            words: says(&words),
            pause: Duration::from_secs(1),
        },
        "serverInternal" => AcmeError::Trouble(says(&words)),
        "accountDoesNotExist" => AcmeError::NoAccount(says(&words)),
        // Each of a CA's refusals has a type (RFC 8555 §6.7); a JSON without one is somebody else's.
        "" => AcmeError::Trouble("what came is no answer of the ACME server".to_owned()),
        _ => AcmeError::Refused { kind, words },
    }
}

/// The CA's words as a sentence of ours.
fn says(words: &str) -> String {
    said_by("the CA", words)
}

fn kind(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    cut(kind.strip_prefix(URN).unwrap_or(kind), LONGEST_KIND)
}

/// The CA's own words, with its name for the error and what it says of single names.
pub(super) fn words(problem: &Problem) -> String {
    let kind = kind(problem);
    let mut words = match (&problem.detail, kind.is_empty()) {
        (Some(detail), true) => detail.clone(),
        (Some(detail), false) => format!("{detail} ({kind})"),
        (None, false) => kind,
        (None, true) => "the CA refused and gave no reason".to_owned(),
    };
    for one in &problem.subproblems {
        words.push_str("; ");
        words.push_str(&one.to_string().replace(URN, ""));
    }
    told(&words)
}

/// An error of the HTTP underneath, on its way through the library.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Trouble(AcmeError);

impl Trouble {
    /// A server that can't work now: too many calls, or an error on its side.
    pub(super) fn of(parts: &Parts, body: &[u8]) -> Option<Self> {
        let pause = parts
            .headers
            .get(RETRY_AFTER)
            .and_then(|it| pause(it.to_str().ok()?));
        let busy = parts.status == StatusCode::TOO_MANY_REQUESTS
            || parts.status == StatusCode::SERVICE_UNAVAILABLE && pause.is_some();
        if !busy && !parts.status.is_server_error() {
            return None;
        }
        let words = match serde_json::from_slice::<Problem>(body) {
            Ok(problem) if problem.detail.is_some() || problem.r#type.is_some() => says(&words(&problem)),
            _ => format!("the ACME server answered {}", parts.status),
        };
        Some(Self(match busy {
            true => AcmeError::Busy {
                words,
                pause: pause.unwrap_or(BUSY_FOR),
            },
            false => AcmeError::Trouble(words),
        }))
    }

    pub(super) fn unreached(why: &str) -> Self {
        Self(AcmeError::Trouble(format!(
            "no answer from the ACME server: {why}"
        )))
    }

    pub(super) fn garbled(why: &str) -> Self {
        Self(AcmeError::Trouble(format!("the ACME server: {why}")))
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        Self::Other(Box::new(trouble))
    }
}

/// Makes `Retry-After` one that the library can work with: it adds the seconds to the time without a look at
/// how many there are, and where it wants one it asks for that first, before what went wrong.
pub(super) fn bound_retry_after(parts: &mut Parts) {
    let seconds = parts.headers.get(RETRY_AFTER).map(|it| {
        let text = it.to_str().unwrap_or_default();
        text.trim().parse::<u64>()
    });
    match seconds {
        Some(Ok(seconds)) if seconds > LONGEST.as_secs() => {
            parts
                .headers
                .insert(RETRY_AFTER, HeaderValue::from(LONGEST.as_secs()));
        }
        None if parts.status.is_client_error() => {
            parts
                .headers
                .insert(RETRY_AFTER, HeaderValue::from(BUSY_FOR.as_secs()));
        }
        _ => {}
    }
}

/// `Retry-After` in seconds or as a date.
fn pause(text: &str) -> Option<Duration> {
    let text = text.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            SystemTime::from(at)
                .duration_since(SystemTime::now())
                .unwrap_or_default()
        }
    };
    Some(pause.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>, body: &str) -> Option<AcmeError> {
        let mut response = axum::http::Response::builder().status(status);
        if let Some(value) = retry_after {
            response = response.header(RETRY_AFTER, value);
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        Trouble::of(&parts, body.as_bytes()).map(|trouble| AcmeError::from(Error::from(trouble)))
    }

    #[test]
    fn a_rate_limit_says_until_when() {
        let body = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates"}"#;
        let expected = |seconds| AcmeError::Busy {
            words: "the CA says `too many certificates (rateLimited)`".to_owned(),
            pause: Duration::from_secs(seconds),
        };
        assert_eq!(answer(429, Some("120"), body), Some(expected(120)));
        assert_eq!(answer(429, None, body), Some(expected(60)));
        assert_eq!(answer(503, Some("7"), body), Some(expected(7)));
        assert_eq!(
            answer(429, Some("Thu, 01 Jan 1970 00:00:00 GMT"), body),
            Some(expected(0))
        );
        assert!(matches!(
            answer(502, None, "<html>bad gateway</html>"),
            Some(AcmeError::Trouble(words)) if words.contains("502")
        ));
        assert_eq!(answer(400, None, body), None);
    }

    #[test]
    fn no_pause_that_a_ca_asks_for_is_too_long_to_be_added_to_the_time() {
        let bounded = |status: u16, value: Option<&str>| {
            let mut response = axum::http::Response::builder().status(status);
            if let Some(value) = value {
                response = response.header(RETRY_AFTER, value);
            }
            let (mut parts, ()) = response.body(()).unwrap().into_parts();
            bound_retry_after(&mut parts);
            let value = parts.headers.get(RETRY_AFTER)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let date = "Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(bounded(200, Some("21600")).as_deref(), Some("21600"));
        assert_eq!(
            bounded(200, Some("18446744073709551615")).as_deref(),
            Some("86400")
        );
        assert_eq!(bounded(200, Some(date)).as_deref(), Some(date));
        assert_eq!(bounded(200, None), None);
        assert_eq!(bounded(404, None).as_deref(), Some("60"));
    }

    #[test]
    fn a_problem_without_a_type_is_not_the_cas() {
        let problem: Problem = serde_json::from_str("{}").unwrap();
        assert!(matches!(said(&problem), AcmeError::Trouble(_)));
    }

    #[test]
    fn a_refusal_is_in_the_cas_own_words() {
        let problem: Problem = serde_json::from_str(
            r#"{"type":"urn:ietf:params:acme:error:caa","detail":"CAA record for a.example forbids issuance",
                "subproblems":[{"type":"urn:ietf:params:acme:error:caa","detail":"no",
                "identifier":{"type":"dns","value":"a.example"}}]}"#,
        )
        .unwrap();
        let AcmeError::Refused { kind, words } = said(&problem) else {
            unreachable!("a refusal")
        };
        assert_eq!(kind, "caa");
        assert_eq!(
            words,
            "CAA record for a.example forbids issuance (caa); for \"a.example\": no (caa)"
        );
    }
}
