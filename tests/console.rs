//! The console's rules, driven by keys through the real `update` without a backend: what is confirmed,
//! what is frozen, what is dropped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/fixtures.rs"]
mod fixtures;

use cmp_console::console::update::{update, wants_secret};
use cmp_console::domain::id::EntityKind;
use cmp_console::plan::executor::RunEvent;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::{Plan, PlannedStep};
use cmp_console::plan::tier::Tier;
use cmp_console::state::State;
use cmp_console::state::effect::Effect;
use cmp_console::state::event::{Event, Timed};
use cmp_console::state::layer::Layer;
use cmp_console::state::query::{Answer, Query, Window};
use cmp_console::state::run::Phase;
use fixtures::{night, now};
use proptest::prelude::*;

fn tell(state: &mut State, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    update(state, Timed { at: now(), event }, &mut effects);
    effects
}

/// Presses keys; a dialog is painted before each, as on a real screen.
fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.split(' ') {
        effects.extend(tell(state, Event::Painted));
        effects.extend(tell(state, Event::Key(key.to_owned())));
    }
    effects
}

fn unsealed() -> State {
    let mut state = night(120, 40);
    state.links.insert(cmp_console::domain::link::Backend::Vault, {
        let mut link = fixtures::sealed(3);
        link.state = cmp_console::domain::link::LinkState::Up;
        link
    });
    press(&mut state, "2");
    state
}

fn plan_for(state: &State, tier: Tier) -> Plan {
    let run = &state.runs[0];
    Plan {
        run_id: "run_1".to_owned(),
        action: run.action.to_owned(),
        title: "Revoke".to_owned(),
        targets: run.on.clone(),
        tier,
        phrase: "8401".to_owned(),
        phrase_is: "the last four of the serial".to_owned(),
        fields: Vec::new(),
        changes: Vec::new(),
        breaks: Vec::new(),
        steps: vec![PlannedStep {
            step: "revoke".to_owned(),
            title: "revoke".to_owned(),
            target: 0,
            args: serde_json::json!({}),
            command: String::new(),
        }],
        works_without_api: false,
        made_at: now(),
    }
}

fn planned(state: &mut State, tier: Tier) -> Vec<Effect> {
    let plan = plan_for(state, tier);
    tell(state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))))
}

fn executes(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Execute { .. }))
}

#[test]
fn a_revocation_wants_its_phrase_and_never_a_bare_enter() {
    let mut state = unsealed();
    let effects = press(&mut state, "X");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Plan { action: "revoke", .. }))
    );
    planned(&mut state, Tier::Irreversible);
    assert!(!executes(&press(&mut state, "enter")));
    assert!(!executes(&press(&mut state, "y")));
    assert!(!executes(&press(&mut state, "X enter")));
    press(&mut state, "backspace backspace");
    assert!(!executes(&press(&mut state, "8 4 0 enter")));
    assert!(executes(&press(&mut state, "1 enter")));
    assert_eq!(state.runs[0].phase, Phase::Running);
}

#[test]
fn keys_typed_before_the_dialog_was_painted_do_not_count() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
    assert!(!executes(&tell(&mut state, Event::Key("y".to_owned()))));
    tell(&mut state, Event::Painted);
    assert!(executes(&tell(&mut state, Event::Key("y".to_owned()))));
}

#[test]
fn the_target_is_frozen_when_the_key_is_pressed() {
    let mut state = unsealed();
    press(&mut state, "j");
    press(&mut state, "X");
    let before = state.runs[0].on.clone();
    assert_eq!(before[0].id, "crt_0002");
    let mut rows = fixtures::certificates();
    rows.reverse();
    let query = Query::Certificates(Default::default());
    fixtures::answer(&mut state, query, Answer::Certificates(Window { total: 5, rows }));
    planned(&mut state, Tier::Irreversible);
    assert_eq!(state.runs[0].on, before);
}

#[test]
fn marks_are_acted_on_together_and_escape_takes_one_thing_back_at_a_time() {
    let mut state = unsealed();
    press(&mut state, "space space");
    press(&mut state, "X");
    assert_eq!(state.runs[0].on.len(), 2);
    press(&mut state, "esc");
    assert!(state.layers.is_empty() && state.runs.is_empty());
    press(&mut state, "esc");
    assert!(state.screen().marks.is_empty());
    assert_eq!(state.places.len(), 2);
    press(&mut state, "esc");
    assert_eq!(state.places.len(), 1);
}

#[test]
fn a_disabled_action_says_why_and_starts_nothing() {
    let mut state = night(120, 40);
    press(&mut state, "2");
    let effects = press(&mut state, "X");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })));
    assert!(
        state
            .toast
            .as_ref()
            .is_some_and(|toast| toast.text.contains("Vault is sealed"))
    );
    state.context.read_only = true;
    for key in ["X", "r", "i", "c", "u"] {
        let effects = press(&mut state, key);
        assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })),
            "{key}"
        );
        assert!(
            state
                .toast
                .as_ref()
                .is_some_and(|toast| toast.text.contains("read-only")),
            "{key}"
        );
    }
}

#[test]
fn a_run_goes_on_when_its_dialog_is_closed_and_its_end_is_told() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
    press(&mut state, "y");
    press(&mut state, "esc");
    assert!(state.layers.is_empty());
    let ended = RunEvent::Ended(Outcome::Proven("web-01 serves it".to_owned()));
    tell(&mut state, Event::Run("#1".to_owned(), ended));
    assert!(
        state
            .toast
            .is_some_and(|toast| toast.text.contains("web-01 serves it"))
    );
}

#[test]
fn a_paste_outside_a_field_does_nothing() {
    let mut state = unsealed();
    let effects = tell(&mut state, Event::Paste("X\ny\nq".to_owned()));
    assert!(state.runs.is_empty() && !state.quit);
    assert!(!executes(&effects));
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
    tell(&mut state, Event::Painted);
    assert!(!executes(&tell(&mut state, Event::Paste("y\n".to_owned()))));
}

#[test]
fn unsealing_takes_characters_as_a_secret_only_while_a_share_is_wanted() {
    let mut state = night(120, 40);
    press(&mut state, "u");
    let mut plan = plan_for(&state, Tier::Irreversible);
    assert_eq!(plan.targets[0].kind, EntityKind::Vault);
    plan.phrase = "unseal".to_owned();
    plan.steps[0].step = "enter_shares".to_owned();
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    assert!(!wants_secret(&state));
    assert!(executes(&press(&mut state, "u n s e a l enter")));
    tell(&mut state, Event::Run("#1".to_owned(), RunEvent::StepStarted(0)));
    tell(&mut state, Event::Painted);
    assert!(wants_secret(&state));
    let effects = press(&mut state, "enter");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::SubmitSecret(run) if run == "#1"))
    );
    let effects = press(&mut state, "esc");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::StopSecret(run) if run == "#1"))
    );
    tell(
        &mut state,
        Event::Run(
            "#1".to_owned(),
            RunEvent::StepEnded(0, Outcome::Proven("open".to_owned())),
        ),
    );
    assert!(!wants_secret(&state));
}

#[test]
fn an_answer_to_an_older_question_is_dropped() {
    let mut state = night(120, 40);
    let query = Query::OpenRequests;
    state.data.get_mut(&query).unwrap().asked = 5;
    let old = Answer::Requests(Window {
        total: 0,
        rows: Vec::new(),
    });
    tell(
        &mut state,
        Event::Answer {
            query: query.clone(),
            asked: 4,
            result: Ok(old),
        },
    );
    assert!(matches!(state.answer(&query), Some(Answer::Requests(window)) if window.rows.len() == 2));
}

fn any_key() -> impl Strategy<Value = String> {
    let keys = "j k g G tab backtab enter esc / space s S y 1 2 3 4 5 6 @ ? X r i c u ctrl-d ctrl-u ctrl-r backspace a 8 left right";
    proptest::sample::select(keys.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is pressed without a plan having been made, nothing is carried out, nothing panics, and
    /// every screen can be drawn.
    #[test]
    fn no_keys_carry_out_what_was_not_planned(keys in proptest::collection::vec(any_key(), 0..60), plans in any::<bool>()) {
        let mut state = unsealed();
        for key in keys {
            tell(&mut state, Event::Painted);
            let effects = tell(&mut state, Event::Key(key));
            for effect in effects {
                match effect {
                    Effect::Execute { .. } => prop_assert!(plans),
                    Effect::Plan { run, .. } if plans => {
                        let failed = cmp_console::problem::Problem::refused("not now");
                        tell(&mut state, Event::Planned(run, Err(failed)));
                    }
                    _ => {}
                }
            }
            let area = ratatui::layout::Rect::new(0, 0, 80, 24);
            let mut buffer = ratatui::buffer::Buffer::empty(area);
            cmp_console::views::draw(&state, area, &mut buffer);
            let secrets = state.layers.iter().filter(|layer| matches!(layer, Layer::Run(_))).count();
            prop_assert!(secrets <= 1);
        }
    }
}
