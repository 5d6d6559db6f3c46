//! Keys on the command line, and what its commands with arguments do. What it leads to is given back: it
//! is carried out by the same way as a key would be.

use chrono::Duration;

use super::dialogs::{field, type_into};
use super::lists;
use crate::plan::guard::{Guard, Unlocked};
use crate::state::cmd::Cmd;
use crate::state::effect::Effect;
use crate::state::layer::{CommandLine, Layer, line};
use crate::state::palette::{Leads, candidates};
use crate::state::saved::SavedView;
use crate::state::screen::Place;
use crate::state::typed::{self, Typed};
use crate::state::{State, Tone};
use crate::views;
use crate::views::export::export;

/// What was asked for.
pub(super) enum Asked {
    /// A command.
    Cmd(Cmd),
    /// A thing's detail.
    Place(Place),
    /// A command with arguments.
    Typed(Typed),
}

/// A key for the command line, which is the topmost dialog.
pub(super) fn key(state: &mut State, key: &str) -> Option<Asked> {
    let Some(Layer::CommandLine(mut layer)) = state.layers.pop() else {
        return None;
    };
    let found = candidates(state, &line(&layer.typed));
    let last = found.len().saturating_sub(1);
    layer.picked = layer.picked.min(last);
    match key {
        "esc" => return None,
        "enter" => {
            let picked = found.into_iter().nth(layer.picked).map(|found| found.leads);
            return enter(state, layer, picked);
        }
        "down" | "ctrl-n" => layer.picked = (layer.picked + 1).min(last),
        "up" | "ctrl-p" => layer.picked = layer.picked.saturating_sub(1),
        "tab" => {
            if let Some(found) = found.get(layer.picked) {
                layer.typed = field(&found.name);
                layer.picked = 0;
            }
        }
        // Nothing is left to take back, so the line itself goes.
        "backspace" if line(&layer.typed).is_empty() => return None,
        key => {
            type_into(&mut layer.typed, key);
            layer.picked = 0;
        }
    }
    state.layers.push(Layer::CommandLine(layer));
    None
}

fn enter(state: &mut State, mut layer: Box<CommandLine>, picked: Option<Leads>) -> Option<Asked> {
    let typed = line(&layer.typed);
    let name = match (typed::read(&typed), picked) {
        (Some(Ok(typed)), _) => return Some(Asked::Typed(typed)),
        (Some(Err(usage)), _) => {
            state.say(Tone::Bad, usage);
            typed.split_whitespace().next().unwrap_or_default().to_owned()
        }
        (None, Some(Leads::Cmd(cmd))) => return Some(Asked::Cmd(cmd)),
        (None, Some(Leads::Place(place))) => return Some(Asked::Place(place)),
        (None, Some(Leads::Line(line))) => match typed::read(&line) {
            Some(Ok(typed)) => return Some(Asked::Typed(typed)),
            _ => line,
        },
        (None, Some(Leads::Typed(usage))) => match typed::read(usage.name) {
            Some(Ok(typed)) => return Some(Asked::Typed(typed)),
            _ => usage.name.to_owned(),
        },
        (None, None) => {
            state.say(Tone::Bad, format!("nothing is called `{typed}`"));
            return None;
        }
    };
    // Its arguments are still to be typed.
    if !typed.trim().contains(' ') {
        layer.typed = field(&format!("{name} "));
    }
    state.layers.push(Layer::CommandLine(layer));
    None
}

/// Carries out a command with arguments.
pub(super) fn run(state: &mut State, typed: Typed, effects: &mut Vec<Effect>) {
    let unlocked = match typed {
        Typed::Export(format) => {
            let (name, content) = export(state, format);
            return effects.push(Effect::Export { name, content });
        }
        Typed::Sort(column) => return sort(state, &column),
        Typed::Save(name) => {
            let (view, list) = (state.place().view, state.screen().list);
            if views::find(view).filters.is_empty() {
                return state.say(Tone::Bad, "only a list (2 to 5) can be saved as a view");
            }
            state.say(Tone::Good, format!("`:view {name}` opens this again"));
            state.saved.insert(name, SavedView { view, list });
            return effects.push(Effect::KeepViews(state.saved.clone()));
        }
        Typed::Forget(name) => {
            if state.saved.remove(&name).is_none() {
                return state.say(Tone::Bad, no_view(state, &name));
            }
            state.say(Tone::Plain, format!("`{name}` is forgotten"));
            return effects.push(Effect::KeepViews(state.saved.clone()));
        }
        Typed::View(name) => {
            let Some(saved) = state.saved.get(&name).cloned() else {
                return state.say(Tone::Bad, no_view(state, &name));
            };
            lists::go_filtered(state, saved.view, "");
            state.screen_mut().list = saved.list;
            return;
        }
        // Leaving is not this line's business.
        Typed::Context(_) => return,
        Typed::Find(clue) => return lists::find(state, &clue, effects),
        Typed::Lock => None,
        Typed::Unlock {
            minutes,
            ticket,
            reason,
        } => Some(Unlocked {
            until: state.now + Duration::minutes(minutes),
            ticket,
            reason,
        }),
    };
    if !matches!(state.guard, Guard::Protected(_)) {
        return state.say(Tone::Plain, "only a protected context is locked and unlocked");
    }
    let words = match &unlocked {
        Some(unlocked) => {
            let until = unlocked.until.format("%H:%MZ");
            format!("unlocked until {until} under {}", unlocked.ticket)
        }
        None => "locked".to_owned(),
    };
    state.say(Tone::Plain, words);
    state.guard = Guard::Protected(unlocked);
    effects.push(Effect::SetGuard(state.guard.clone()));
}

fn no_view(state: &State, name: &str) -> String {
    let known: Vec<&str> = state.saved.keys().map(String::as_str).collect();
    match known.as_slice() {
        [] => "no view is saved yet: `:save NAME` saves the open list's filter and order".to_owned(),
        known => format!("no view is called `{name}`; there are: {}", known.join(", ")),
    }
}

/// Sorts the open list by a column, by its heading or by the API's name for it.
fn sort(state: &mut State, column: &str) {
    let (falling, name) = match column.strip_prefix('-') {
        Some(name) => ("-", name),
        None => ("", column),
    };
    let sorts = views::find(state.place().view).sorts;
    match sorts.iter().find(|(api, label)| *api == name || *label == name) {
        Some((api, _)) => {
            state.screen_mut().list.sort = format!("{falling}{api}");
            state.screen_mut().release_cursors();
        }
        None if sorts.is_empty() => {
            state.say(Tone::Plain, "this screen has its own order; open a list (2 to 5)");
        }
        None => {
            let known: Vec<&str> = sorts.iter().map(|(_, label)| *label).collect();
            state.say(
                Tone::Bad,
                format!(
                    "this list can't be sorted by `{name}`; it has: {}",
                    known.join(", ")
                ),
            );
        }
    }
}
