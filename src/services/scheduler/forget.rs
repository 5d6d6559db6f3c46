//! Forgets what nobody will ask for again, so that the database doesn't grow with every request: kept
//! answers, and what ended jobs had to do. The audit trail is never shortened.

use chrono::Duration;

use crate::store::{Store, StoreError, idempotency, jobs};

/// For so long a request that is sent again with its `Idempotency-Key` is answered as before.
const ANSWERS: Duration = Duration::hours(24);
/// For so long one can look up what an ended job had to do.
const WORK: Duration = Duration::days(7);

/// Forgets all that is old enough.
pub(super) async fn forget(store: &Store) -> Result<(), StoreError> {
    let mut tx = store.begin_behind().await?;
    let now = tx.now();
    let answers = idempotency::forget(&mut tx, now - ANSWERS).await?;
    let jobs = jobs::forget_work(&mut tx, now - WORK).await?;
    tx.commit().await?;
    if answers + jobs > 0 {
        tracing::debug!(answers, jobs, "forgot what is old");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::clock::Clock;
    use crate::store::idempotency::{Answer, find, keep};

    #[tokio::test]
    async fn an_answer_is_kept_for_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::fixed(start);
        let url = format!("sqlite://{}", dir.path().join("cmp.db").display());
        let store = Store::open(&url, clock.clone()).await.unwrap();
        let answer = Answer {
            request_hash: "h".to_owned(),
            status: 202,
            body: "{}".to_owned(),
        };
        let mut tx = store.begin().await.unwrap();
        keep(&mut tx, "ops", "k", &answer).await.unwrap();
        tx.commit().await.unwrap();
        for (hours, kept) in [(23, true), (25, false)] {
            clock.set(start + Duration::hours(hours));
            forget(&store).await.unwrap();
            let mut conn = store.read().await.unwrap();
            assert_eq!(
                find(&mut conn, "ops", "k").await.unwrap().is_some(),
                kept,
                "{hours} h"
            );
        }
    }
}
