//! A key's compromise and what follows from it at once: nothing that waits for a certificate with it
//! goes on, and nothing with it is installed any more. Revoking is somebody's decision for each
//! certificate (`revocation`).

use super::jobs::Of;
use super::{StoreError, Tx, issuance, jobs, keys};

/// Blocks the key for ever. Returns whether it wasn't blocked before. The audit row is the caller's.
///
/// # Errors
/// There is no such key, or the database doesn't answer.
pub async fn mark(tx: &mut Tx, spki: &str) -> Result<bool, StoreError> {
    // The requests before the key: see the order in `dialect`.
    issuance::lock_waiting(tx, spki).await?;
    if !keys::mark_compromised(tx, spki).await? {
        return Ok(false);
    }
    issuance::key_compromised(tx, spki).await?;
    jobs::withdraw(tx, Of::Key(spki), "its key was marked as compromised").await?;
    Ok(true)
}
