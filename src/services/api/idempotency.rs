//! `Idempotency-Key`: a request that is sent again on a bad link is answered again, and carried out
//! once. The answer is kept in the change's own transaction, so there is no moment between the two.
//!
//! The cache knows which keys were answered lately: a hint that a look is worth it before the only write
//! lock is waited for. The answer itself is the database's.

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

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
    if *hint != *call.request_hash {
        return None;
    }
    // What goes wrong here is told by the transaction that follows.
    let key = call.key.as_deref()?;
    let mut conn = api.store.read().await.ok()?;
    let answer = find(&mut conn, &call.caller.token.id, key).await.ok()??;
    again(answer, key, call, hands_out_token).ok()
}

/// Lets the cache know that the call was answered; after that was committed.
pub(super) async fn hint(api: &ApiState, call: &Call) {
    if let Some(place) = place(call) {
        api.cache.put(&place, &call.request_hash, HINTED).await;
    }
}

/// The key is the caller's to choose, so it may hold anything: only its hash is in the cache.
fn place(call: &Call) -> Option<String> {
    let key = digest::digest(&digest::SHA256, call.key.as_ref()?.as_bytes());
    Some(format!("answered:{}:{}", call.caller.token.id, hex::encode(key)))
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
    Ok(answer.map(|answer| again(answer, key, call, hands_out_token)))
}

fn again(answer: Answer, key: &str, call: &Call, hands_out_token: bool) -> Result<Response, Problem> {
    if answer.request_hash != call.request_hash {
        let used = format!("the Idempotency-Key `{key}` was used for another request");
        return Err(Problem::refused(used).hint("use a fresh key for every new request"));
    }
    let status = u16::try_from(answer.status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::OK);
    let body = match handed_out(call) {
        Some(token) if hands_out_token && status.is_success() => with_token(&answer.body, &token),
        _ => answer.body,
    };
    Ok(reply::raw(status, &body))
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
        request_hash: call.request_hash.clone(),
        status: i64::from(status.as_u16()),
        body: body.to_owned(),
    };
    keep(tx, &call.caller.token.id, key, &answer).await
}

/// The token that an answer to this call hands out. It follows from the caller's own token and the key,
/// so that it can be told again without being kept. Without a key there is none.
pub(super) fn handed_out(call: &Call) -> Option<Secret> {
    let idempotency_key = call.key.as_ref()?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, call.secret.expose().as_bytes());
    let said = format!("cmp token\n{idempotency_key}\n{}", call.request_hash);
    let tag = hmac::sign(&key, said.as_bytes());
    Some(Secret::new(format!(
        "cmp_{}",
        URL_SAFE_NO_PAD.encode(tag.as_ref())
    )))
}

/// Puts the token into an answer that is kept without it.
pub(super) fn with_token(body: &str, token: &Secret) -> String {
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(serde_json::Value::Object(mut fields)) => {
            fields.insert("token".to_owned(), token.expose().into());
            serde_json::Value::Object(fields).to_string()
        }
        _ => body.to_owned(),
    }
}
