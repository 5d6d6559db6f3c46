//! That a request failed, and why. Who says so writes the audit row.

use super::statement::sql;
use super::{StoreError, Tx};
use crate::domain::id::EntityKind;
use crate::domain::told::told;

/// Records the failure of a request that is not at its end; one that is stays as it is.
pub(super) async fn record(tx: &mut Tx, id: &str, error: &str) -> Result<(), StoreError> {
    let now = tx.now();
    let changed = sql(
        "UPDATE issuance_requests SET status = 'failed', waiting_on = NULL, error_message = $2, \
         attempt = attempt + 1, next_attempt_at = NULL, claimed_by = NULL, lease_until = NULL, \
         version = version + 1, updated_at = $3 WHERE id = $1 AND status IN ('pending', 'issuing')",
    )
    .bind(id)
    .bind(told(error))
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording that a request failed"))?;
    if changed > 0 {
        tx.changed(EntityKind::Request, id);
    }
    Ok(())
}
