//! Revocations that no CRL will ever prove, since the certificate names none: the CA's yes is the end.

use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;

use super::issuing::by_issuer;
use super::statement::sql;
use super::{StoreError, Tx, audit};

/// Records that for a certificate whose revocation the CA has accepted. What was expected in a CRL before stays so, unless
/// the platform's own configuration makes it sure that there is none: the CA's word is not enough then.
///
/// # Errors
/// The database doesn't answer.
pub async fn record(tx: &mut Tx, id: &str, is_sure: bool) -> Result<(), StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE certificates SET without_crl_at = $2, version = version + 1, updated_at = $2 \
         WHERE id = $1 AND status = 'revoked' AND without_crl_at IS NULL AND (in_crl_by IS NULL OR $3 = 1)",
    )
    .bind(id)
    .bind(now)
    .bind(i64::from(is_sure))
    .execute(tx.raw())
    .await
    .map_err(StoreError::because(
        "recording that no CRL will prove a revocation",
    ))?;
    if done > 0 {
        tx.changed(EntityKind::Certificate, id);
        let why = match is_sure {
            true => "the configuration says that the CA has no CRL",
            false => "the certificate names no CRL",
        };
        let detail = Some(format!("{why}: the CA's yes is the end of it"));
        let entry = by_issuer("revoke", EntityKind::Certificate, id, AuditOutcome::Done, detail);
        audit::note(tx, entry);
    }
    Ok(())
}
