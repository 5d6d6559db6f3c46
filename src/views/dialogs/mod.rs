//! Dialogs above the screen: help, the command line, a list's filter, and a run from its plan to its proof.

mod command_line;
mod filter;
mod fold;
mod grammar;
mod help;
mod menu;
mod no_filter;
mod plan;
mod result;
mod run;
mod sheet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub use sheet::Scrolling;

use crate::state::State;
use crate::state::layer::{Layer, RunLayer};

/// Draws one dialog.
pub(super) fn draw(state: &State, layer: &Layer, area: Rect, buffer: &mut Buffer) {
    if area.width < crate::state::SMALLEST.width || area.height < crate::state::SMALLEST.height {
        return;
    }
    match layer {
        Layer::Help { scroll } => help::draw(state, *scroll, area, buffer),
        Layer::Filter(text) => filter::draw(state, text, area, buffer),
        Layer::NoFilter => no_filter::draw(state, area, buffer),
        Layer::CommandLine(layer) => command_line::draw(state, layer, area, buffer),
        Layer::Menu(menu) => menu::draw(state, menu, area, buffer),
        Layer::Run(layer) => run::draw(state, layer, area, buffer),
    }
}

/// The last line that help can be scrolled to on the state's screen.
#[must_use]
pub fn last_scroll_of_help(state: &State) -> u16 {
    help::last_scroll(state)
}

/// Bounds for scrolling the dialog of a run on the state's screen.
#[must_use]
pub fn scrolling(state: &State, layer: &RunLayer) -> Scrolling {
    let area = Rect::new(0, 0, state.size.width, state.size.height);
    run::scrolling(state, layer, area)
}
