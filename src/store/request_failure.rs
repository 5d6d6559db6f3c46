//! That a request failed, and why. Who says so writes the audit row.

use super::requests::{Wrapped, changed};
use super::statement::sql;
use super::{StoreError, Tx};
use crate::domain::told::told;

/// Records the failure of a request that is not at its end; one that is stays as it is.
pub(super) async fn record(tx: &mut Tx, id: &str, error: &str) -> Result<(), StoreError> {
    let now = tx.now();
    let failed: Option<Wrapped> = sql(
        "UPDATE issuance_requests SET status = 'failed', waiting_on = NULL, error_message = $2, \
         attempt = attempt + 1, next_attempt_at = NULL, claimed_by = NULL, lease_until = NULL, \
         version = version + 1, updated_at = $3 WHERE id = $1 AND status IN ('pending', 'issuing') RETURNING *",
    )
    .bind(id)
    .bind(told(error))
    .bind(now)
    .fetch_optional(tx.raw())
    .await
    .map_err(StoreError::because("recording that a request failed"))?;
    if let Some(Wrapped(request)) = failed {
        changed(tx, &request);
    }
    Ok(())
}
