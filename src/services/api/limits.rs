//! How much one token may ask within a time, counted in the cache: for all servers together where it is
//! Redis, for each by itself where it isn't. Every token has counters of its own, and reads, changes and
//! agents' reports are counted apart, so that nobody's flood is anybody else's.

use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::domain::role::Role;
use crate::problem::{Denial, Problem, ProblemKind};
use crate::store::tokens::Token;

use super::{ApiState, reply};

/// The time that is counted within, in seconds.
const WINDOW_S: u32 = 10;

/// How many requests one token may send within ten seconds. What has no limit isn't counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    reads: Option<u32>,
    changes: Option<u32>,
    reports: Option<u32>,
}

impl Limits {
    /// None at all: for the embedded platform.
    #[must_use]
    pub fn none() -> Self {
        Self {
            reads: None,
            changes: None,
            reports: None,
        }
    }
}

/// Far more than people and their scripts do, far less than one runaway loop would.
impl Default for Limits {
    fn default() -> Self {
        Self {
            reads: Some(5_000),
            changes: Some(2_000),
            reports: Some(200),
        }
    }
}

/// `off`, or `reads=5000,changes=2000,reports=200`; what isn't named stays as it is by default.
impl FromStr for Limits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::none());
        }
        let mut limits = Self::default();
        for word in text.split(',') {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let limit = match name {
                "reads" => &mut limits.reads,
                "changes" => &mut limits.changes,
                "reports" => &mut limits.reports,
                _ => {
                    return Err(format!(
                        "`{name}` can't be limited: reads, changes or reports can"
                    ));
                }
            };
            *limit = match value {
                "off" => None,
                _ => Some(value.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
                    format!("`{word}` is no limit: give a number of requests within {WINDOW_S} s, or `off`")
                })?),
            };
        }
        Ok(limits)
    }
}

/// What a request is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asks {
    /// It reads.
    Read,
    /// It changes something, or reports.
    Change,
}

/// Lets the request in, or answers that there were too many.
pub(super) async fn admit(api: &ApiState, token: &Token, asks: Asks) -> Result<(), Response> {
    let (limit, what) = match (token.role, asks) {
        (Role::Agent, _) => (api.limits.reports, "reports"),
        (_, Asks::Read) => (api.limits.reads, "reads"),
        (_, Asks::Change) => (api.limits.changes, "changes"),
    };
    let Some(limit) = limit else { return Ok(()) };
    let now_s = api.clock.now().timestamp();
    let window_s = i64::from(WINDOW_S);
    let (window, into_it) = (now_s.div_euclid(window_s), now_s.rem_euclid(window_s));
    // By the token's id: nothing that follows from the token itself gets into the cache.
    let counter = format!("limit:{what}:{}:{window}", token.id);
    // Servers' clocks differ a little, so it is kept for longer than the window.
    let n = api
        .cache
        .count(&counter, Duration::from_secs(2 * u64::from(WINDOW_S)))
        .await;
    if n <= u64::from(limit) {
        return Ok(());
    }
    let wait_s = window_s - into_it;
    let problem = Problem::new(
        ProblemKind::TooMany,
        format!(
            "the token `{}` has sent more than {limit} {what} within {WINDOW_S} s",
            token.name
        ),
    )
    .hint(format!(
        "go on in {wait_s} s; `cmp-server --limits` sets how many are let in"
    ));
    let problem = match token.role {
        Role::Agent => problem.denial(Denial::Retry),
        _ => problem,
    };
    let mut response = reply::problem(problem);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
    Err(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_words() {
        let default = Limits::default();
        assert_eq!("off".parse(), Ok(Limits::none()));
        assert_eq!(
            "reads=7,reports=off".parse(),
            Ok(Limits {
                reads: Some(7),
                reports: None,
                ..default
            })
        );
        for (text, said) in [
            ("", "`` can't be limited"),
            ("writes=3", "`writes` can't be limited"),
            ("reads", "`reads` is no limit"),
            ("reads=0", "`reads=0` is no limit"),
            ("reads=-1", "`reads=-1` is no limit"),
        ] {
            let error = text.parse::<Limits>().unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
