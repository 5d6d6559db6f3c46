//! `POST /api/v1/adapters/{id}/accept-ca`: the CA that answered in the place of the known one was rotated, and its
//! signature counts from now on. `…/dismiss-ca`: it is somebody else's, even if it was accepted before, and what it signs
//! counts for nothing.

use axum::extract::State;
use axum::response::Response;

use crate::domain::adapter::Adapter;
use crate::domain::id::EntityKind;
use crate::domain::told::quoted;
use crate::problem::Problem;
use crate::services::api::ApiState;
use crate::services::api::audited::{Attempt, Door};
use crate::services::api::caller::{Call, Needs};
use crate::services::api::input::{self, Ids};
use crate::services::api::openapi::{Changes, IdempotencyKey, Refused};
use crate::services::api::reply::problem_of;
use crate::store::cas::{self, Decided};
use crate::wire::adapters::CaBody;

/// Accepts a CA.
#[utoipa::path(
    post,
    path = "/adapters/{id}/accept-ca",
    tag = "adapters",
    operation_id = "accept_ca",
    params(("id" = String, Path, description = "The adapter, `adp_…`"), IdempotencyKey),
    request_body = CaBody,
    responses((status = 200, body = Adapter, description = "The adapter now; it goes on by itself"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn accept(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("accept-ca", EntityKind::Adapter, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = take_in(&mut door, &id, call.body()).await;
    door.close(result, |adapter, _| adapter).await
}

/// Dismisses a CA.
#[utoipa::path(
    post,
    path = "/adapters/{id}/dismiss-ca",
    tag = "adapters",
    operation_id = "dismiss_ca",
    params(("id" = String, Path, description = "The adapter, `adp_…`"), IdempotencyKey),
    request_body = CaBody,
    responses((status = 200, body = Adapter, description = "The adapter now; it goes on once the known CA answers"), Refused, Changes),
    security(("token" = []))
)]
pub(in crate::services::api) async fn dismiss(
    State(api): State<ApiState>,
    Ids(id): Ids<String>,
    call: Call,
) -> Response {
    let attempt = Attempt::new("dismiss-ca", EntityKind::Adapter, &id);
    let mut door = match Door::open(&api, &call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result = turn_down(&mut door, &id, call.body()).await;
    door.close(result, |adapter, _| adapter).await
}

async fn take_in(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Adapter, Problem> {
    let body: CaBody = input::json(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let which = decided(body.spki_sha256.as_deref(), body.certificate_sha256.as_deref())?;
    let adapter = cas::accept(&mut door.tx, id, which).await.map_err(problem_of)?;
    let all: Vec<String> = adapter
        .cas
        .iter()
        .rev()
        .map(|ca| format!("{} {}", ca.spki_sha256, quoted(&ca.subject)))
        .collect();
    door.attempt.detail = Some(format!("known now: {}", all.join(", ")));
    Ok(adapter)
}

async fn turn_down(door: &mut Door<'_>, id: &str, body: &[u8]) -> Result<Adapter, Problem> {
    let body: CaBody = input::json(body)?;
    door.attempt.because(body.comment, body.ticket)?;
    let which = decided(body.spki_sha256.as_deref(), body.certificate_sha256.as_deref())?;
    let (adapter, n) = cas::dismiss(&mut door.tx, id, which).await.map_err(problem_of)?;
    let what = match which {
        Decided::Key(key) => format!("the key {key}"),
        Decided::Certificate(sha256) => format!("whoever signed the certificate {sha256}"),
    };
    door.attempt.detail = Some(format!(
        "{what}; certificates of it whose revocation no CA is asked for: {n}; CAs known: {}",
        adapter.cas.len()
    ));
    Ok(adapter)
}

/// The one thing that the body names.
fn decided<'a>(key: Option<&'a str>, certificate: Option<&'a str>) -> Result<Decided<'a>, Problem> {
    match (key, certificate) {
        (Some(key), None) => Ok(Decided::Key(key)),
        (None, Some(certificate)) => Ok(Decided::Certificate(certificate)),
        _ => Err(Problem::bad_input(
            "name the CA by one of them: `spki_sha256`, or `certificate_sha256` where its key isn't known",
        )),
    }
}
