//! Clues are followed: read in one way after the other, until one of them leads somewhere. Which one did is said,
//! and so is it when none does.

use super::lists::{go, show_filtered};
use super::wiped;
use crate::domain::certificate::Certificate;
use crate::domain::clue::{Clue, Reading, readings};
use crate::domain::key_material::material_in;
use crate::state::effect::Effect;
use crate::state::event::ServedThere;
use crate::state::following::{Awaits, Following};
use crate::state::query::{Answer, Query};
use crate::state::screen::{Place, ViewId};
use crate::state::{State, Tone};
use crate::wire::filter;

/// Shows the certificates that a clue leads to; what an address leads to is found out by a handshake.
pub(super) fn find(state: &mut State, clue: &str, effects: &mut Vec<Effect>) {
    if let Some(material) = material_in(clue) {
        return state.say(
            Tone::Bad,
            format!("it was not looked for: it {}", wiped::why(&material)),
        );
    }
    let said = Following::said(clue);
    let mut found = readings(clue);
    // Nothing that long is a name.
    let is_long = clue.chars().count() > filter::LONGEST;
    found.retain(|reading| !is_long || !matches!(reading.clue, Clue::Name(_)));
    if found.is_empty() {
        let words = "not understood: it is no serial, fingerprint, pin, name, address, certificate, request or public key";
        return state.say(Tone::Bad, format!("{words} ({said})"));
    }
    read_next(state, said, Vec::new(), found, effects);
}

/// Follows the first of the readings that are left.
fn read_next(
    state: &mut State,
    clue: String,
    tried: Vec<String>,
    left: Vec<Reading>,
    effects: &mut Vec<Effect>,
) {
    let mut left = left.into_iter();
    let Some(reading) = left.next() else { return };
    let mut following = Following {
        clue,
        words: reading.words,
        tried,
        left: left.collect(),
        awaits: Awaits::Rows(state.screen().list),
        left_out: 0,
    };
    match reading.clue {
        Clue::Key(spki) => {
            state.places = vec![Place::of(ViewId::Triage)];
            go(state, Place::of_key(spki));
            let words = following.words;
            return state.say(
                Tone::Plain,
                format!("read as {words}: this is what its key reaches"),
            );
        }
        Clue::Address(address) => {
            state.say(
                Tone::Plain,
                format!("read as an address: asking {address} what it serves"),
            );
            following.awaits = Awaits::Handshake(address.clone(), state.places.clone());
            effects.push(Effect::Probe(address));
        }
        clue => {
            let (filter, left_out) = clue.filter();
            show_filtered(state, &filter);
            following.left_out = left_out;
            following.awaits = Awaits::Rows(state.screen().list);
        }
    }
    state.follow = Some(following);
}

/// Once the list that a clue leads to is there: if it is about one key, that key's reach is what somebody
/// with a clue wants to see; if it is empty, the clue is read otherwise. Returns whether another list is awaited now,
/// which may be there already: two readings can lead to the same one.
pub(super) fn follow_clue(state: &mut State, effects: &mut Vec<Effect>) -> bool {
    let Some(Following {
        awaits: Awaits::Rows(list),
        ..
    }) = &state.follow
    else {
        return false;
    };
    let query = Query::Certificates(list.clone());
    let is_open = state.place().view == ViewId::Certificates && state.screen().list == *list;
    let Some(loaded) = state.data.get(&query).filter(|_| is_open) else {
        state.follow = None;
        return false;
    };
    if loaded.waiting || loaded.dirty {
        return false;
    }
    let mut found_by = None;
    let keys: Option<Vec<String>> = match &loaded.value {
        Some(Answer::Certificates(window)) => {
            found_by = window.rows.first().and_then(|row| seen_in(row, &list.q));
            let mut keys: Vec<String> = window.rows.iter().map(|it| it.spki_sha256.clone()).collect();
            keys.sort();
            keys.dedup();
            Some(keys)
        }
        _ => None,
    };
    let (Some(following), Some(keys)) = (state.follow.take(), keys) else {
        return false;
    };
    if keys.is_empty() {
        nothing(state, following, effects);
        return matches!(&state.follow, Some(it) if matches!(it.awaits, Awaits::Rows(_)));
    }
    if let [spki] = keys.as_slice() {
        go(state, Place::of_key(spki.clone()));
    }
    let more = match following.left_out {
        0 => String::new(),
        n => format!("; {n} more were pasted than can be looked for at once"),
    };
    let not = match following.tried.as_slice() {
        [] => String::new(),
        tried => format!("; not as {}", tried.join(", ")),
    };
    let words = found_by.map_or(following.words, str::to_owned);
    state.say(Tone::Plain, format!("read as {words}{more}{not}"));
    false
}

/// Number of the certificate that the text was found in; none where one of its names has the text, since a list looks
/// in both.
fn seen_in(row: &Certificate, text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    let names = row.sans.iter().map(String::as_str).chain([row.subject.as_str()]);
    if names.map(str::to_lowercase).any(|name| name.contains(&text)) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let serial: String = row.serial.chars().filter(char::is_ascii_hexdigit).collect();
    let is_hash = row.fingerprint_sha256 == digits || row.spki_sha256 == digits;
    match digits.as_str() {
        "" => None,
        _ if is_hash => Some("a SHA-256"),
        whole if whole == serial => Some("a serial"),
        part if serial.contains(part) => Some("a part of a serial"),
        _ => None,
    }
}

/// A reading leads nowhere.
fn nothing(state: &mut State, following: Following, effects: &mut Vec<Effect>) {
    let read_as = following.read_as();
    let Following {
        clue,
        words,
        mut tried,
        left,
        ..
    } = following;
    if left.is_empty() {
        return state.say(
            Tone::Bad,
            format!("nothing of ours matches {clue}, read as {read_as}"),
        );
    }
    tried.push(words);
    read_next(state, clue, tried, left, effects);
}

/// What an address serves is known now; without a handshake its host name is the clue.
pub(super) fn found_served(
    state: &mut State,
    address: &str,
    served: Result<ServedThere, String>,
    effects: &mut Vec<Effect>,
) {
    let is_asked = |it: &mut Following| matches!(&it.awaits, Awaits::Handshake(asked, _) if asked == address);
    let following = state.follow.take_if(is_asked);
    // Whoever went on meanwhile, or is at a dialog, is not taken away from there.
    let stays = following.filter(|it| {
        let Awaits::Handshake(_, places) = &it.awaits else {
            return false;
        };
        state.layers.is_empty() && *places == state.places
    });
    match (served, stays) {
        (Ok(served), None) => {
            let spki = &served.spki_sha256;
            state.say(
                Tone::Good,
                format!("{address} answered: `:find {spki}` shows what its key reaches"),
            );
        }
        (Err(why), None) => state.say(Tone::Bad, format!("{why}; `:find {address}` asks again")),
        (Ok(served), Some(_)) => {
            state.places = vec![Place::of(ViewId::Triage)];
            go(state, Place::of_key(served.spki_sha256));
            let fingerprint = &served.fingerprint_sha256;
            let short = fingerprint.get(..16).unwrap_or(fingerprint);
            state.say(
                Tone::Good,
                format!("read as an address: {address} serves {short}…; this is what its key reaches"),
            );
        }
        (Err(why), Some(mut following)) => {
            following.words = format!("an address ({why})");
            nothing(state, following, effects);
        }
    }
}
