//! A run: its plan with what it changes and breaks, what must be typed, then a line a step, then the
//! proof. Secrets are shown as a count of characters, never as text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use tui_textarea::TextArea;

use crate::plan::outcome::Outcome;
use crate::plan::plan::Plan;
use crate::plan::tier::{Ask, Tier};
use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::layer::RunLayer;
use crate::state::run::{Phase, Run, StepState};
use crate::state::screen::ViewId;
use crate::views::{palette, runs};
use crate::widgets::frame::{dialog, frame};
use crate::widgets::text::{put, wrap};
use crate::widgets::theme::Meaning;

/// Commands that are shown of a plan with many.
const COMMANDS: usize = 4;
/// What keys do while a plan is being made.
const CANCELS: &[(InDialog, &str)] = &[(InDialog::Close, "cancels")];
/// What keys do beside the confirmation.
const FIELDS: &[(InDialog, &str)] = &[
    (InDialog::NextField, "to the fields"),
    (InDialog::Close, "cancels"),
];

/// One line: a text, or a field.
enum Line<'a> {
    Text(String, Meaning),
    Field {
        label: String,
        value: &'a TextArea<'static>,
        options: Option<&'a str>,
        focused: bool,
    },
}

/// Draws it.
pub(super) fn draw(state: &State, layer: &RunLayer, area: Rect, buffer: &mut Buffer) {
    let Some(run) = state.run(&layer.run) else { return };
    let palette = palette(state);
    let width = area.width.saturating_sub(4).min(100);
    let text_width = usize::from(width.saturating_sub(4));
    let (note, meaning) = match &run.phase {
        Phase::Planning => ("making the plan", Meaning::Dim),
        Phase::Planned => ("", Meaning::Plain),
        Phase::Running => ("running", Meaning::Key),
        Phase::Ended(outcome) => (outcome.word(), runs::ended(outcome)),
    };
    let (mut lines, foot) = match (&run.phase, &run.plan) {
        (Phase::Planned, Some(plan)) => planned(state, run, plan, layer, text_width),
        (Phase::Planning, _) => (
            vec![Line::Text("reading what it would do…".to_owned(), Meaning::Dim)],
            state.keymap.hints(CANCELS),
        ),
        _ => running(state, run, layer, text_width),
    };
    if let Some(complaint) = &layer.complaint {
        lines.extend(
            wrap(complaint, text_width)
                .into_iter()
                .map(|line| Line::Text(line, Meaning::Bad)),
        );
    }
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(3);
    let place = dialog(
        buffer,
        area,
        width,
        height.min(area.height.saturating_sub(2)).max(5),
    );
    let inner = frame(buffer, place, palette, &run.title(), (note, meaning), true);
    let body = Rect {
        height: inner.height.saturating_sub(1),
        ..inner
    };
    // The fields stand at the end; when all does not fit, the beginning can be scrolled to.
    let hidden = lines.len().saturating_sub(usize::from(body.height));
    let first = hidden.saturating_sub(usize::from(layer.scroll).min(hidden));
    for (y, line) in (body.y..body.bottom()).zip(lines.iter().skip(first)) {
        match line {
            Line::Text(text, meaning) => {
                put(buffer, body, body.x + 1, y, text, palette.style(*meaning));
            }
            Line::Field {
                label,
                value,
                options,
                focused,
            } => {
                let style = palette.style(if *focused { Meaning::Key } else { Meaning::Dim });
                let marker = if *focused { "> " } else { "  " };
                let x = put(buffer, body, body.x + 1, y, &format!("{marker}{label} "), style);
                let field = Rect {
                    x,
                    y,
                    width: body.right().saturating_sub(x),
                    height: 1,
                };
                match (options, focused) {
                    (Some(value), _) => {
                        put(
                            buffer,
                            field,
                            x,
                            y,
                            &format!("< {value} >"),
                            palette.style(Meaning::Plain),
                        );
                    }
                    (None, true) => value.render(field, buffer),
                    (None, false) => {
                        let text = value.lines().first().map(String::as_str).unwrap_or_default();
                        put(buffer, field, x, y, text, palette.style(Meaning::Plain));
                    }
                }
            }
        }
    }
    let scrolls = [(InDialog::PageUp, "scrolls up"), (InDialog::PageDown, "down")];
    let scrolls = Some(state.keymap.hints(&scrolls)).filter(|_| hidden > 0);
    let above = Some(format!("{first} lines above")).filter(|_| first > 0);
    let foot: Vec<String> = above.into_iter().chain([foot]).chain(scrolls).collect();
    let foot = foot.join(", ");
    put(
        buffer,
        inner,
        inner.x + 1,
        inner.bottom() - 1,
        &foot,
        palette.style(Meaning::Dim),
    );
}

fn planned<'a>(
    state: &State,
    run: &Run,
    plan: &'a Plan,
    layer: &'a RunLayer,
    width: usize,
) -> (Vec<Line<'a>>, String) {
    let mut lines = Vec::new();
    let mut text = |text: &str, meaning| {
        lines.extend(
            wrap(text, width)
                .into_iter()
                .map(|line| Line::Text(line, meaning)),
        );
    };
    let proof = crate::actions::find(run.action).map_or("", |action| action.spec().proof);
    let tone = if plan.tier >= Tier::Irreversible {
        Meaning::Bad
    } else {
        Meaning::Plain
    };
    text(plan.tier.words(), tone);
    for change in &plan.changes {
        text(&format!("+ {change}"), Meaning::Plain);
    }
    for loss in &plan.breaks {
        text(&format!("! {loss}"), Meaning::Warn);
    }
    for command in plan
        .steps
        .iter()
        .map(|step| &step.command)
        .filter(|command| !command.is_empty())
        .take(COMMANDS)
    {
        text(&format!("$ {command}"), Meaning::Dim);
    }
    let n_commands = plan.steps.iter().filter(|step| !step.command.is_empty()).count();
    if n_commands > COMMANDS {
        text(
            &format!("$ and {} more like these", n_commands - COMMANDS),
            Meaning::Dim,
        );
    }
    text(&format!("proof: {proof}"), Meaning::Dim);
    for (index, field) in plan.fields.iter().enumerate() {
        let Some(value) = layer.fields.get(index) else {
            continue;
        };
        lines.push(Line::Field {
            label: field.label.clone(),
            value,
            options: (!field.options.is_empty()).then_some(field.value.as_str()),
            focused: layer.focus == index + 1,
        });
    }
    let n = plan.fields.len();
    let why = Line::Field {
        label: "Why".to_owned(),
        value: &layer.comment,
        options: None,
        focused: layer.focus == n + 1,
    };
    let ticket = Line::Field {
        label: "Ticket".to_owned(),
        value: &layer.ticket,
        options: None,
        focused: layer.focus == n + 2,
    };
    lines.push(why);
    lines.push(ticket);
    match plan.asks(&state.context.name) {
        Ask::Nothing => (lines, state.keymap.hints(CANCELS)),
        Ask::Yes => {
            let focused = layer.focus == 0;
            let meaning = if focused { Meaning::Key } else { Meaning::Dim };
            lines.push(Line::Text("press y to carry it out".to_owned(), meaning));
            let foot = format!("y carries it out, {}", state.keymap.hints(FIELDS));
            (lines, foot)
        }
        Ask::Type(wanted) => {
            let what = match plan.tier {
                Tier::Sweeping => "the count and the context".to_owned(),
                _ => plan.phrase_is.clone(),
            };
            let confirm = state.keymap.call(Cmd::Dialog(InDialog::Confirm));
            lines.push(Line::Field {
                label: format!("type {what} ({wanted}), then {confirm}:"),
                value: &layer.typed,
                options: None,
                focused: layer.focus == 0,
            });
            (lines, state.keymap.hints(FIELDS))
        }
    }
}

fn running<'a>(state: &State, run: &Run, layer: &'a RunLayer, width: usize) -> (Vec<Line<'a>>, String) {
    let mut lines = Vec::new();
    for step in &run.steps {
        let (glyph, meaning) = match &step.state {
            StepState::Waiting => (" ", Meaning::Dim),
            StepState::Running => (">", Meaning::Key),
            StepState::Skipped => ("-", Meaning::Dim),
            StepState::Ended(outcome) => match outcome {
                Outcome::Proven(_) => ("+", Meaning::Good),
                Outcome::Unknown(_) => ("?", Meaning::Warn),
                Outcome::Failed(_) | Outcome::Refused(_) => ("X", Meaning::Bad),
            },
        };
        lines.push(Line::Text(format!("[{glyph}] {}", step.title), meaning));
        if !step.note.is_empty() {
            let wrapped = wrap(&step.note, width.saturating_sub(4));
            lines.extend(
                wrapped
                    .into_iter()
                    .map(|line| Line::Text(format!("    {line}"), Meaning::Plain)),
            );
        }
    }
    if run.wants_secret() {
        let typed = match layer.secret_typed {
            0 => "share (typed or pasted, never shown):".to_owned(),
            n => format!("share (typed or pasted, never shown): {n} characters"),
        };
        lines.push(Line::Text(typed, Meaning::Key));
        if let Some(path) = &state.context.shares_in {
            let words = format!("this demo keeps its shares in {path}; a real platform never would");
            lines.extend(
                wrap(&words, width)
                    .into_iter()
                    .map(|line| Line::Text(line, Meaning::Dim)),
            );
        }
        let foot = state.keymap.hints(&[
            (InDialog::Confirm, "gives the share"),
            (InDialog::Reset, "resets the ceremony"),
            (InDialog::Close, "stops"),
        ]);
        return (lines, foot);
    }
    match &run.phase {
        Phase::Ended(outcome) => {
            let words = format!("{}: {}", outcome.word().to_uppercase(), outcome.words());
            lines.extend(
                wrap(&words, width)
                    .into_iter()
                    .map(|line| Line::Text(line, runs::ended(outcome))),
            );
            (lines, state.keymap.hints(&[(InDialog::Close, "closes")]))
        }
        _ => {
            let closes = state.keymap.hints(&[(InDialog::Close, "closes this")]);
            let runs = state.keymap.call(Cmd::Show(ViewId::Runs));
            (lines, format!("{closes}, the run goes on ({runs} shows it)"))
        }
    }
}
