//! A run under way, and what came of it: counted, what isn't proven first, by name and whole, with what to do
//! next. Secrets are shown as a count of characters, never as text.

use super::plan::in_the_way;
use super::sheet::{Line, Section, Sheet, Thing};
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
            Outcome::Stopped(_) | Outcome::NotSent(_) => ("-", Meaning::Warn),
            Outcome::Failed(_) | Outcome::Refused(_) => ("X", Meaning::Bad),
        },
    }
}

/// One step: its line and what it said.
fn step<'a>(step: &StepLine, note: &str, width: usize) -> Thing<'a> {
    let (glyph, meaning) = glyph(&step.state);
    let mut lines = Sheet::hung(&format!("[{glyph}] "), &step.title, width, meaning);
    if !note.is_empty() {
        Sheet::hang(&mut lines, "    ", note, width, Meaning::Plain);
    }
    lines
}

/// A section under this heading; none without things.
fn section<'a>(heading: &'static str, things: Vec<Thing<'a>>) -> Option<Section<'a>> {
    (!things.is_empty()).then_some(Section { heading, things })
}

/// Under way: what is proven is folded into its count.
fn running<'a>(state: &State, run: &Run, width: usize) -> Sheet<'a> {
    let mut sheet = Sheet {
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
        sheet
            .above
            .push(Sheet::thing(&counted.join(", "), width, Meaning::Plain));
    }
    let mut steps = Vec::new();
    for line in &run.steps {
        if n > 1 && run.ends.get(&line.target).is_some_and(Outcome::is_proven) {
            continue;
        }
        if line.state == StepState::Running {
            sheet.follows = Some(steps.len());
        }
        steps.push(step(line, &line.note, width));
    }
    sheet.sections.extend(section("steps", steps));
    let closes = state.keymap.hints(&[(InDialog::Close, "closes this")]);
    let runs = state.keymap.call(Cmd::Show(ViewId::Runs));
    sheet.foot = format!("{closes}, the run goes on ({runs} shows it)");
    sheet
}

/// The end of a run on one thing.
fn one<'a>(state: &State, run: &Run, outcome: &Outcome, width: usize) -> Sheet<'a> {
    let mut sheet = Sheet {
        foot: foot(state, run),
        scrolled_by: state.keymap.hints(&[(InDialog::PageDown, "scrolls")]),
        ..Sheet::default()
    };
    let words = format!("{}: {}", outcome.of_run().to_uppercase(), outcome.what());
    sheet
        .above
        .push(Sheet::thing(&words, width, runs::ended(outcome)));
    if let Some(hint) = outcome.hint() {
        let mut lines = vec![Line::Rule("what to do", String::new())];
        Sheet::add(&mut lines, hint, width, Meaning::Plain);
        sheet.above.push(lines);
    }
    let steps = run.steps.iter().map(|line| {
        // The last step's words are those of the whole.
        let note = Some(line.note.as_str()).filter(|note| *note != outcome.words());
        step(line, note.unwrap_or_default(), width)
    });
    sheet.sections.extend(section("steps", steps.collect()));
    sheet
}

/// The end of a run on several things.
fn several<'a>(state: &State, run: &Run, whole: &Outcome, width: usize) -> Sheet<'a> {
    let mut sheet = Sheet {
        foot: foot(state, run),
        scrolled_by: state.keymap.hints(&[(InDialog::PageDown, "scrolls")]),
        ..Sheet::default()
    };
    sheet
        .above
        .push(Sheet::thing(&when(run, state), width, Meaning::Plain));
    // The things' own ends are not the end that is on record.
    if run.is_denied(whole) {
        let words = format!("{}: {}", whole.of_run().to_uppercase(), whole.words());
        sheet.above.push(Sheet::thing(&words, width, runs::ended(whole)));
    }
    let any = |is: fn(&Outcome) -> bool| run.ends.values().any(is);
    let waits = any(|end| matches!(end, Outcome::Waiting(_)));
    // Its ends are looked at for as long as the console runs.
    let unknown = any(|end| matches!(end, Outcome::Unknown(_)));
    let goes_on = match (waits, unknown) {
        (true, false) => Some("What waits goes on by itself; nothing else does."),
        (true, true) => Some("What waits goes on by itself; what is unknown may."),
        (false, true) => Some("What is unknown may go on by itself; nothing else does."),
        (false, false) => (!whole.is_proven()).then_some("Nothing of it goes on by itself."),
    };
    let goes_on = goes_on.map(|words| Sheet::thing(words, width, Meaning::Plain));
    sheet.above.extend(goes_on);
    // The end that needs somebody most comes first.
    let words = ["unknown", "failed", "refused", "unsent", "stopped", "waiting"].iter();
    let open = words.flat_map(|word| run.ends.iter().filter(move |(_, end)| end.word() == *word));
    let open = open.map(|(target, end)| not_proven(run.name_of(*target), end, width));
    sheet.sections.extend(section("not proven", open.collect()));
    sheet
        .sections
        .extend(section("proven", proven(run, whole, width)));
    sheet
}

/// Lines for a thing that isn't proven: its end, its name, what happened and what to do next.
fn not_proven<'a>(name: &str, end: &Outcome, width: usize) -> Thing<'a> {
    let mark = format!("{:<8} ", end.word().to_uppercase());
    let mut lines = Sheet::hung(&mark, name, width, runs::ended(end));
    let indent = " ".repeat(columns(&mark));
    Sheet::hang(&mut lines, &indent, end.what(), width, Meaning::Plain);
    if let Some(hint) = end.hint() {
        let next = format!("Next: {hint}");
        Sheet::hang(&mut lines, &indent, &next, width, Meaning::Plain);
    }
    lines
}

/// Things that are proven: by name with the proof, or by name alone where something else is to be read.
fn proven<'a>(run: &Run, whole: &Outcome, width: usize) -> Vec<Thing<'a>> {
    let ends = run.ends.iter().filter(|(_, end)| end.is_proven());
    let ends = ends.map(|(target, end)| (run.name_of(*target), end.what()));
    let words = |(name, proof): (&str, &str)| match whole.is_proven() {
        true => format!("{name}: {proof}"),
        false => name.to_owned(),
    };
    ends.map(|end| Sheet::thing(&words(end), width, Meaning::Plain))
        .collect()
}

/// Under which ticket, and from when to when.
fn when(run: &Run, state: &State) -> String {
    let time = |at: chrono::DateTime<chrono::Utc>| state.by_platform(at).format("%H:%MZ").to_string();
    let ticket = run.ticket.as_deref().map(|ticket| format!("{ticket}, "));
    let to = run
        .ended_at
        .map(|at| format!(" to {}", time(at)))
        .unwrap_or_default();
    format!("{}{}{to}.", ticket.unwrap_or_default(), time(run.asked_at()))
}

fn foot(state: &State, run: &Run) -> String {
    let next = run.next_step().filter(|_| !run.asks_for_secrets());
    let next = next.map(|(action, on)| {
        let does = match action {
            same if same == run.action => "retries".to_owned(),
            // An action that mends it has a name of its own: `installs`, `reissues`.
            other => format!("{other}s"),
        };
        match on.len() {
            1 => format!("{does} it"),
            n => format!("{does} {n}"),
        }
    });
    let mut hints = Vec::new();
    hints.extend(next.as_deref().map(|next| (InDialog::Retry, next)));
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
        let changes = plan.changes.iter();
        let changes = changes.map(|change| Sheet::thing(change, width, Meaning::Plain));
        sheet.above.extend(changes);
        sheet.in_the_way = in_the_way(&plan.in_the_way, width);
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
        |seal| format!("Share {} of {}", seal.progress.saturating_add(1), seal.threshold),
    );
    let typed = match layer.secret_typed {
        0 => format!("{which} (typed or pasted, never shown):"),
        1 => format!("{which} (typed or pasted, never shown): 1 character"),
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
