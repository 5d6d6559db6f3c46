//! Exports: rows that match and aren't loaded are read first, since a file is taken for the whole.

use super::lists::MOST;
use crate::problem::Problem;
use crate::state::effect::{Effect, ToExport};
use crate::state::query::{Answer, Query};
use crate::state::typed::Format;
use crate::state::{State, Tone};
use crate::views;

/// Begins an export of the open screen.
pub(super) fn begin(state: &mut State, format: Format, effects: &mut Vec<Effect>) {
    let is_whole = matches!(format, Format::Text | Format::Timeline);
    let lists = match is_whole || state.frozen.is_some() {
        true => Vec::new(),
        false => unread(state),
    };
    if lists.is_empty() {
        return effects.push(Effect::Export(views::export::export(state, format)));
    }
    state.say(Tone::Plain, "reading the rows that aren't loaded…");
    effects.push(Effect::ReadForExport(Box::new(ToExport {
        format,
        place: state.place(),
        list: state.screen().list,
        lists,
    })));
}

/// Lists of the open screen of which rows are missing, with the number that is wanted of each.
fn unread(state: &State) -> Vec<(Query, u32)> {
    let cut = views::export::cut_lists(state).into_iter();
    cut.map(|(query, _, total)| (query, u32::try_from(total).unwrap_or(MOST).min(MOST)))
        // More may be asked for already, and not be there yet.
        .filter(|(query, wanted)| {
            let loaded = state.data.get(query);
            loaded.is_none_or(|it| it.rows < *wanted || it.waiting || it.dirty)
        })
        .collect()
}

/// Exports the screen with the rows that were read; where there are none, with those that were there.
pub(super) fn with_rows(
    state: &mut State,
    wanted: &ToExport,
    read: Vec<(Query, Result<Answer, Problem>)>,
    effects: &mut Vec<Effect>,
) {
    let mut whole = state.clone();
    whole.places.push(wanted.place.clone());
    whole.screen_mut().list = wanted.list.clone();
    let mut missing = None;
    for (query, answer) in read {
        match answer {
            Ok(answer) => {
                let loaded = whole.data.entry(query).or_default();
                loaded.value = Some(answer);
                loaded.as_of = Some(state.now);
            }
            Err(problem) => missing = Some(problem),
        }
    }
    let mut export = views::export::export(&whole, wanted.format);
    if let Some(problem) = missing {
        export.cut = format!("{}, the others can't be read: {problem}", export.cut);
    }
    effects.push(Effect::Export(export));
}
