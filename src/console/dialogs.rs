//! Keys inside dialogs. A run's dialog hears nothing before it was painted, confirms by the rule of its
//! plan's tier only, and never by the key that opened it.

use tui_textarea::{CursorMove, Input, Key, TextArea};

use crate::plan::confirm::{Answer, confirm};
use crate::plan::plan::Plan;
use crate::plan::tier::Ask;
use crate::state::effect::Effect;
use crate::state::layer::{Layer, RunLayer, Shown, line};
use crate::state::run::Phase;
use crate::state::{State, Tone};
use crate::views;
use crate::wire::filter::Filter;

/// The longest text that a field takes, in characters.
const LONGEST: usize = 1024;

/// Whether the dialog of `run` is open.
pub(super) fn is_open(state: &State, run: &str) -> bool {
    state
        .layers
        .iter()
        .any(|layer| matches!(layer, Layer::Run(layer) if layer.run == run))
}

/// A key for the topmost dialog.
pub(super) fn key(state: &mut State, key: &str, effects: &mut Vec<Effect>) {
    match state.layers.pop() {
        None => {}
        Some(Layer::Help { scroll }) => match key {
            "esc" | "q" | "?" => {}
            "j" | "down" => state.layers.push(Layer::Help {
                scroll: scroll.saturating_add(1).min(100),
            }),
            "k" | "up" => state.layers.push(Layer::Help {
                scroll: scroll.saturating_sub(1),
            }),
            "ctrl-d" | "pagedown" => state.layers.push(Layer::Help {
                scroll: scroll.saturating_add(10).min(100),
            }),
            "ctrl-u" | "pageup" => state.layers.push(Layer::Help {
                scroll: scroll.saturating_sub(10),
            }),
            _ => state.layers.push(Layer::Help { scroll }),
        },
        Some(Layer::Filter(mut text)) => match key {
            "esc" => {}
            "up" | "down" | "ctrl-p" | "ctrl-n" => {
                let used = &state.filters_used;
                text.back = match key {
                    "up" | "ctrl-p" => (text.back + 1).min(used.len()),
                    _ => text.back.saturating_sub(1),
                };
                let old = used.len().checked_sub(text.back).and_then(|at| used.get(at));
                text.typed = field(old.map_or("", String::as_str));
                state.layers.push(Layer::Filter(text));
            }
            "enter" => {
                let typed = line(&text.typed).trim().to_owned();
                match Filter::read(&typed, views::find(state.place().view).filters) {
                    Ok(_) => {
                        if !typed.is_empty() {
                            state.filters_used.retain(|used| *used != typed);
                            state.filters_used.push(typed.clone());
                        }
                        state.screen_mut().list.q = typed;
                        state.screen_mut().release_cursors();
                    }
                    Err(why) => {
                        state.say(Tone::Bad, why);
                        state.layers.push(Layer::Filter(text));
                    }
                }
            }
            key => {
                type_into(&mut text.typed, key);
                state.layers.push(Layer::Filter(text));
            }
        },
        // These have files of their own.
        Some(layer @ (Layer::CommandLine(_) | Layer::Menu(_))) => state.layers.push(layer),
        Some(Layer::Run(layer)) => run_key(state, layer, key, effects),
    }
}

/// Text was pasted: into the field that has the focus, or nowhere. A line break is never a key, a
/// confirmation is typed, and a private key never comes this far.
pub(super) fn paste(state: &mut State, text: &str) {
    // A certificate in PEM is a clue, and longer than anything else.
    let longest = match state.layers.last() {
        Some(Layer::CommandLine(_)) => 16 * LONGEST,
        _ => LONGEST,
    };
    let text: String = text.chars().filter(|c| !c.is_control()).take(longest).collect();
    match state.layers.last_mut() {
        Some(Layer::Filter(layer)) => drop(layer.typed.insert_str(text)),
        Some(Layer::CommandLine(layer)) => drop(layer.typed.insert_str(text)),
        Some(Layer::Run(layer)) if layer.hears() && layer.focus == 0 => {
            layer.complaint = Some("what was pasted was dropped: a confirmation is typed".to_owned());
        }
        Some(Layer::Run(layer)) if layer.hears() => {
            if let Some(area) = focused_area(layer) {
                area.insert_str(text);
            }
        }
        _ => state.say(Tone::Plain, "pasted text was ignored: no field is open"),
    }
}

/// A private key was pasted: it is gone already, and only its public half's hash may be a clue.
pub(super) fn pasted_key(state: &mut State, spki: Option<String>) {
    match (state.layers.last_mut(), spki) {
        (Some(Layer::CommandLine(layer)), Some(spki)) => {
            layer.typed = field(&format!("find {spki}"));
        }
        _ => state.say(
            Tone::Bad,
            "a private key was pasted and dropped; treat it as seen, and as compromised if others saw it",
        ),
    }
}

/// The dialog of a run that was closed.
pub(super) fn reopen(state: &State, run: String) -> Layer {
    let plan = state.run(&run).and_then(|run| run.plan.as_deref());
    let fields = plan.map(fields).unwrap_or_default();
    Layer::Run(Box::new(RunLayer {
        fields,
        ..RunLayer::new(run)
    }))
}

/// The plan's fields, each with the cursor at its end.
fn fields(plan: &Plan) -> Vec<TextArea<'static>> {
    plan.fields.iter().map(|known| field(&known.value)).collect()
}

/// A one-line field that holds `value`, with the cursor at its end.
pub(super) fn field(value: &str) -> TextArea<'static> {
    let mut area = TextArea::from([value.to_owned()]);
    area.move_cursor(CursorMove::End);
    area
}

/// The plan is there: fill the fields, or start what needs no confirmation.
pub(super) fn planned(state: &mut State, id: &str, effects: &mut Vec<Effect>) {
    let context = state.context.name.clone();
    let Some(plan) = state.run(id).and_then(|run| run.plan.clone()) else {
        return;
    };
    if plan.asks(&context) == Ask::Nothing {
        return execute(state, id, &Answer::Started, None, None, effects);
    }
    for layer in &mut state.layers {
        if let Layer::Run(layer) = layer
            && layer.run == id
        {
            layer.fields = fields(&plan);
            layer.shown = Shown::Not;
        }
    }
}

fn run_key(state: &mut State, mut layer: Box<RunLayer>, key: &str, effects: &mut Vec<Effect>) {
    let Some(run) = state.run(&layer.run) else { return };
    let (id, phase, secret) = (layer.run.clone(), run.phase.clone(), run.wants_secret());
    match (key, &phase) {
        ("esc", Phase::Planning | Phase::Planned) => {
            state.runs.retain(|run| run.id != id);
            return state.say(Tone::Plain, "cancelled, nothing was done");
        }
        ("esc", Phase::Running) if secret => {
            effects.push(Effect::StopSecret(id));
            layer.secret_typed = 0;
        }
        ("esc", Phase::Running) => {
            return state.say(Tone::Plain, "it goes on; 7 shows it");
        }
        ("esc" | "q" | "enter", Phase::Ended(_)) if layer.hears() => return,
        ("esc", _) => return,
        ("ctrl-d" | "pagedown", _) => layer.scroll = layer.scroll.saturating_sub(5),
        ("ctrl-u" | "pageup", _) => layer.scroll = layer.scroll.saturating_add(5).min(500),
        (_, Phase::Planning | Phase::Planned) if !layer.hears() => {
            // It was typed before this could be read, so it was not meant for it.
            layer.complaint = Some("a key came before this was on your screen, and was dropped".to_owned());
        }
        _ if !layer.hears() => {}
        ("enter", Phase::Running) if secret => {
            effects.push(Effect::SubmitSecret(id));
            layer.secret_typed = 0;
        }
        ("ctrl-r", Phase::Running) if secret => {
            effects.push(Effect::ResetSecret(id));
            layer.secret_typed = 0;
        }
        (key, Phase::Planned) => planned_key(state, &mut layer, key, effects),
        _ => {}
    }
    state.layers.push(Layer::Run(layer));
}

fn planned_key(state: &mut State, layer: &mut RunLayer, key: &str, effects: &mut Vec<Effect>) {
    let Some(plan) = state.run(&layer.run).and_then(|run| run.plan.clone()) else {
        return;
    };
    layer.complaint = None;
    let n_fields = layer.fields.len();
    match key {
        "tab" | "down" => {
            plan_again(state, layer, effects);
            layer.focus = (layer.focus + 1) % layer.n_focus();
        }
        "backtab" | "up" => {
            plan_again(state, layer, effects);
            layer.focus = (layer.focus + layer.n_focus() - 1) % layer.n_focus();
        }
        _ if layer.focus == 0 => {
            let asks = plan.asks(&state.context.name);
            let comment = Some(line(&layer.comment)).filter(|text| !text.trim().is_empty());
            let ticket = Some(line(&layer.ticket)).filter(|text| !text.trim().is_empty());
            match (asks, key) {
                (Ask::Yes, "y") => {
                    layer.shown = Shown::Not;
                    execute(state, &layer.run, &Answer::Yes, comment, ticket, effects);
                }
                (Ask::Type(wanted), "enter") => {
                    let typed = line(&layer.typed);
                    if typed.trim() == wanted {
                        layer.shown = Shown::Not;
                        execute(
                            state,
                            &layer.run,
                            &Answer::Typed(&typed),
                            comment,
                            ticket,
                            effects,
                        );
                    } else {
                        layer.complaint = Some(format!("type `{wanted}` to go on, or esc to cancel"));
                    }
                }
                (Ask::Type(_), key) => type_into(&mut layer.typed, key),
                _ => {}
            }
        }
        _ if layer.focus <= n_fields => {
            let index = layer.focus - 1;
            let field = &plan.fields[index];
            if field.options.is_empty() {
                if key == "enter" {
                    plan_again(state, layer, effects);
                    layer.focus = 0;
                } else {
                    type_into(&mut layer.fields[index], key);
                }
                return;
            }
            let n = field.options.len();
            let at = field
                .options
                .iter()
                .position(|option| *option == field.value)
                .unwrap_or(0);
            let at = match key {
                "right" | "l" | "space" => (at + 1) % n,
                "left" | "h" => (at + n - 1) % n,
                _ => return layer.focus = if key == "enter" { 0 } else { layer.focus },
            };
            layer.fields[index] = TextArea::from([field.options[at].clone()]);
            plan_again(state, layer, effects);
        }
        "enter" => layer.focus = 0,
        key => {
            if let Some(area) = focused_area(layer) {
                type_into(area, key);
            }
        }
    }
}

/// Makes the plan again when a field says something else than the plan was made with.
fn plan_again(state: &mut State, layer: &mut RunLayer, effects: &mut Vec<Effect>) {
    let Some(run) = state.run_mut(&layer.run) else {
        return;
    };
    let Some(plan) = &run.plan else { return };
    let changed = plan
        .fields
        .iter()
        .zip(&layer.fields)
        .any(|(field, area)| field.value != line(area));
    if !changed {
        return;
    }
    run.inputs = plan
        .fields
        .iter()
        .zip(&layer.fields)
        .map(|(field, area)| (field.name.clone(), line(area)))
        .collect();
    run.phase = Phase::Planning;
    layer.typed = TextArea::default();
    layer.shown = Shown::Not;
    effects.push(Effect::Plan {
        run: run.id.clone(),
        action: run.action,
        on: run.on.clone(),
        inputs: run.inputs.clone(),
    });
}

fn execute(
    state: &mut State,
    id: &str,
    answer: &Answer<'_>,
    comment: Option<String>,
    ticket: Option<String>,
    effects: &mut Vec<Effect>,
) {
    let context = state.context.name.clone();
    // What is done while a context is unlocked is done under that ticket, unless another one is given.
    let unlocked = state.guard.unlocked(state.now);
    let ticket = ticket.or_else(|| unlocked.map(|unlocked| unlocked.ticket.clone()));
    let comment = comment.or_else(|| unlocked.and_then(|unlocked| unlocked.reason.clone()));
    let Some(run) = state.run_mut(id) else { return };
    let Some(plan) = run.plan.clone() else { return };
    match confirm(*plan, &context, answer, comment, ticket) {
        Ok(confirmed) => {
            run.begin();
            // What was marked for it is not marked for the next key.
            state.screen_mut().marks.clear();
            effects.push(Effect::Execute {
                run: id.to_owned(),
                confirmed: Box::new(confirmed),
            });
        }
        Err((_, problem)) => state.say(Tone::Bad, problem.to_string()),
    }
}

fn focused_area(layer: &mut RunLayer) -> Option<&mut TextArea<'static>> {
    let n = layer.fields.len();
    match layer.focus {
        0 => Some(&mut layer.typed),
        focus if focus <= n => layer.fields.get_mut(focus - 1),
        focus if focus == n + 1 => Some(&mut layer.comment),
        _ => Some(&mut layer.ticket),
    }
}

/// A key for a one-line field; what would break the line is no key for it.
pub(super) fn type_into(area: &mut TextArea<'static>, key: &str) {
    let (ctrl, name) = key
        .strip_prefix("ctrl-")
        .map_or((false, key), |name| (true, name));
    let key = match name {
        "space" => Key::Char(' '),
        "backspace" => Key::Backspace,
        "delete" => Key::Delete,
        "left" => Key::Left,
        "right" => Key::Right,
        "home" => Key::Home,
        "end" => Key::End,
        name => match (name.chars().next(), name.chars().count()) {
            (Some(c), 1) if !(ctrl && matches!(c, 'm' | 'j')) && line(area).chars().count() < LONGEST => {
                Key::Char(c)
            }
            _ => return,
        },
    };
    area.input(Input {
        key,
        ctrl,
        alt: false,
        shift: false,
    });
}
