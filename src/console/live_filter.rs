//! A filter that works while it is typed. What is in memory is filtered with each letter. What the server filters is
//! asked when typing pauses, one question at a time, and the list that is shown stays until the answer is there.

use crate::domain::key_material::{is_clear, material_in};
use crate::domain::plain::is_hidden;
use crate::state::layer::{FilterLine, Layer, line};
use crate::state::query::Query;
use crate::state::{State, Tone};
use crate::views;
use crate::wire::filter::Filter;

use super::cursor;

/// A key or a paste may have changed what is typed.
pub(super) fn typed(state: &mut State) {
    let Some(layer) = open(state) else { return };
    let text = line(&layer.typed).trim().to_owned();
    if text == layer.noted.as_deref().unwrap_or_default() {
        return;
    }
    layer.noted = Some(text.clone());
    state.typings = state.typings.wrapping_add(1);
    let is_in_memory = views::find(state.place().view).filters.is_empty();
    if is_in_memory && material_in(&text).is_none() && Filter::read(&text, &[]).is_ok() {
        show(state, text);
    }
}

/// Typing has paused.
pub(super) fn paused(state: &mut State) {
    let shown = state.screen().list.q;
    let fields = views::find(state.place().view).filters;
    let Some(layer) = open(state) else { return };
    let Some(text) = layer.noted.clone() else { return };
    if fields.is_empty() || text == shown {
        layer.asked = None;
        return;
    }
    // It goes out once the answer that is awaited has come.
    if layer.asked.is_some() || !may_go(&text) {
        return;
    }
    match Filter::read(&text, fields) {
        Ok(_) => layer.asked = Some(text),
        Err(why) if state.toast.is_none() => state.say(Tone::Bad, why),
        Err(_) => {}
    }
}

/// The questions that are asked ahead of being shown.
pub(super) fn needs(state: &mut State) -> Vec<Query> {
    let Some(asked) = open(state).and_then(|layer| layer.asked.clone()) else {
        return Vec::new();
    };
    let shown = std::mem::replace(&mut state.screen_mut().list.q, asked);
    let needs = (views::find(state.place().view).needs)(state);
    state.screen_mut().list.q = shown;
    needs
}

/// Shows what was asked ahead, once it is answered.
pub(super) fn answered(state: &mut State) {
    let Some(first) = needs(state).into_iter().next() else {
        return;
    };
    let loaded = state.data.get(&first);
    let is_there = loaded.is_some_and(|loaded| loaded.value.is_some());
    let trouble = loaded.and_then(|loaded| loaded.trouble.clone());
    if !is_there && trouble.is_none() {
        return;
    }
    let Some(asked) = open(state).and_then(|layer| layer.asked.take()) else {
        return;
    };
    match trouble {
        Some(problem) if !is_there => state.say(Tone::Bad, problem.what),
        _ => show(state, asked.clone()),
    }
    if open(state).is_some_and(|layer| layer.noted.as_ref() != Some(&asked)) {
        paused(state);
    }
}

/// Puts back what was shown before anything was typed.
pub(super) fn take_back(state: &mut State, layer: &FilterLine) {
    if state.screen().list.q != layer.before {
        show(state, layer.before.clone());
    }
}

fn show(state: &mut State, filter: String) {
    state.screen_mut().list.q = filter;
    cursor::begin(state);
}

fn open(state: &mut State) -> Option<&mut FilterLine> {
    match state.layers.last_mut() {
        Some(Layer::Filter(layer)) => Some(layer),
        _ => None,
    }
}

/// Leave for a text to go out before somebody has said so by Enter, when it is looked at whole: no word of it looks like
/// the beginning of a secret, which is known for one only when more of it is there.
fn may_go(text: &str) -> bool {
    let is_random = |run: &str| {
        let has = |is: fn(&char) -> bool| run.chars().any(|c| is(&c));
        let mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
        let digits = has(char::is_ascii_digit);
        let is_hex = run.chars().all(|c| c.is_ascii_hexdigit());
        let is_long = run.len() > SHORT;
        // A name has its digits at one place, and is seldom typed in capitals.
        let kinds: Vec<bool> = run.chars().map(|c| c.is_ascii_digit()).collect();
        let n_changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let is_no_name = n_changes > 2 || has(char::is_ascii_uppercase) || run.contains(['+', '/', '=']);
        mixed && (digits || run.len() >= SHORT) || is_long && (is_hex && digits || is_no_name)
    };
    let in_a_word = |c: char| c.is_ascii_alphanumeric() || "+/=_%".contains(c);
    let is_plain = !text.contains(is_hidden) && !text.contains("0x");
    is_plain && is_clear(text) && !text.split(|c| !in_a_word(c)).any(is_random)
}

/// Letters of a secret from which it isn't made out yet.
const SHORT: usize = 8;

#[cfg(test)]
mod tests {
    use super::may_go;

    #[test]
    fn names_go_out_and_what_may_become_a_secret_waits_for_enter() {
        for text in [
            "web-01",
            "shop.example.com status:active",
            "!agent:cdn-02 expires:<7d",
            "03:a1:ac",
            "kubernetes01",
            "web01frankfurt",
            "",
        ] {
            assert!(may_go(text), "{text}");
        }
        for text in [
            "MIGHAgEAMB",
            "q+k8rP0t",
            "hvs.AbC1dEf",
            "00254a6f94",
            "shop 0x30,0x81",
            "owner:eyJhbGci",
            "X9K0QZL7W",
            "QWERTZUIO",
            "a8z3kq9xw",
            "kdjrhg/wq",
        ] {
            assert!(!may_go(text), "{text}");
        }
    }
}
