//! A console's hands without a screen: a plan is confirmed as it asks to be, and carried out.

use std::sync::Mutex;

use cmp_console::actions;
use cmp_console::plan::confirm::{Answer, confirm};
use cmp_console::plan::executor::{Means, RunEvent, execute};
use cmp_console::plan::guard::Guard;
use cmp_console::plan::journal::Journal;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::Plan;
use cmp_console::plan::ports::{Changes, Reads, SecretEntry};
use cmp_console::plan::tier::{Ask, InContext};

/// Carries a plan out; its end, and all that was said meanwhile.
pub(crate) async fn carry_out(
    plan: Plan,
    context: InContext<'_>,
    reads: &Reads,
    changes: &Changes,
    journal: &Journal,
) -> (Outcome, String) {
    let asks = plan.asks(context);
    let answer = match &asks {
        Ask::Nothing => Answer::Started,
        Ask::Yes => Answer::Yes,
        Ask::Type(wanted) => Answer::Typed(wanted),
    };
    let confirmed = confirm(plan, context, &answer, Some("a drill".to_owned()), None).unwrap();
    let (_prompt, entered) = tokio::sync::mpsc::channel(1);
    let (_stays, leaving) = tokio::sync::watch::channel(false);
    let means = Means {
        reads,
        changes,
        secrets: &SecretEntry::new(entered),
        journal,
        guard: &|| Guard::ReadWrite,
        find_step: &actions::find_step,
        plan_again: &actions::plan_again,
        leaving,
    };
    let said = Mutex::new(String::new());
    let watch = |event: RunEvent| said.lock().unwrap().push_str(&format!("{event:?}\n"));
    let outcome = execute(confirmed, &means, &watch).await.outcome;
    (outcome, said.into_inner().unwrap())
}
