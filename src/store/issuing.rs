//! A request in the issuer's hands: that it still is, that it goes back to waiting, and the issuer's audit rows.
//! Beginning and end are in `issuance`, a CA's orders in `orders`.

use chrono::{DateTime, Utc};

use super::requests::lock;
use super::statement::sql;
use super::{StoreError, Tx, audit};
use crate::domain::audit::{AuditEntry, AuditOutcome};
use crate::domain::id::EntityKind;
use crate::domain::request::{Request, RequestStatus};
use crate::domain::told::told;
use crate::problem::Problem;

/// Only a request that is being issued may go on; this is what makes each end happen once.
pub(super) async fn guard(tx: &mut Tx, id: &str) -> Result<Request, StoreError> {
    let request = lock(tx, id).await?;
    if request.status == RequestStatus::Issuing {
        return Ok(request);
    }
    Err(Problem::conflict(format!(
        "request `{id}` isn't being issued: it is {}",
        request.status.word()
    ))
    .into())
}

pub(super) async fn wait_again(
    tx: &mut Tx,
    id: &str,
    error: &str,
    at: Option<DateTime<Utc>>,
    burns: bool,
) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "UPDATE issuance_requests SET status = 'pending', waiting_on = 'ca', error_message = $2, \
         next_attempt_at = $3, attempt = attempt + $4, claimed_by = NULL, lease_until = NULL, \
         version = version + 1, updated_at = $5 WHERE id = $1",
    )
    .bind(id)
    .bind(told(error))
    .bind(at)
    .bind(i64::from(burns))
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("putting a request back"))?;
    tx.changed(EntityKind::Request, id);
    Ok(())
}

/// An audit row of the issuer's.
pub(super) fn by_issuer(
    action: &str,
    entity_type: EntityKind,
    entity_id: &str,
    outcome: AuditOutcome,
    detail: Option<String>,
) -> AuditEntry {
    AuditEntry {
        actor: "issuer".to_owned(),
        action: action.to_owned(),
        entity_type,
        entity_id: entity_id.to_owned(),
        outcome,
        reason: None,
        ticket: None,
        run_id: None,
        source: audit::ISSUER.to_owned(),
        detail,
    }
}
