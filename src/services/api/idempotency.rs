//! `Idempotency-Key`: a request that is sent again on a bad link is answered again, and carried out
//! once. The answer is kept in the change's own transaction, so there is no moment between the two.

use aws_lc_rs::hmac;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::secret::Secret;
use crate::problem::Problem;
use crate::store::idempotency::{Answer, find_alone, keep};
use crate::store::{StoreError, Tx};

use super::caller::Call;
use super::reply;

/// The answer that this call was given before; a problem when its key was used for something else.
pub(super) async fn replay(
    tx: &mut Tx,
    call: &Call,
    hands_out_token: bool,
) -> Result<Option<Result<Response, Problem>>, StoreError> {
    let Some(key) = &call.key else {
        return Ok(None);
    };
    let Some(answer) = find_alone(tx, &call.caller.token.id, key).await? else {
        return Ok(None);
    };
    if answer.request_hash != call.request_hash {
        let used = format!("the Idempotency-Key `{key}` was used for another request");
        return Ok(Some(Err(
            Problem::refused(used).hint("use a fresh key for every new request")
        )));
    }
    let status = u16::try_from(answer.status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::OK);
    let body = match handed_out(call) {
        Some(token) if hands_out_token && status.is_success() => with_token(&answer.body, &token),
        _ => answer.body,
    };
    Ok(Some(Ok(reply::raw(status, &body))))
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
