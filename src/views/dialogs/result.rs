//! A run under way, and what came of it: counted, what isn't proven first, by name and whole, with what to do
//! next. Secrets are shown as a count of characters, never as text.

use super::plan::in_the_way;
use super::sheet::{Line, Sheet};
use crate::domain::link::Backend;
use crate::plan::outcome::Outcome;
use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::layer::RunLayer;
use crate::state::run::{Phase, Run, StepLine, StepState};
use crate::state::screen::ViewId;
use crate::views::runs;
use crate::widgets::text::columns;
use crate::widgets::theme::Meaning;

/// The title's note for a run that is over: its state in capitals, or the counts.
pub(super) fn state_of(run: &Run) -> (String, Meaning) {
    match &run.phase {
        Phase::Ended(outcome) => (run.state().to_uppercase(), runs::ended(outcome)),
        _ => (run.state(), Meaning::Key),
    }
}

/// The sheet of a run that has begun.
pub(super) fn sheet<'a>(state: &State, run: &Run, layer: &RunLayer, width: usize) -> Sheet<'a> {
    match &run.phase {
        _ if run.wants_secret() => shares(state, run, layer, width),
        Phase::Ended(outcome) if run.ends.len() > 1 => several(state, run, outcome, width),
        Phase::Ended(outcome) => one(state, run, outcome, width),
        _ => running(state, run, width),
    }
}

fn glyph(state: &StepState) -> (&'static str, Meaning) {
    match state {
        StepState::Waiting => (" ", Meaning::Dim),
        StepState::Running => (">", Meaning::Key),
        StepState::Skipped => ("-", Meaning::Dim),
        StepState::Ended(outcome) => match outcome {
            Outcome::Proven(_) => ("+", Meaning::Good),
            Outcome::Waiting(_) => ("…", Meaning::Warn),
            Outcome::Unknown(_) => ("?", Meaning::Warn),
            Outcome::Failed(_) | Outcome::Refused(_) => ("X", Meaning::Bad),
        },
    }
}

/// One step's line and what it said.
fn step(lines: &mut Vec<Line<'_>>, step: &StepLine, width: usize) {
    let (glyph, meaning) = glyph(&step.state);
    lines.push(Line::Text(format!("[{glyph}] {}", step.title), meaning));
    if !step.note.is_empty() {
        Sheet::hang(lines, "    ", &step.note, width, Meaning::Plain);
    }
}

/// Under way: what is proven is folded into its count.
fn running<'a>(state: &State, run: &Run, width: usize) -> Sheet<'a> {
    let mut sheet = Sheet {
        heading: "steps",
        scrolled_by: state.keymap.hints(&[(InDialog::PageDown, "scrolls")]),
        ..Sheet::default()
    };
    let n = run.plan.as_ref().map_or(0, |plan| plan.targets.len());
    if n > 1 {
        let left = n.saturating_sub(run.ends.len());
        let counted = run.named_ends().counted();
        let counted = [counted, format!("{left} left")];
        let counted: Vec<&str> = counted
            .iter()
            .map(String::as_str)
            .filter(|it| !it.is_empty())
            .collect();
        sheet.above.push(Line::Text(counted.join(", "), Meaning::Plain));
    }
    for line in &run.steps {
        if n > 1 && run.ends.get(&line.target).is_some_and(Outcome::is_proven) {
            continue;
        }
        step(&mut sheet.scrolls, line, width);
        if line.state == StepState::Running {
            sheet.follows = Some(sheet.scrolls.len().saturating_sub(1));
        }
    }
    let closes = state.keymap.hints(&[(InDialog::Close, "closes this")]);
    let runs = state.keymap.call(Cmd::Show(ViewId::Runs));
    sheet.foot = format!("{closes}, the run goes on ({runs} shows it)");
    sheet
}

/// The end of a run on one thing.
fn one<'a>(state: &State, run: &Run, outcome: &Outcome, width: usize) -> Sheet<'a> {
    let mut sheet = Sheet {
        heading: "steps",
        foot: foot(state, run),
        scrolled_by: state.keymap.hints(&[(InDialog::PageDown, "scrolls")]),
        ..Sheet::default()
    };
    let words = format!("{}: {}", outcome.word().to_uppercase(), outcome.what());
    Sheet::add(&mut sheet.above, &words, width, runs::ended(outcome));
    if let Some(hint) = outcome.hint() {
        sheet.above.push(Line::Rule("what to do", String::new()));
        Sheet::add(&mut sheet.above, hint, width, Meaning::Plain);
    }
    for line in &run.steps {
        let (glyph, meaning) = glyph(&line.state);
        sheet
            .scrolls
            .push(Line::Text(format!("[{glyph}] {}", line.title), meaning));
        // The last step's words are those of the whole.
        if !line.note.is_empty() && line.note != outcome.words() {
            Sheet::hang(&mut sheet.scrolls, "    ", &line.note, width, Meaning::Plain);
        }
    }
    sheet
}

/// The end of a run on several things.
fn several<'a>(state: &State, run: &Run, whole: &Outcome, width: usize) -> Sheet<'a> {
    let mut sheet = Sheet {
        foot: foot(state, run),
        scrolled_by: state.keymap.hints(&[(InDialog::PageDown, "scrolls")]),
        ..Sheet::default()
    };
    Sheet::add(&mut sheet.above, &when(run), width, Meaning::Plain);
    if run.ends.values().any(|end| matches!(end, Outcome::Waiting(_))) {
        let words = "What waits goes on by itself; nothing else does.";
        sheet.above.push(Line::Text(words.to_owned(), Meaning::Plain));
    } else if !whole.is_proven() {
        let words = "Nothing of it goes on by itself.";
        sheet.above.push(Line::Text(words.to_owned(), Meaning::Plain));
    }
    // The end that needs somebody most comes first.
    for word in ["unknown", "failed", "refused", "waiting"] {
        for (target, end) in run.ends.iter().filter(|(_, end)| end.word() == word) {
            let mark = format!("{:<8} ", word.to_uppercase());
            let name = format!("{mark}{}", run.name_of(*target));
            sheet.scrolls.push(Line::Text(name, runs::ended(end)));
            let indent = " ".repeat(columns(&mark));
            Sheet::hang(&mut sheet.scrolls, &indent, end.what(), width, Meaning::Plain);
            if let Some(hint) = end.hint() {
                Sheet::hang(
                    &mut sheet.scrolls,
                    &indent,
                    &format!("Next: {hint}"),
                    width,
                    Meaning::Plain,
                );
            }
        }
    }
    sheet.heading = if whole.is_proven() { "proven" } else { "not proven" };
    proven(&mut sheet, run, whole, width);
    sheet
}

/// Those that are proven: last, and short where something else is to be read.
fn proven(sheet: &mut Sheet<'_>, run: &Run, whole: &Outcome, width: usize) {
    let proven: Vec<(&str, &str)> = run
        .ends
        .iter()
        .filter(|(_, end)| end.is_proven())
        .map(|(target, end)| (run.name_of(*target), end.what()))
        .collect();
    if whole.is_proven() {
        for (name, proof) in &proven {
            Sheet::add(
                &mut sheet.scrolls,
                &format!("{name}: {proof}"),
                width,
                Meaning::Plain,
            );
        }
    } else if let Some((_, last)) = proven.last() {
        let names: Vec<&str> = proven.iter().map(|(name, _)| *name).collect();
        sheet
            .scrolls
            .push(Line::Text(format!("PROVEN   {}", proven.len()), Meaning::Good));
        let words = format!("{}. The last: {last}", names.join(", "));
        Sheet::hang(&mut sheet.scrolls, &" ".repeat(9), &words, width, Meaning::Plain);
    }
}

/// Under which ticket, and from when to when.
fn when(run: &Run) -> String {
    let time = |at: chrono::DateTime<chrono::Utc>| at.format("%H:%MZ").to_string();
    let ticket = run.ticket.as_deref().map(|ticket| format!("{ticket}, "));
    let to = run
        .ended_at
        .map(|at| format!(" to {}", time(at)))
        .unwrap_or_default();
    format!("{}{}{to}.", ticket.unwrap_or_default(), time(run.asked_at))
}

fn foot(state: &State, run: &Run) -> String {
    let retries = match run.to_retry().len() {
        1 => "retries it".to_owned(),
        n => format!("retries {n}"),
    };
    let mut hints = Vec::new();
    if !run.to_retry().is_empty() && !run.asks_for_secrets() {
        hints.push((InDialog::Retry, retries.as_str()));
    }
    hints.push((InDialog::Close, "closes"));
    state.keymap.hints(&hints)
}

/// The prompt for shares.
fn shares<'a>(state: &State, run: &Run, layer: &RunLayer, width: usize) -> Sheet<'a> {
    let taken = state
        .context
        .shares_in
        .as_ref()
        .map(|_| (InDialog::NextField, "demo's share"));
    let hints = [
        (InDialog::Confirm, "gives it"),
        (InDialog::Reset, "starts over"),
        (InDialog::Close, "stops"),
    ];
    let hints: Vec<_> = taken.into_iter().chain(hints).collect();
    let mut sheet = Sheet {
        foot: state.keymap.hints(&hints),
        ..Sheet::default()
    };
    if let Some(plan) = &run.plan {
        for change in &plan.changes {
            Sheet::add(&mut sheet.above, change, width, Meaning::Plain);
        }
        in_the_way(&mut sheet.below, &plan.in_the_way, width);
    }
    sheet.below.push(Line::Rule("", String::new()));
    let running = run.steps.iter().find(|line| line.state == StepState::Running);
    if let Some(line) = running.filter(|line| !line.note.is_empty()) {
        Sheet::add(&mut sheet.below, &line.note, width, Meaning::Warn);
    }
    let seal = state
        .links
        .get(&Backend::Vault)
        .and_then(|link| link.seal.as_ref());
    let which = seal.filter(|seal| seal.sealed).map_or_else(
        || "Share".to_owned(),
        |seal| format!("Share {} of {}", seal.progress + 1, seal.threshold),
    );
    let typed = match layer.secret_typed {
        0 => format!("{which} (typed or pasted, never shown):"),
        n => format!("{which} (typed or pasted, never shown): {n} characters"),
    };
    sheet.below.push(Line::Text(typed, Meaning::Key));
    if let Some(path) = &state.context.shares_in {
        let takes = state.keymap.call(Cmd::Dialog(InDialog::NextField));
        let words = format!("This demo's shares are in {path}: {takes} takes the next one.");
        Sheet::add(&mut sheet.below, &words, width, Meaning::Dim);
        let words = "A real platform never keeps them together.";
        Sheet::add(&mut sheet.below, words, width, Meaning::Dim);
    }
    sheet
}
