//! Dialogs as they are when they open: which is open already, and what stands in their fields. Keys are heard
//! in `dialogs`.

use tui_textarea::{CursorMove, TextArea};

use crate::plan::plan::Plan;
use crate::state::State;
use crate::state::layer::{Layer, RunLayer};

/// Whether the dialog of `run` is open.
pub(super) fn is_open(state: &State, run: &str) -> bool {
    state
        .layers
        .iter()
        .any(|layer| matches!(layer, Layer::Run(layer) if layer.run == run))
}

/// The dialog of a run that was closed.
pub(super) fn reopen(state: &State, run: String) -> Layer {
    let plan = state.run(&run).and_then(|run| run.plan.as_deref());
    let fields = plan.map(fields).unwrap_or_default();
    Layer::Run(Box::new(RunLayer {
        fields,
        ..RunLayer::new(run)
    }))
}

/// The plan's fields, each with the cursor at its end.
pub(super) fn fields(plan: &Plan) -> Vec<TextArea<'static>> {
    plan.fields.iter().map(|known| field(&known.value)).collect()
}

/// A one-line field that holds `value`, with the cursor at its end.
pub(super) fn field(value: &str) -> TextArea<'static> {
    let mut area = TextArea::from([value.to_owned()]);
    area.move_cursor(CursorMove::End);
    area
}
