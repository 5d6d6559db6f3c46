//! Keys on the command line, and what its commands with arguments do. What it leads to is given back: it
//! is carried out by the same way as a key would be.

use chrono::Duration;

use super::dialogs::type_into;
use super::layers::field;
use super::{clues, exporting, lists};
use crate::domain::key_material::material_in;
use crate::plan::guard::{Guard, Unlocked};
use crate::state::cmd::{Cmd, InDialog};
use crate::state::effect::Effect;
use crate::state::layer::{CommandLine, Layer, line};
use crate::state::palette::{Candidate, Leads, candidates_with, near, whole};
use crate::state::saved::SavedView;
use crate::state::screen::{Place, ViewId};
use crate::state::typed::{self, Typed};
use crate::state::{LoggedCommand, State, Tone};
use crate::views;

/// Lines that can be taken back; the oldest go first.
const KEPT: usize = 100;
/// A longer one was pasted, and is not kept.
const LONGEST_KEPT: usize = 200;

/// What was asked for.
pub(super) enum Asked {
    /// A command.
    Cmd(Cmd),
    /// A thing's detail.
    Place(Place),
    /// A list, filtered.
    List(ViewId, String),
    /// A command with arguments.
    Typed(Typed),
}

impl Asked {
    /// True for what shows something else and nothing more: moving, finding, filtering and sorting.
    fn only_shows(&self) -> bool {
        match self {
            Self::Place(_) | Self::List(..) => true,
            Self::Cmd(cmd) => cmd.only_shows(),
            Self::Typed(typed) => matches!(
                typed,
                Typed::Find(_) | Typed::Sort(_) | Typed::View(_) | Typed::Contexts
            ),
        }
    }
}

/// True if the line that is open would do more than show something else, were it taken now.
pub(super) fn would_act(state: &State) -> bool {
    let Some(Layer::CommandLine(layer)) = state.layers.last() else {
        return false;
    };
    let typed = line(&layer.typed);
    let picked = picked_of(state, layer).map(|found| found.leads);
    asked_by(state, &typed, picked.as_ref()).is_some_and(|asked| !asked.only_shows())
}

/// The candidate that is picked.
fn picked_of(state: &State, layer: &CommandLine) -> Option<Candidate> {
    let at = layer.picked.checked_sub(1)?;
    let sorts = views::find(state.place().view).sort_words();
    let mut found = candidates_with(state, &line(&layer.typed), &sorts);
    let last = found.len().checked_sub(1)?;
    Some(found.swap_remove(at.min(last)))
}

/// Request of a line, and what is picked for it; nothing while something is missing or wrong.
fn asked_by(state: &State, typed: &str, picked: Option<&Leads>) -> Option<Asked> {
    match (picked, typed::read(typed)) {
        (Some(leads), _) => asked_of(leads),
        (None, Some(read)) => read.ok().map(Asked::Typed),
        (None, None) => asked_of(&whole(state, typed)?.leads),
    }
}

fn asked_of(leads: &Leads) -> Option<Asked> {
    let read = |line: &str| typed::read(line)?.ok().map(Asked::Typed);
    match leads {
        Leads::Cmd(cmd) => Some(Asked::Cmd(*cmd)),
        Leads::Place(place) => Some(Asked::Place(place.clone())),
        Leads::List(view, filter) => Some(Asked::List(*view, filter.clone())),
        Leads::Line(found) => read(found),
        Leads::Typed(usage) => read(usage.name),
    }
}

/// A key for the command line, which is the topmost dialog.
pub(super) fn key(state: &mut State, key: &str) -> Option<Asked> {
    let Some(Layer::CommandLine(mut layer)) = state.layers.pop() else {
        return None;
    };
    let sorts = views::find(state.place().view).sort_words();
    let found = candidates_with(state, &line(&layer.typed), &sorts);
    layer.picked = layer.picked.min(found.len());
    match state.keymap.in_dialog(key) {
        Some(InDialog::Close) => return None,
        Some(InDialog::Confirm) => {
            let picked = layer
                .picked
                .checked_sub(1)
                .and_then(|at| found.into_iter().nth(at));
            return enter(state, layer, picked.map(|found| found.leads));
        }
        Some(InDialog::Older) => recall(state, &mut layer, true),
        Some(InDialog::Newer) => recall(state, &mut layer, false),
        // Above the typed line are those that were typed before.
        Some(InDialog::Previous) if layer.picked == 0 => recall(state, &mut layer, true),
        Some(InDialog::Next) if layer.picked == 0 && layer.back > 0 => recall(state, &mut layer, false),
        Some(InDialog::Next) => layer.picked = (layer.picked + 1).min(found.len()),
        Some(InDialog::Previous) => layer.picked = layer.picked.saturating_sub(1),
        Some(InDialog::NextField) => {
            if let Some(found) = found.get(layer.picked.saturating_sub(1)) {
                layer.typed = field(&completed(found));
                layer.picked = 0;
            }
        }
        // Nothing is left to take back, so the line itself goes.
        _ if key == "backspace" && line(&layer.typed).is_empty() => return None,
        _ => {
            type_into(&mut layer.typed, key);
            (layer.picked, layer.back) = (0, 0);
            layer.error = None;
        }
    }
    state.layers.push(Layer::CommandLine(layer));
    None
}

/// A candidate as a line to go on typing in: what needs arguments ends in a space.
fn completed(found: &Candidate) -> String {
    let whole = match &found.leads {
        Leads::Typed(usage) => usage.arguments.is_empty(),
        Leads::Line(line) => matches!(typed::read(line), Some(Ok(_))),
        _ => true,
    };
    format!("{}{}", found.name, if whole { "" } else { " " })
}

/// Takes a line back that was typed before, or the one after it.
fn recall(state: &State, layer: &mut CommandLine, older: bool) {
    let used = &state.lines_used;
    layer.back = match older {
        true => (layer.back + 1).min(used.len()),
        false => layer.back.saturating_sub(1),
    };
    let old = used.len().checked_sub(layer.back).and_then(|at| used.get(at));
    layer.typed = field(old.map_or("", String::as_str));
    layer.picked = 0;
}

/// Keeps a line that led somewhere, to be taken back.
fn keep(state: &mut State, typed: &str) {
    let typed = typed.trim();
    if typed.is_empty() || typed.len() > LONGEST_KEPT || material_in(typed).is_some() {
        return;
    }
    state.lines_used.retain(|used| used != typed);
    state.lines_used.push(typed.to_owned());
    if state.lines_used.len() > KEPT {
        state.lines_used.remove(0);
    }
}

/// Runs what is picked, or what is typed if that is whole. Nothing is run for being near.
fn enter(state: &mut State, mut layer: Box<CommandLine>, picked: Option<Leads>) -> Option<Asked> {
    let typed = line(&layer.typed);
    if typed.trim().is_empty() && picked.is_none() {
        return None;
    }
    keep(state, &typed);
    if let Some(asked) = asked_by(state, &typed, picked.as_ref()) {
        return Some(asked);
    }
    let is_picked = picked.is_some();
    match picked {
        // The rest of its arguments is still to be typed.
        Some(Leads::Line(found)) => layer.typed = field(&format!("{found} ")),
        Some(Leads::Typed(usage)) => layer.typed = field(&format!("{} ", usage.name)),
        Some(Leads::Cmd(_) | Leads::Place(_) | Leads::List(..)) => {}
        None => {
            let usage = typed::read(&typed).and_then(Result::err);
            layer.error = Some(usage.unwrap_or_else(|| no_such(state, &typed)));
            go_on_typing(state, &mut layer, &typed);
        }
    }
    if is_picked {
        layer.error = None;
    }
    layer.picked = 0;
    state.layers.push(Layer::CommandLine(layer));
    None
}

/// Writes down what can only be meant: the space behind a command, or the one argument that begins so.
fn go_on_typing(state: &State, layer: &mut CommandLine, typed: &str) {
    let line = typed.trim();
    if typed::read(line).is_none() {
        return;
    }
    let sorts = views::find(state.place().view).sort_words();
    let mut begun = candidates_with(state, typed, &sorts);
    begun.retain(|found| matches!(&found.leads, Leads::Line(found) if found.starts_with(line)));
    match begun.as_slice() {
        [one] => {
            layer.typed = field(&format!("{} ", one.name));
            layer.error = None;
        }
        _ if !line.contains(' ') => layer.typed = field(&format!("{line} ")),
        _ => {}
    }
}

fn no_such(state: &State, typed: &str) -> String {
    let word = typed.split_whitespace().next().unwrap_or_default();
    let word: String = word.chars().take(40).collect();
    let near: Vec<String> = near(state, typed)
        .into_iter()
        .map(|found| match found.note.as_str() {
            "" => found.name,
            key => format!("{} ({key})", found.name),
        })
        .collect();
    match near.as_slice() {
        [] => format!("no such command: {word}. `find {word}` searches all certificates"),
        near => format!("no such command: {word}. Near: {}", near.join(", ")),
    }
}

/// Carries out a command with arguments.
pub(super) fn run(state: &mut State, typed: Typed, effects: &mut Vec<Effect>) {
    let unlocked = match typed {
        Typed::Export(format) => {
            return exporting::begin(state, format, effects);
        }
        Typed::Sort(column) => return sort(state, &column),
        Typed::Save(name) => {
            let (view, list) = (state.place().view, state.screen().list);
            if views::find(view).filters.is_empty() {
                let lists = lists::by_keys(state);
                return state.say(Tone::Bad, format!("only a list ({lists}) can be saved as a view"));
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
        // Leaving, and what a key does as well, is not this line's business.
        Typed::Context(_) | Typed::Contexts => return,
        Typed::Find(clue) => return clues::find(state, &clue, effects),
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
            let until = state.by_platform(unlocked.until).format("%Y-%m-%d %H:%MZ");
            format!("unlocked until {until} under {}", unlocked.ticket)
        }
        None => "locked".to_owned(),
    };
    let command = match &unlocked {
        Some(unlocked) => {
            let minutes = (unlocked.until - state.now).num_minutes();
            let why = unlocked.reason.as_deref().unwrap_or_default();
            format!(":unlock {minutes}m {} {why}", unlocked.ticket)
        }
        None => ":lock".to_owned(),
    };
    // Whoever reads what was carried out wants to know when it could be.
    state.log(LoggedCommand {
        at: state.now,
        command: command.trim_end().to_owned(),
        how: words.clone(),
        run: None,
    });
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
        None if sorts.is_empty() => lists::say_open_a_list(state),
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
