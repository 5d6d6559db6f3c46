//! The dialog of a run, from its plan to its proof.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::sheet::{self, Scrolling, Sheet};
use super::{plan, result};
use crate::state::State;
use crate::state::cmd::InDialog;
use crate::state::layer::RunLayer;
use crate::state::run::{Phase, Run};
use crate::views::palette;
use crate::widgets::theme::Meaning;

/// Draws it.
pub(super) fn draw(state: &State, layer: &RunLayer, area: Rect, buffer: &mut Buffer) {
    let Some(run) = state.run(&layer.run) else { return };
    let (note, meaning) = match (&run.phase, &run.plan) {
        (Phase::Planning, _) => ("making the plan".to_owned(), Meaning::Dim),
        (Phase::Planned, Some(plan)) => (plan::reach(plan), Meaning::Plain),
        _ => result::state_of(run),
    };
    let title = run.title();
    let title = (title.as_str(), note.as_str(), meaning);
    let sheet = sheet_of(state, run, layer, area);
    sheet::draw(
        buffer,
        area,
        palette(state),
        title,
        sheet,
        usize::from(layer.scroll),
    );
}

/// Bounds for scrolling the dialog on a screen of this size.
pub(super) fn scrolling(state: &State, layer: &RunLayer, area: Rect) -> Scrolling {
    let run = state.run(&layer.run);
    run.map_or_else(Scrolling::default, |run| {
        sheet::scrolling(sheet_of(state, run, layer, area), area)
    })
}

fn sheet_of<'a>(state: &State, run: &'a Run, layer: &'a RunLayer, area: Rect) -> Sheet<'a> {
    let width = sheet::text_width(area);
    let mut sheet = match (&run.phase, &run.plan) {
        (Phase::Planned, Some(plan)) => plan::sheet(state, run, plan, layer, width),
        (Phase::Planning, _) => Sheet {
            above: vec![Sheet::thing("reading what it would do…", width, Meaning::Dim)],
            foot: state.keymap.hints(&[(InDialog::Close, "cancels")]),
            ..Sheet::default()
        },
        _ => result::sheet(state, run, layer, width),
    };
    if let Some(complaint) = &layer.complaint {
        Sheet::add(&mut sheet.below, complaint, width, Meaning::Bad);
    }
    sheet
}
