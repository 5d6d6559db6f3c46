//! `Idempotency-Key`: a request that is sent again on a bad link is answered again, and carried out
//! once. The answer is kept in the change's own transaction, so there is no moment between the two.
//!
//! The cache knows which keys were answered lately: a hint that a look is worth it before the only write
//! lock is waited for. The answer itself is the database's.

use std::time::Duration;

use aws_lc_rs::digest;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::secret::Secret;
use crate::problem::Problem;
use crate::store::idempotency::{Answer, find, find_alone, keep};
use crate::store::{StoreError, Tx};

use super::ApiState;
use super::caller::Call;
use super::reply;

/// Who sends a request again does so soon.
const HINTED: Duration = Duration::from_secs(600);

/// The answer that this call was given before, if the cache remembers that there was one and the database
/// has it. None says nothing.
pub(super) async fn given_before(api: &ApiState, call: &Call, hands_out_token: bool) -> Option<Response> {
    let hint = api.cache.peek(&place(call)?).await?;
    if *hint != *call.request_hash() {
        return None;
    }
    // What goes wrong here is told by the transaction that follows.
    let key = call.key.as_deref()?;
    let mut conn = api.store.read().await.ok()?;
    let answer = find(&mut conn, &call.caller.token.id, key).await.ok()??;
    again(&answer, key, call, hands_out_token).ok()
}

/// Lets the cache know that the call was answered; after that was committed.
pub(super) async fn hint(api: &ApiState, call: &Call) {
    if let Some(place) = place(call) {
        api.cache.put(&place, call.request_hash(), HINTED).await;
    }
}

/// The key is the caller's to choose, so it may hold anything: only its hash is in the cache.
fn place(call: &Call) -> Option<String> {
    let key = digest::digest(&digest::SHA256, call.key.as_ref()?.as_bytes());
    Some(format!("answered:{}:{}", call.caller.token.id, hex::encode(key)))
}

/// The body that this call was answered with before, where it was done.
pub(super) async fn done_before(tx: &mut Tx, call: &Call) -> Result<Option<String>, StoreError> {
    let Some(key) = &call.key else {
        return Ok(None);
    };
    let answer = find_alone(tx, &call.caller.token.id, key).await?;
    let done =
        |answer: &Answer| answer.request_hash == call.request_hash() && (200..300).contains(&answer.status);
    Ok(answer.filter(done).map(|answer| answer.body))
}

/// The answer that this call was given before; a problem when its key was used for something else.
pub(super) async fn replay(
    tx: &mut Tx,
    call: &Call,
    hands_out_token: bool,
) -> Result<Option<Result<Response, Problem>>, StoreError> {
    let Some(key) = &call.key else {
        return Ok(None);
    };
    let answer = find_alone(tx, &call.caller.token.id, key).await?;
    Ok(answer.map(|answer| again(&answer, key, call, hands_out_token)))
}

fn again(answer: &Answer, key: &str, call: &Call, hands_out_token: bool) -> Result<Response, Problem> {
    if answer.request_hash != call.request_hash() {
        let used = format!("the Idempotency-Key `{key}` was used for another request");
        return Err(Problem::refused(used).hint("use a fresh key for every new request"));
    }
    let status = u16::try_from(answer.status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::OK);
    match hands_out_token && status.is_success() {
        true => Ok(reply::raw(StatusCode::OK, told_once(&answer.body))),
        false => Ok(reply::raw(status, answer.body.clone())),
    }
}

/// Keeps the answer, if the call has a key.
pub(super) async fn remember(
    tx: &mut Tx,
    call: &Call,
    status: StatusCode,
    body: &str,
) -> Result<(), StoreError> {
    let Some(key) = &call.key else {
        return Ok(());
    };
    let answer = Answer {
        request_hash: call.request_hash().to_owned(),
        status: i64::from(status.as_u16()),
        body: body.to_owned(),
    };
    keep(tx, &call.caller.token.id, key, &answer).await
}

/// Puts the token into an answer that is kept without it.
pub(super) fn with_token(body: &str, token: &Secret) -> String {
    with(body, "token", token.expose())
}

/// What the answer to a request that handed a token out is, when it is sent again: what was done, and what to do if
/// that answer was lost. The token itself is kept nowhere.
fn told_once(body: &str) -> String {
    with(
        body,
        "note",
        "this was done by the first request, whose answer told the token, once; if that answer was lost, take the \
         token back and ask for another one under another Idempotency-Key",
    )
}

fn with(body: &str, field: &str, text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(serde_json::Value::Object(mut fields)) => {
            fields.insert(field.to_owned(), text.into());
            serde_json::Value::Object(fields).to_string()
        }
        _ => body.to_owned(),
    }
}
