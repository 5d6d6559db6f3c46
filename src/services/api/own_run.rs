//! A change under a run's key (`run_…/<step>`) is one of that run's plan: made by whoever began it, while it is under
//! way, by what its action sends, and to one of its things. Nothing else carries its id.

use crate::actions::{self, Leaves};
use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::domain::told::{cut, told};
use crate::problem::Problem;
use crate::store::{StoreError, Tx, runs};

use super::audited::Attempt;
use super::caller::Call;
use super::reply::problem_of;

/// A run that a change belongs to.
pub(super) struct OwnRun {
    id: String,
    run: runs::Held,
    sends: Leaves,
}

impl OwnRun {
    /// The run that the call's key names; none where it names none, or where a run's own beginning and records are told:
    /// whose they are is asked where they are written.
    pub(super) async fn of(tx: &mut Tx, call: &Call, attempt: &Attempt) -> Result<Option<Self>, Problem> {
        let Some(id) = named(call).filter(|_| attempt.entity_type != EntityKind::Run) else {
            return Ok(None);
        };
        let run = runs::hold(tx, &id).await.map_err(problem_of)?;
        let Some(run) = run.filter(|run| run.begun_with == call.caller.token.id) else {
            return Err(Problem::refused(format!(
                "the Idempotency-Key names the run `{}`, which this token has not begun",
                cut(&id, 80)
            ))
            .hint("use a key of your own, or begin the run with `POST /api/v1/runs`"));
        };
        if run.outcome != AuditOutcome::Asked {
            let what = format!(
                "run `{id}` has ended ({}), so that nothing is changed under its key any more",
                run.outcome.word()
            );
            return Err(Problem::conflict(what).hint("begin another run, or use a key of your own"));
        }
        let Some(action) = actions::find(&run.action) else {
            return Err(Problem::conflict(told(&format!(
                "run `{id}` is of an action that this server doesn't know: `{}`",
                run.action
            ))));
        };
        let own = Self {
            id,
            run,
            sends: action.spec().sends(),
        };
        // The thing that its details name is known once the body is read.
        if attempt.action != own.sends.verb() || matches!(own.sends, Leaves::About(..)) {
            own.allows(attempt)?;
        }
        Ok(Some(own))
    }

    /// Allows a change that the plan has.
    pub(super) fn allows(&self, attempt: &Attempt) -> Result<(), Problem> {
        let (id, verb) = (&self.id, self.sends.verb());
        let hint = "a change that a run hasn't planned needs a key of its own, or a run of its own";
        if attempt.action != verb {
            let what = format!(
                "run `{id}` is a `{}`: `{}` is no change of its plan",
                self.run.action, attempt.action
            );
            return Err(Problem::conflict(told(&what)).hint(hint));
        }
        let detail = attempt.detail.as_deref();
        let thing = self.sends.thing(self.run.entity_type, &attempt.entity_id, detail);
        if thing.is_some_and(|thing| self.run.entity_ids.iter().any(|own| own == thing)) {
            return Ok(());
        }
        let thing = thing.unwrap_or(&attempt.entity_id);
        let what = format!("run `{id}` is not about `{}`", cut(thing, 200));
        Err(Problem::conflict(told(&what)).hint(hint))
    }
}

/// True if the caller began this run.
pub(super) async fn is_own(tx: &mut Tx, call: &Call, run: &str) -> Result<bool, StoreError> {
    let begun_with = runs::begun_with(tx, run).await?;
    Ok(begun_with.is_some_and(|token| token == call.caller.token.id))
}

/// A step's key is `run_…/<step>`, so the run that a change belongs to is known from it.
pub(super) fn named(call: &Call) -> Option<String> {
    let (run, _) = call.key.as_deref()?.split_once('/')?;
    run.starts_with("run_").then(|| run.to_owned())
}
