//! The end of a run, held against what the platform has of it: that a change was made is for its audit to say, not for
//! whoever says that it was.

use std::collections::HashSet;

use crate::actions::{self, Leaves};
use crate::domain::audit::{AuditOutcome, REPORTED};
use crate::domain::told::told;
use crate::problem::Problem;
use crate::store::{StoreError, Tx, audit};
use crate::wire::runs::{RunEnd, RunView};

/// Takes the end as it is said, or with the word that it is only said: where the action changes nothing here.
///
/// # Errors
/// It is said to be done, and one of its things has no change that this run made.
pub(super) async fn judged(tx: &mut Tx, run: &RunView, end: RunEnd) -> Result<RunEnd, StoreError> {
    if end.outcome != AuditOutcome::Done {
        return Ok(end);
    }
    let Some(leaves) = actions::find(&run.action).and_then(|action| action.spec().leaves) else {
        let note = end.note.as_deref().unwrap_or("done");
        return Ok(RunEnd {
            note: Some(told(&format!("{REPORTED}: {note}"))),
            ..end
        });
    };
    let missing = without_change(tx, run, leaves).await?;
    match missing.as_slice() {
        [] => Ok(end),
        [first, others @ ..] => {
            let more = match others.len() {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let what = format!(
                "run `{}` is not done: no {} under its key succeeded for `{first}`{more}",
                run.id,
                leaves.verb()
            );
            let hint = format!(
                "send its changes with `Idempotency-Key: {}/<step>`, or say how it ended: refused, failed, unknown",
                run.id
            );
            Err(Problem::conflict(told(&what)).hint(told(&hint)).into())
        }
    }
}

/// Things of a run that nothing was changed of under its key.
async fn without_change(tx: &mut Tx, run: &RunView, leaves: Leaves) -> Result<Vec<String>, StoreError> {
    let rows = audit::changes_of_run(tx, run, leaves.verb()).await?;
    let changed: HashSet<&str> = rows
        .iter()
        .filter_map(|(about, detail)| leaves.thing(run.entity_type, about, detail.as_deref()))
        .collect();
    let missing = run.entity_ids.iter().filter(|id| !changed.contains(id.as_str()));
    Ok(missing.cloned().collect())
}
