//! Choices by one key: what to copy of a row, and where to go from it. What there is to choose from is
//! said by the views.

use super::clipboard::takes;
use super::lists::{self, current};
use crate::domain::plain::plain;
use crate::state::cmd::InDialog;
use crate::state::effect::Effect;
use crate::state::layer::{Chosen, Layer, Menu, MenuItem};
use crate::state::{State, Tone};
use crate::views::{copies, related as touches};

/// Opens the choice of what the row with the cursor touches.
pub(super) fn related(state: &mut State) {
    let items = current(state)
        .map(|row| touches::of(state, &row))
        .unwrap_or_default();
    open(state, "Go to", items, "nothing is known to touch this");
}

/// Opens the choice of what to copy of the row with the cursor.
pub(super) fn copy(state: &mut State) {
    let items = current(state)
        .map(|row| copies::of(state, &row))
        .unwrap_or_default();
    open(state, "Copy", items, "there is nothing to copy here");
}

fn open(state: &mut State, title: &str, items: Vec<MenuItem>, none: &str) {
    if items.is_empty() {
        return state.say(Tone::Plain, none);
    }
    state.layers.push(Layer::Menu(Box::new(Menu::new(title, items))));
}

/// A key for the menu, which is the topmost dialog. An item's own key is stronger than one that moves.
pub(super) fn key(state: &mut State, key: &str, effects: &mut Vec<Effect>) {
    let Some(Layer::Menu(mut menu)) = state.layers.pop() else {
        return;
    };
    let last = menu.items.len().saturating_sub(1);
    let own = |item: &&MenuItem| item.key.to_string() == key;
    let chosen = match state.keymap.in_dialog(key) {
        Some(InDialog::Confirm) => menu.items.get(menu.picked),
        _ => menu.items.iter().find(own),
    };
    if let Some(item) = chosen.cloned() {
        return choose(state, item, effects);
    }
    match state.keymap.in_plain_dialog(key) {
        Some(InDialog::Close) => return,
        Some(InDialog::Next) => menu.picked = (menu.picked + 1).min(last),
        Some(InDialog::Previous) => menu.picked = menu.picked.saturating_sub(1),
        _ => {}
    }
    state.layers.push(Layer::Menu(menu));
}

fn choose(state: &mut State, item: MenuItem, effects: &mut Vec<Effect>) {
    match item.leads {
        Chosen::List(view, filter) => lists::go_filtered(state, view, &filter),
        Chosen::Place(place) => lists::go(state, place),
        Chosen::Copy(text) if takes(state, &text) => {
            // In a shell, a line break is Enter.
            let text = plain(&text);
            state.say(Tone::Plain, format!("copied {text}"));
            effects.push(Effect::Copy(text));
        }
        Chosen::Copy(_) => {}
        Chosen::CopyPem(id) => effects.push(Effect::FetchPem(id)),
    }
}
