//! What comes in: ids in paths, page queries, bodies. Whatever is malformed is refused by name.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::wire::page::PageQuery;

use super::reply::Refusal;

/// No id is longer.
const MAX_ID: usize = 200;

/// The ids in the path.
pub(super) struct Ids<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Ids<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let too_long = parts.uri.path().split('/').any(|part| part.len() > MAX_ID);
        if too_long {
            return Err(Refusal(Problem::bad_input(
                "the path holds an id that is too long",
            )));
        }
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(ids)| Self(ids))
            .map_err(|rejection| Refusal(Problem::bad_input(rejection.body_text())))
    }
}

/// A page query in which nothing is unknown.
pub(super) struct Asked(pub(super) PageQuery);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let pairs: Query<Vec<(String, String)>> = Query::try_from_uri(&parts.uri)
            .map_err(|rejection| Refusal(Problem::bad_input(rejection.body_text())))?;
        let mut query = PageQuery::default();
        for (name, value) in pairs.0 {
            set(&mut query, &name, value)?;
        }
        Ok(Self(query))
    }
}

fn set(query: &mut PageQuery, name: &str, value: String) -> Result<(), Problem> {
    match name {
        "after" => query.after = Some(value),
        "limit" => {
            let limit = value.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| {
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
            return Err(Problem::bad_input(format!("the parameter `{name}` is unknown"))
                .hint("allowed: after, limit, sort, filter, q, status, expires_before, spki, agent, entity, open"));
        }
    }
    Ok(())
}

/// A body read as JSON, whatever its content type says: `curl -d` says it is a form.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let problem = Problem::bad_input(format!("the body is not what is expected here: {error}"));
        if body.is_empty() {
            problem.hint("send a JSON object")
        } else {
            problem
        }
    })
}

/// The same where an empty body means that nothing special is wanted.
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
    fn what_is_wrong_is_told_with_its_place() {
        for (body, said) in [
            ("{\"reason\": ", "line 1 column 11"),
            ("{\"reason\": \"x\", \"certs\": 1}", "unknown field `certs`"),
            ("reason=keyCompromise", "line 1 column 1"),
            ("", "EOF"),
        ] {
            let problem = json::<RevokeBody>(body.as_bytes()).unwrap_err();
            assert!(problem.what.contains(said), "{}", problem.what);
        }
    }
}
