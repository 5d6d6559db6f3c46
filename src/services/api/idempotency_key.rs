//! The header `Idempotency-Key`, and what it was sent with. What was answered is in `idempotency`.

use aws_lc_rs::digest;
use axum::http::HeaderMap;

use crate::problem::Problem;

/// No key is longer.
const MAX_KEY: usize = 200;

/// The header, if it is there.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(key.to_owned()))
        }
        _ => Err(
            Problem::bad_input("the header `Idempotency-Key` can't be used").hint(format!(
                "1 to {MAX_KEY} printable ASCII characters without spaces"
            )),
        ),
    }
}

/// What was asked, in one hash.
pub(super) fn hash(target: &str, body: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(target.as_bytes());
    context.update(b"\n");
    context.update(body);
    hex::encode(context.finish())
}
