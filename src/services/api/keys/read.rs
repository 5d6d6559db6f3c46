//! `GET /api/v1/keys/{spki}`

use axum::extract::State;
use axum::response::Response;

use crate::domain::id::EntityKind;
use crate::services::api::ApiState;
use crate::services::api::cached::{self, AsNow};
use crate::services::api::caller::Reader;
use crate::services::api::freshness::Part;
use crate::services::api::input::Ids;
use crate::services::api::openapi::{NoSuch, Refused};
use crate::services::api::reply::Refusal;
use crate::store;
use crate::wire::certs::KeyDetail;

/// One key with the certificates that carry it and where they are.
#[utoipa::path(
    get,
    path = "/keys/{spki}",
    tag = "keys",
    operation_id = "read_key",
    params(("spki" = String, Path, description = "SHA-256 over the key's SubjectPublicKeyInfo, in hex")),
    responses((status = 200, body = KeyDetail, description = "The key"), Refused, NoSuch),
    security(("token" = []))
)]
pub(in crate::services::api) async fn read(
    State(api): State<ApiState>,
    _: Reader,
    as_now: AsNow,
    Ids(spki): Ids<String>,
) -> Result<Response, Refusal> {
    let reading = async {
        let mut conn = api.store.read().await?;
        let detail = store::read::key(&mut conn, &spki).await?;
        let parts = parts(&detail);
        Ok((detail, parts))
    };
    cached::answer(&api, as_now, (EntityKind::Key, &spki), reading).await
}

fn parts(detail: &KeyDetail) -> Vec<Part> {
    let certificates = detail
        .certificates
        .iter()
        .map(|it| Part::of(EntityKind::Certificate, &it.id));
    let agents = detail
        .in_use()
        .map(|it| Part::of(EntityKind::Agent, &it.agent_id));
    let key = Part::of(EntityKind::Key, &detail.key.spki_sha256);
    certificates
        .chain(agents)
        .chain([key, Part::installations()])
        .collect()
}
