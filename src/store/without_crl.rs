//! Revocations that no CRL will ever prove, since the certificate names none: the CA's yes is the end.

use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;

use super::issuing::by_issuer;
use super::statement::sql;
use super::{StoreError, Tx, audit};

/// Records that for a certificate whose revocation the CA has accepted.
///
/// # Errors
/// The database doesn't answer.
pub async fn record(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE certificates SET without_crl_at = $2, version = version + 1, updated_at = $2 \
         WHERE id = $1 AND status = 'revoked' AND without_crl_at IS NULL",
    )
    .bind(id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because(
        "recording that no CRL will prove a revocation",
    ))?;
    if done > 0 {
        tx.changed(EntityKind::Certificate, id);
        let detail = Some("the certificate names no CRL: the CA's yes is the end of it".to_owned());
        let entry = by_issuer("revoke", EntityKind::Certificate, id, AuditOutcome::Done, detail);
        audit::note(tx, entry);
    }
    Ok(())
}
