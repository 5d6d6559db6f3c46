//! `GET /api/v1/certs/{id}`

use axum::extract::State;
use axum::response::Response;

use crate::services::api::ApiState;
use crate::services::api::caller::Reader;
use crate::services::api::input::Ids;
use crate::services::api::openapi::{NoSuch, Refused};
use crate::services::api::reply::{self, Refusal};
use crate::services::issuer::facts;
use crate::store::{certificates, installations, keys};
use crate::wire::certs::{CertificateDetail, ChainLink};

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
    Ids(id): Ids<String>,
) -> Result<Response, Refusal> {
    let mut conn = api.store.read().await?;
    let certificate = certificates::existing(&mut conn, &id).await?;
    let key = keys::read(&mut conn, &certificate.spki_sha256).await?;
    let installations = installations::by_certificate(&mut conn, &id).await?;
    let mut same_key = certificates::by_spki(&mut conn, &certificate.spki_sha256).await?;
    same_key.retain(|other| other.id != id);
    let chain = facts::read_all(certificate.chain_pem.as_deref().unwrap_or_default())
        // What can't be read is still there in PEM.
        .unwrap_or_default()
        .into_iter()
        .map(|issuer| ChainLink {
            subject: issuer.subject,
            issuer: issuer.issuer,
            not_after: issuer.not_after,
            fingerprint_sha256: issuer.fingerprint_sha256,
        })
        .collect();
    Ok(reply::json(&CertificateDetail {
        chain,
        certificate,
        key,
        installations,
        same_key,
    }))
}
