//! The beginning of a run: by a key on what is selected, or once more on what a run did not prove.

use crate::actions::{self, Action, Availability};
use crate::plan::plan::{Inputs, LeftOut, Target};
use crate::plan::tier::{Ask, Harm, Reach};
use crate::state::effect::Effect;
use crate::state::layer::{Layer, RunLayer};
use crate::state::{State, Tone};

/// Begins a run of `action` on `on`: its plan is asked for, and its dialog opened unless there is nothing to ask.
/// Gives the console's name for it.
pub(super) fn begin(
    state: &mut State,
    action: &'static dyn Action,
    on: Vec<Target>,
    inputs: Inputs,
    left_out: Vec<LeftOut>,
    effects: &mut Vec<Effect>,
) -> String {
    let id = action.spec().id;
    let reach = Reach::before_planning(actions::harm(action), on.len());
    let asks = reach.asks(state.context.for_plans(), "");
    let run = state.begin_run(id, on.clone());
    let is_whole = left_out.is_empty();
    if let Some(run) = state.run_mut(&run) {
        run.inputs.clone_from(&inputs);
        run.left_out = left_out;
    }
    // A run that asks nothing and shows no plan has its result in the footer.
    if asks != Ask::Nothing || reach.harm > Harm::None || !is_whole {
        let layer = RunLayer::new(run.clone());
        state.layers.push(Layer::Run(Box::new(layer)));
    } else {
        state.say(Tone::Plain, format!("{}: under way", action.spec().title));
    }
    effects.push(Effect::Plan {
        run: run.clone(),
        action: id,
        on,
        inputs,
    });
    run
}

/// Begins the next step for what the run called `id` did not prove, mostly the same once more; by a plan of its own.
pub(super) fn retry(state: &mut State, id: &str, effects: &mut Vec<Effect>) {
    let Some(run) = state.run(id) else { return };
    let Some((next, on)) = run.next_step() else { return };
    let inputs = match next == run.action {
        true => run.inputs.clone(),
        false => Inputs::new(),
    };
    let Some(action) = actions::find(next) else {
        return;
    };
    if let Availability::Disabled(why) = state.availability_on(action, &on) {
        return state.say(Tone::Bad, format!("{}: {why}", action.spec().title));
    }
    begin(state, action, on, inputs, Vec::new(), effects);
}
