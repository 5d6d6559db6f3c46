//! `POST /api/v1/keys/{spki}/compromise`: no certificate will be issued for it again. Its certificates are revoked one by one.

use axum::extract::State;
use axum::response::Response;

use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::reply::problem_of;
use crate::store::{compromise, read};
use crate::wire::certs::KeyDetail;
use crate::wire::requests::WhyBody;

use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};

/// Blocks the key.
#[utoipa::path(
    post,
    path = "/keys/{spki}/compromise",
    tag = "keys",
    operation_id = "compromise_key",
    params(("spki" = String, Path, description = "SHA-256 over the key's SubjectPublicKeyInfo, in hex"), IdempotencyKey),
    request_body = Option<WhyBody>,
    responses((status = 200, body = KeyDetail, description = "The key now"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn compromise(
    State(api): State<ApiState>,
    Ids(spki): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("compromise", EntityKind::Key, &spki);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = block(&mut door, &spki, call.body()).await;
    door.close(result, |detail, _| detail).await
}

async fn block(door: &mut Door<'_>, spki: &str, body: &[u8]) -> Result<KeyDetail, Problem> {
    let body: WhyBody = input::json_or_default(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let first = compromise::mark(&mut door.tx, spki).await.map_err(problem_of)?;
    if !first {
        return Err(Problem::conflict("this key is marked as compromised already"));
    }
    read::key(&mut door.tx, spki).await.map_err(problem_of)
}
