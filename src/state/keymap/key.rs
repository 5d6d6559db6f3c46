//! What is a key, what a terminal never sends, and which keys certain commands must not have. It knows no
//! command by name.

use crate::actions;
use crate::plan::tier::Harm;
use crate::state::cmd::{Cmd, InDialog};

/// The keys that are not characters.
pub(super) const NAMED: &[&str] = &[
    "space",
    "enter",
    "esc",
    "tab",
    "backtab",
    "backspace",
    "delete",
    "up",
    "down",
    "left",
    "right",
    "home",
    "end",
    "pageup",
    "pagedown",
];
/// A split escape sequence ends in one of these.
const ENDS_OF_SEQUENCES: &str = "[]ABCDFHOPQRS~";
/// A plan is answered by these, whatever opened it: the first can't be set otherwise.
const ANSWERS: [&str; 3] = ["y", "enter", "esc"];

/// The one character that `text` is.
fn one(text: &str) -> Option<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if !c.is_whitespace() && !c.is_control() => Some(c),
        _ => None,
    }
}

/// Whether a terminal sends a key that is called so.
pub(super) fn is_key(key: &str) -> bool {
    let ctrl = key.strip_prefix("ctrl-").and_then(one);
    // Of the others no terminal tells that ctrl was held.
    let sent = ctrl.is_some_and(|c| matches!(c, 'a'..='z' | '4'..='7'));
    NAMED.contains(&key) || one(key).is_some() || sent && instead(key).is_none()
}

/// What a terminal sends where somebody presses `key`, if that is another one.
pub(super) fn instead(key: &str) -> Option<String> {
    match key.strip_prefix("ctrl-").and_then(one)? {
        'i' | 'I' => Some("tab".to_owned()),
        'm' | 'M' => Some("enter".to_owned()),
        '[' => Some("esc".to_owned()),
        c if c.is_ascii_uppercase() => Some(format!("ctrl-{}", c.to_ascii_lowercase())),
        _ => None,
    }
}

/// Whether `key` answers a plan, so that no action may be started by it.
pub(super) fn answers(cmd: Cmd, key: &str) -> bool {
    matches!(cmd, Cmd::Start(_)) && ANSWERS.contains(&key)
}

/// True if the end of a split escape sequence could press `key` for an action that can't be undone.
pub(super) fn is_unsafe(cmd: Cmd, key: &str) -> bool {
    let Cmd::Start(id) = cmd else { return false };
    actions::find(id).is_some_and(|action| actions::harm(action) >= Harm::Shares)
        && ENDS_OF_SEQUENCES.contains(key)
}

/// Whether `key` belongs to a dialog's fields, where every character is typed.
pub(super) fn is_typed(cmd: Cmd, key: &str) -> bool {
    let Cmd::Dialog(is) = cmd else { return false };
    // Heard only where a run is over and nothing is typed.
    if is == InDialog::Retry {
        return false;
    }
    let edits = match key {
        "space" | "backspace" | "delete" | "home" | "end" => true,
        // A field with choices has no text to move in.
        "left" | "right" => !matches!(is, InDialog::NextChoice | InDialog::PreviousChoice),
        _ => false,
    };
    edits || one(key).is_some()
}
