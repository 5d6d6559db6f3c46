//! `GET /api/v1/certs/{id}`

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
use crate::wire::certs::CertificateDetail;

/// One certificate with what it touches.
#[utoipa::path(
    get,
    path = "/certs/{id}",
    tag = "certs",
    operation_id = "read_cert",
    params(("id" = String, Path, description = "The certificate, `crt_…`")),
    responses((status = 200, body = CertificateDetail, description = "The certificate"), Refused, NoSuch),
    security(("token" = []))
)]
pub(in crate::services::api) async fn read(
    State(api): State<ApiState>,
    _: Reader,
    as_now: AsNow,
    Ids(id): Ids<String>,
) -> Result<Response, Refusal> {
    let reading = async {
        let mut conn = api.store.read().await?;
        let detail = store::read::certificate(&mut conn, &id).await?;
        let parts = parts(&detail);
        Ok((detail, parts))
    };
    cached::answer(&api, as_now, (EntityKind::Certificate, &id), reading).await
}

fn parts(detail: &CertificateDetail) -> Vec<Part> {
    let certificates = std::iter::once(&detail.certificate)
        .chain(&detail.same_key)
        .map(|it| Part::of(EntityKind::Certificate, &it.id));
    let agents = detail
        .in_use()
        .chain(&detail.failed)
        .map(|it| Part::of(EntityKind::Agent, &it.agent_id));
    let key = Part::of(EntityKind::Key, &detail.certificate.spki_sha256);
    certificates
        .chain(agents)
        .chain([key, Part::installations()])
        .collect()
}
