//! Events told to a state without a backend, and what comes of them.

use cmp_console::console::update::update;
use cmp_console::problem::Problem;
use cmp_console::state::State;
use cmp_console::state::effect::Effect;
use cmp_console::state::event::{Event, Timed};
use cmp_console::state::query::{Answer, Query};

use crate::fixtures::now;

/// Tells the state of an event.
pub(crate) fn tell(state: &mut State, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    update(state, Timed { at: now(), event }, &mut effects);
    effects
}

/// Tells the state how its last question of this sort was answered.
pub(crate) fn reply(state: &mut State, query: Query, result: Result<Answer, Problem>) -> Vec<Effect> {
    let asked = state.data[&query].asked;
    let from = None;
    tell(
        state,
        Event::Answer {
            query,
            asked,
            from,
            result,
        },
    )
}

/// The keys by which a text is typed, as `press` takes them.
pub(crate) fn typing(text: &str) -> String {
    let keys = text.chars().map(|c| match c {
        ' ' => "space".to_owned(),
        c => c.to_string(),
    });
    keys.collect::<Vec<_>>().join(" ")
}

/// The bottom line's last words.
pub(crate) fn said(state: &State) -> &str {
    state.toast.as_ref().map_or("", |toast| toast.text.as_str())
}

/// The file that these effects write.
pub(crate) fn written(effects: &[Effect]) -> Option<(&str, String)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Export(export) => {
            let all = export.files.iter().map(|(_, content)| content.as_str());
            Some((export.files[0].0.as_str(), all.collect()))
        }
        _ => None,
    })
}
