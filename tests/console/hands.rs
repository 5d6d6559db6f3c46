//! Keys pressed and events told to a state, and a run's way to its plan. What all of these tests name is here.

pub(crate) use crate::fixtures;
pub(crate) use crate::fixtures::{night, now};
pub(crate) use crate::keys::{reply, said, tell, typing, written};
pub(crate) use cmp_console::console::update::{update, wants_secret};
pub(crate) use cmp_console::domain::id::EntityKind;
pub(crate) use cmp_console::domain::link::{Backend, LinkState};
pub(crate) use cmp_console::domain::plain::is_hidden;
pub(crate) use cmp_console::plan::executor::RunEvent;
pub(crate) use cmp_console::plan::guard::Guard;
pub(crate) use cmp_console::plan::outcome::Outcome;
pub(crate) use cmp_console::plan::plan::{Field, Plan, PlannedStep};
pub(crate) use cmp_console::plan::tier::{Harm, Tier};
pub(crate) use cmp_console::state::effect::Effect;
pub(crate) use cmp_console::state::event::{Event, ServedThere, Timed};
pub(crate) use cmp_console::state::layer::{Chosen, Layer, Menu, MenuItem};
pub(crate) use cmp_console::state::query::{Answer, ListQuery, Query, Window};
pub(crate) use cmp_console::state::run::Phase;
pub(crate) use cmp_console::state::screen::{Place, ViewId};
pub(crate) use cmp_console::state::{LoggedCommand, Size, State};
pub(crate) use proptest::prelude::*;

/// What the state shows is on the person's screen.
pub(crate) fn show(state: &mut State) {
    tell(state, Event::Painted(1));
    tell(state, Event::Seen(1));
}

/// Presses keys; a dialog is painted before each, as on a real screen.
pub(crate) fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.split(' ') {
        show(state);
        effects.extend(tell(state, Event::Key(key.to_owned())));
    }
    effects
}

pub(crate) fn unsealed() -> State {
    let mut state = night(120, 40);
    state.links.insert(Backend::Vault, {
        let mut link = fixtures::sealed(3);
        link.state = LinkState::Up;
        link
    });
    // The first row has expired, so that it can't be revoked any more.
    press(&mut state, "2 j");
    tell(&mut state, Event::Rested);
    state
}

/// The harm of a step that makes a plan on few things be of this tier.
pub(crate) fn harm_of(tier: Tier) -> Harm {
    match tier {
        Tier::Harmless => Harm::None,
        Tier::Shares => Harm::Shares,
        Tier::Contained => Harm::Changes,
        Tier::Backward => Harm::Backward,
        Tier::Irreversible | Tier::Sweeping => Harm::Final,
    }
}

/// The plan of the first run, with a step for each of its things.
pub(crate) fn plan_for(state: &State, tier: Tier) -> Plan {
    let run = &state.runs[0];
    let step = |target| PlannedStep {
        step: "revoke".to_owned(),
        title: "revoke".to_owned(),
        target,
        harm: harm_of(tier),
        hosts: vec!["web-01".to_owned()],
        args: serde_json::json!({}),
        command: String::new(),
    };
    Plan {
        title: "Revoke".to_owned(),
        targets: run.on.clone(),
        phrase: "8401".to_owned(),
        phrase_is: "the last four of the serial".to_owned(),
        steps: (0..run.on.len()).map(step).collect(),
        ..Plan::new(run.action, now())
    }
}

pub(crate) fn planned(state: &mut State, tier: Tier) -> Vec<Effect> {
    let plan = plan_for(state, tier);
    tell(state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))))
}

pub(crate) fn executes(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Execute { .. }))
}

pub(crate) fn run_line(state: &mut State, line: &str) {
    press(state, ":");
    tell(state, Event::Paste(line.to_owned()));
    press(state, "enter");
}

pub(crate) fn drawn(state: &State) -> String {
    let area = ratatui::layout::Rect::new(0, 0, 120, 40);
    let mut buffer = ratatui::buffer::Buffer::empty(area);
    cmp_console::views::draw(state, area, &mut buffer);
    buffer
        .content()
        .iter()
        .map(ratatui::buffer::Cell::symbol)
        .collect()
}
