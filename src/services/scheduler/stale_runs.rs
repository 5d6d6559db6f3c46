//! Closes runs that never ended, so that nobody waits for them: the audit trail has `asked` rows, and
//! gets a last row that says `unknown`. It does not find out what really happened; *verify* does.

use chrono::{DateTime, Duration, Utc};

use crate::domain::audit::{AuditEntry, AuditOutcome};
use crate::store::{Store, StoreError, Work, audit, runs};
use crate::wire::page::{MAX_LIMIT, PageQuery};
use crate::wire::runs::{RunEnd, RunView};

/// A run of which nothing was heard for so long is nobody's any more. A console records every step.
const STALE_AFTER_MIN: i64 = 30;

const NOTE: &str = "nothing was heard of this run for half an hour; verify what came of it";

/// Closes all that are stale; how many there were.
pub(super) async fn close(store: &Store) -> Result<usize, StoreError> {
    let query = PageQuery {
        open: Some(true),
        sort: Some("started_at".to_owned()),
        limit: Some(MAX_LIMIT),
        ..PageQuery::default()
    };
    let mut conn = store.ask(Work::Background).await?;
    let before = conn.now() - Duration::minutes(STALE_AFTER_MIN);
    let old = runs::page(&mut conn, &query).await?.items;
    let mut stale = Vec::new();
    for run in old.into_iter().filter(|run| run.started_at < before) {
        let run = runs::existing(&mut conn, &run.id).await?;
        if last_heard_of(&run) < before {
            stale.push(run);
        }
    }
    drop(conn);
    for run in &stale {
        let mut tx = store.begin_behind().await?;
        let end = RunEnd {
            outcome: AuditOutcome::Unknown,
            note: Some(NOTE.to_owned()),
        };
        if runs::end(&mut tx, &run.id, &end, None).await? {
            audit::append(&mut tx, last_row(run)).await?;
        }
        tx.commit().await?;
        tracing::warn!(run = %run.id, "the run never ended; it is closed as unknown");
    }
    Ok(stale.len())
}

fn last_heard_of(run: &RunView) -> DateTime<Utc> {
    run.steps
        .iter()
        .map(|step| step.ended_at.unwrap_or(step.started_at))
        .fold(run.started_at, Ord::max)
}

/// The run's own last row, as if its console had written it: whoever began it, and nobody else, is who it tells of.
fn last_row(run: &RunView) -> AuditEntry {
    let (entity_type, entity_id) = run.is_about();
    AuditEntry {
        actor: run.actor.clone(),
        action: "run".to_owned(),
        entity_type,
        entity_id,
        outcome: AuditOutcome::Unknown,
        reason: run.comment.clone(),
        ticket: run.ticket.clone(),
        run_id: Some(run.id.clone()),
        source: "scheduler".to_owned(),
        detail: Some(format!("plan `{}`: {NOTE}", run.action)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::domain::id::EntityKind;
    use crate::domain::role::Role;
    use crate::store::tokens::{self, NewToken, Purpose};
    use crate::wire::runs::{RunBegin, RunStepRecord};

    async fn begin(store: &Store, id: &str) -> String {
        let run = RunBegin {
            id: id.to_owned(),
            action: "revoke".to_owned(),
            entity_type: EntityKind::Certificate,
            entity_ids: vec!["crt_1".to_owned()],
            comment: Some("why".to_owned()),
            ticket: None,
            plan: serde_json::json!({"steps": [{"step": "revoke"}]}),
            digest: None,
        };
        let mut tx = store.begin().await.unwrap();
        let new = NewToken {
            name: format!("ops-{id}"),
            purpose: Purpose::Bearer,
            role: Role::Operator,
            agent_id: None,
            parent: None,
            expires_at: None,
        };
        let secret = tokens::mint().unwrap();
        let token = tokens::create(&mut tx, &new, &secret).await.unwrap();
        runs::begin(&mut tx, &run, "d", "ops", &token.id).await.unwrap();
        tx.commit().await.unwrap();
        token.id
    }

    #[tokio::test]
    async fn a_run_that_fell_silent_is_closed_and_one_that_goes_on_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::fixed(start);
        let url = format!("sqlite://{}", dir.path().join("cmp.db").display());
        let store = Store::open(&url, clock.clone()).await.unwrap();
        begin(&store, "run_silent").await;
        let token = begin(&store, "run_going").await;
        clock.set(start + Duration::minutes(29));
        assert_eq!(close(&store).await.unwrap(), 0);
        let step = RunStepRecord {
            index: 0,
            name: "revoke".to_owned(),
            status: "running".to_owned(),
            note: None,
        };
        let mut tx = store.begin().await.unwrap();
        runs::step(&mut tx, "run_going", &step, &token).await.unwrap();
        tx.commit().await.unwrap();
        clock.set(start + Duration::minutes(31));
        assert_eq!(close(&store).await.unwrap(), 1);
        assert_eq!(close(&store).await.unwrap(), 0, "once is enough");
        let mut conn = store.read().await.unwrap();
        let silent = runs::existing(&mut conn, "run_silent").await.unwrap();
        assert_eq!(silent.outcome, AuditOutcome::Unknown);
        let going = runs::existing(&mut conn, "run_going").await.unwrap();
        assert_eq!(going.outcome, AuditOutcome::Asked);
        let rows = audit::rows_after(&mut conn, 0, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].run_id.as_deref(), Some("run_silent"));
        let row = &rows[0];
        assert_eq!((row.actor.as_str(), row.action.as_str()), ("ops", "run"));
        assert_eq!(row.source, "scheduler");
    }
}
