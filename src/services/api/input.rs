//! What comes in: ids in paths, page queries, bodies. Whatever is malformed is refused by name.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::told::{cut, told};
use crate::problem::Problem;
use crate::wire::filter;
use crate::wire::page::PageQuery;
use crate::wire::strict;

use super::ApiState;
use super::reply::Refusal;

/// No id is longer.
const MAX_ID: usize = 200;

/// A cursor holds the value that a page ended with.
const MAX_CURSOR: usize = 4096;

/// The ids in the path.
pub(super) struct Ids<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Ids<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let too_long = parts.uri.path().split('/').any(|part| part.len() > MAX_ID);
        if too_long {
            return Err(Refusal::from(Problem::bad_input(
                "the path holds an id that is too long",
            )));
        }
        // No database keeps it, and no id of ours has it.
        if parts.uri.path().contains("%00") {
            return Err(nul("the path").into());
        }
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(ids)| Self(ids))
            .map_err(|rejection| Problem::bad_input(rejection.body_text()).into())
    }
}

/// A page query in which nothing is unknown.
pub(super) struct Asked(pub(super) PageQuery);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let pairs: Query<Vec<(String, String)>> =
            Query::try_from_uri(&parts.uri).map_err(|rejection| Problem::bad_input(rejection.body_text()))?;
        let mut query = PageQuery::default();
        for (name, value) in pairs.0 {
            if value.contains('\0') {
                return Err(nul(&format!("`{name}`")).into());
            }
            let longest = if name == "after" {
                MAX_CURSOR
            } else {
                filter::LONGEST
            };
            if value.chars().count() > longest {
                return Err(Problem::bad_input(cut(
                    &format!("`{name}` is longer than {longest} characters"),
                    200,
                ))
                .hint("shorten it")
                .into());
            }
            if name == "q" {
                filter::fits(&value).map_err(Problem::bad_input)?;
            }
            set(&mut query, &name, value)?;
        }
        Ok(Self(query))
    }
}

fn set(query: &mut PageQuery, name: &str, value: String) -> Result<(), Problem> {
    match name {
        "after" => query.after = Some(value),
        "limit" => {
            // What fits the document's 32 bits; it is more than any page holds anyway.
            let is_number = |limit: &u32| (1..=i32::MAX.unsigned_abs()).contains(limit);
            let limit = value.parse().ok().filter(is_number).ok_or_else(|| {
                Problem::bad_input(format!("`limit={value}` is not a number of rows"))
                    .hint(format!("allowed: 1 to {}", crate::wire::page::MAX_LIMIT))
            })?;
            query.limit = Some(limit);
        }
        "sort" => query.sort = Some(value),
        "q" => query.q = Some(value).filter(|q| !q.is_empty()),
        "filter" => query.filter = Some(value).filter(|filter| !filter.is_empty()),
        "status" => query.status = Some(value),
        "expires_before" => query.expires_before = Some(value),
        "spki" => query.spki = Some(value),
        "agent" => query.agent = Some(value),
        "entity" => query.entity = Some(value),
        "open" => {
            let open = value.parse().map_err(|_| {
                Problem::bad_input(format!("`open={value}` is neither true nor false"))
                    .hint("allowed: true, false")
            })?;
            query.open = Some(open);
        }
        _ => {
            return Err(Problem::bad_input(told(&format!("the parameter `{name}` is unknown")))
                .hint("allowed: after, limit, sort, filter, q, status, expires_before, spki, agent, entity, open"));
        }
    }
    Ok(())
}

fn nul(place: &str) -> Problem {
    Problem::bad_input(format!("{place} holds the character U+0000")).hint("it can't be kept; leave it out")
}

/// The body in whole, within its size and its time.
pub(super) async fn body(request: Request, api: &ApiState) -> Result<Bytes, Refusal> {
    let limit = api.bounds.body;
    let Ok(read) = tokio::time::timeout(limit, Bytes::from_request(request, api)).await else {
        let problem = Problem::bad_input(format!("the body didn't arrive within {} s", limit.as_secs()))
            .hint("nothing was done; send it again");
        return Err(Refusal::with(StatusCode::REQUEST_TIMEOUT, problem));
    };
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::with(
            StatusCode::PAYLOAD_TOO_LARGE,
            Problem::bad_input(format!(
                "the body is larger than {} KiB",
                super::BODY_LIMIT / 1024
            ))
            .hint("nothing was done; no change needs as much"),
        ),
        _ => Problem::bad_input(format!("the body can't be read: {}", rejection.body_text())).into(),
    })
}

/// A body read as JSON, whatever its content type says: `curl -d` says it is a form.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if holds_nul(body) {
        return Err(nul("the body"));
    }
    strict::from_slice(body).map_err(|error| {
        let problem = Problem::bad_input(told(&format!("the body is not what is expected here: {error}")));
        if body.is_empty() {
            problem.hint("send a JSON object")
        } else {
            problem
        }
    })
}

/// Whether some text in it holds U+0000. Looked for only where the escape is written at all, which may yet
/// be an escaped backslash.
fn holds_nul(body: &[u8]) -> bool {
    fn any(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(all) => all.iter().any(any),
            Value::Object(fields) => fields
                .iter()
                .any(|(name, value)| name.contains('\0') || any(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    body.windows(6)
        .any(|piece| piece.eq_ignore_ascii_case(br"\u0000"))
        && serde_json::from_slice::<Value>(body).is_ok_and(|value| any(&value))
}

/// Body in JSON, where an empty one means that nothing special is wanted.
pub(super) fn json_or_default<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    json(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::certs::RevokeBody;

    #[test]
    fn nul_is_refused_and_what_only_looks_like_it_is_not() {
        for (body, is_refused) in [
            (r#"{"reason": "1", "comment": "a\u0000b"}"#, true),
            (r#"{"reason": "1", "comment": "a\\u0000b"}"#, false),
            (r#"{"reason": "1", "comment": "a"}"#, false),
        ] {
            let problem = json::<RevokeBody>(body.as_bytes()).err();
            assert_eq!(problem.is_some(), is_refused, "{body}: {problem:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (body, said) in [
            ("{\"reason\": ", "line 1 column 11"),
            ("{\"reason\": \"x\", \"certs\": 1}", "unknown field `certs`"),
            ("reason=keyCompromise", "line 1 column 1"),
            ("", "EOF"),
            (" [\"keyCompromise\"]", "a list"),
        ] {
            let problem = json::<RevokeBody>(body.as_bytes()).unwrap_err();
            assert!(problem.what.contains(said), "{}", problem.what);
        }
    }
}
