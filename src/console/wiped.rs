//! Key material that came to stand in an open field, letter by letter: it is wiped at once, and said. While it is
//! typed, what may yet become a fingerprint is left alone; nothing is done with a field before it was judged
//! whole.

use tui_textarea::TextArea;
use zeroize::Zeroizing;

use super::dialogs::complain;
use super::layers::field;
use crate::domain::key_material::{Material, material_in, material_so_far};
use crate::state::State;
use crate::state::cmd::InDialog;
use crate::state::layer::{Layer, RunLayer, line};
use crate::state::run::Phase;

/// Said wherever something was dropped for what it may be, and why a clue may be among it.
pub(super) const MAY_BE: &str = "may be a private key, a share or a token, or a piece of one. A clue is a serial, a SHA-1 or SHA-256 (in base64 with `sha256/` before it or its `=` behind it), or a certificate from its BEGIN on; behind a word such as key or secret a hash may be a key";

/// Said wherever something was dropped that reads as nothing that is known.
pub(super) const UNREAD: &str = "may hold a secret, and is neither shown nor kept. What can be pasted is what people look for: words, names, hosts, addresses, paths, times, ids, a serial, a SHA-1 or SHA-256 (in base64 with `sha256/` before it or its `=` behind it), or a certificate, request or public key from its BEGIN on";

/// Words for something that was dropped for this.
pub(super) fn why(material: &Material) -> &'static str {
    match material {
        Material::Unread => UNREAD,
        Material::PrivateKey(_) | Material::Piece => MAY_BE,
    }
}

/// The key material that the open field has come to hold is gone.
pub(super) fn as_it_grows(state: &mut State) {
    wipe(state, material_so_far);
}

/// Look at a field before a key takes what is in it, or leaves it; true if the key is to do nothing now.
pub(super) fn before(state: &mut State, key: &str) -> bool {
    let takes = matches!(
        state.keymap.in_dialog(key),
        Some(
            InDialog::Confirm
                | InDialog::NextField
                | InDialog::PreviousField
                | InDialog::Next
                | InDialog::Previous
        )
    );
    takes && wipe(state, material_in)
}

/// Drops the letters of a paste that got into the field before it was known for one.
pub(super) fn with_paste(state: &mut State) {
    if let Some(area) = open_field_mut(state) {
        clear(area);
    }
}

/// Text of the open field.
pub(super) fn open_field(state: &State) -> Option<String> {
    match state.layers.last()? {
        Layer::Filter(layer) => Some(line(&layer.typed)),
        Layer::CommandLine(layer) => Some(line(&layer.typed)),
        Layer::Run(layer) => typed_into(state, layer).map(|at| line(area(layer, at))),
        Layer::Help { .. } | Layer::Menu(_) | Layer::NoFilter => None,
    }
}

fn wipe(state: &mut State, judge: impl Fn(&str) -> Option<Material>) -> bool {
    let text = open_field(state).map(Zeroizing::new);
    let Some(material) = text.as_ref().and_then(|text| judge(text)) else {
        return false;
    };
    let n = text.map_or(0, |text| text.chars().count());
    if let Some(area) = open_field_mut(state) {
        clear(area);
    }
    state.wiped += 1;
    let words = match &material {
        Material::Unread => format!("{n} characters were typed and wiped: that {UNREAD}"),
        material => format!("what was typed was wiped: it {}", why(material)),
    };
    complain(state, words);
    true
}

/// The command stays where only its argument was wrong; nothing can be taken back.
fn clear(area: &mut TextArea<'static>) {
    let begun = if line(area).starts_with("find ") {
        "find "
    } else {
        ""
    };
    *area = field(begun);
}

fn open_field_mut(state: &mut State) -> Option<&mut TextArea<'static>> {
    let at = match state.layers.last()? {
        Layer::Run(layer) => typed_into(state, layer)?,
        _ => 0,
    };
    match state.layers.last_mut()? {
        Layer::Filter(layer) => Some(&mut layer.typed),
        Layer::CommandLine(layer) => Some(&mut layer.typed),
        Layer::Run(layer) => {
            let n = layer.fields.len();
            match at {
                at if at < n => layer.fields.get_mut(at),
                at if at == n => Some(&mut layer.comment),
                _ => Some(&mut layer.ticket),
            }
        }
        Layer::Help { .. } | Layer::Menu(_) | Layer::NoFilter => None,
    }
}

/// The field of a plan that is typed into, counted with the reason and the ticket at the end; nothing while
/// something is chosen or confirmed, or the field says what the plan was made with.
fn typed_into(state: &State, layer: &RunLayer) -> Option<usize> {
    let run = state.run(&layer.run).filter(|run| run.phase == Phase::Planned)?;
    let plan = run.plan.as_ref()?;
    let at = layer.focus.checked_sub(1)?;
    let is_as_planned = plan.fields.get(at).is_some_and(|planned| {
        !planned.options.is_empty()
            || layer
                .fields
                .get(at)
                .is_some_and(|area| line(area) == planned.value)
    });
    (!is_as_planned).then_some(at)
}

fn area(layer: &RunLayer, at: usize) -> &TextArea<'static> {
    let n = layer.fields.len();
    match layer.fields.get(at) {
        Some(area) => area,
        None if at == n => &layer.comment,
        None => &layer.ticket,
    }
}
