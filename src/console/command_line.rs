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
use crate::state::screen::Place;
use crate::state::typed::{self, Typed};
use crate::state::{State, Tone};
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
        Typed::Find(clue) => return lists::find(state, &clue, effects),
        Typed::Lock => None,
        Typed::Unlock { minutes, ticket } => Some(Unlocked {
            until: state.now + Duration::minutes(minutes),
            ticket,
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
