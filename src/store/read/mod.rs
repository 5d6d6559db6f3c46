//! What screens show of one thing, put together from several tables: for the API, which gives it away, and
//! for a console that reads from the database itself, so that both say the same. Pages of lists are with
//! their tables.

mod findings;

use super::{Conn, StoreError, agents, audit, certificates, installations, keys};
use crate::domain::audit::AuditRow;
use crate::domain::id::EntityKind;
use crate::domain::x509;
use crate::problem::Problem;
use crate::wire::agents::AgentDetail;
use crate::wire::certs::{CertificateDetail, ChainLink, KeyDetail};

pub use findings::findings;

/// One certificate with what it touches.
///
/// # Errors
/// There is no such certificate, or the database doesn't answer.
pub async fn certificate(conn: &mut Conn, id: &str) -> Result<CertificateDetail, StoreError> {
    let certificate = certificates::existing(conn, id).await?;
    let key = keys::read(conn, &certificate.spki_sha256).await?;
    let found = installations::found_by_certificate(conn, id).await?;
    let failed = installations::failed_by_certificate(conn, id).await?;
    let installations = installations::by_certificate(conn, id).await?;
    let mut same_key = certificates::by_spki(conn, &certificate.spki_sha256).await?;
    same_key.retain(|other| other.id != id);
    let chain = x509::read_all(certificate.chain_pem.as_deref().unwrap_or_default())
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
    Ok(CertificateDetail {
        chain,
        certificate,
        key,
        installations,
        found,
        failed,
        same_key,
    })
}

/// One agent, with what is expected on it.
///
/// # Errors
/// There is no such agent, or the database doesn't answer.
pub async fn agent(conn: &mut Conn, id: &str) -> Result<AgentDetail, StoreError> {
    let agent = agents::existing(conn, id).await?;
    let installations = installations::by_agent(conn, id).await?;
    Ok(AgentDetail { agent, installations })
}

/// One key, by the SHA-256 of its SubjectPublicKeyInfo, with the certificates that carry it and where they
/// are.
///
/// # Errors
/// There is no such key, or the database doesn't answer.
pub async fn key(conn: &mut Conn, spki: &str) -> Result<KeyDetail, StoreError> {
    let key = keys::read(conn, spki).await?;
    let key = key.ok_or_else(|| StoreError::not_found(EntityKind::Key, spki))?;
    Ok(KeyDetail {
        certificates: certificates::by_spki(conn, spki).await?,
        installations: installations::by_spki(conn, spki).await?,
        found: installations::found_by_spki(conn, spki).await?,
        key,
    })
}

/// One audit row, by its number.
///
/// # Errors
/// There is no such row, or the database doesn't answer.
pub async fn audit_row(conn: &mut Conn, seq: i64) -> Result<AuditRow, StoreError> {
    let row = audit::read(conn, seq).await?;
    row.ok_or_else(|| Problem::not_found(format!("there is no audit row {seq}")).into())
}
