//! How a console is left: for good, or to go on in another context. What is under way comes to its end first,
//! unless somebody insists.

use crate::state::cmd::Cmd;
use crate::state::screen::ViewId;
use crate::state::{State, Tone};

/// Ends the console; what is under way is not broken off by one key.
pub(super) fn quit(state: &mut State, by: &str, leaving: bool) {
    match under_way(state) {
        Some(runs) if !leaving => {
            state.leaving = true;
            state.say(
                Tone::Bad,
                format!(
                    "{runs} under way ({} shows it); {by} again breaks it off and quits",
                    state.keymap.call(Cmd::Show(ViewId::Runs))
                ),
            );
        }
        _ => state.quit = true,
    }
}

/// `a run is`, `3 runs are`; nothing if none is under way.
fn under_way(state: &State) -> Option<String> {
    match state.runs.iter().filter(|run| run.is_running()).count() {
        0 => None,
        1 => Some("a run is".to_owned()),
        n => Some(format!("{n} runs are")),
    }
}

/// Goes on in another context, once nothing is under way in this one.
pub(super) fn switch(state: &mut State, name: String) {
    if !state.contexts.iter().any(|context| context.name == name) {
        let known: Vec<&str> = state.contexts.iter().map(|it| it.name.as_str()).collect();
        let known = match known.as_slice() {
            [] => "none".to_owned(),
            known => known.join(", "),
        };
        return state.say(
            Tone::Bad,
            format!("no context is called `{name}`; there are: {known}"),
        );
    }
    if let Some(runs) = under_way(state) {
        let shows = state.keymap.call(Cmd::Show(ViewId::Runs));
        return state.say(
            Tone::Bad,
            format!("{runs} under way ({shows} shows it): its end comes first"),
        );
    }
    state.quit = true;
    state.next_context = Some(name);
}
