//! What is confirmed, by whom it was seen, and what never confirms.

use crate::hands::*;

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
    planned(&mut state, Tier::Contained);
    assert!(!executes(&tell(&mut state, Event::Key("y".to_owned()))));
    show(&mut state);
    assert!(executes(&tell(&mut state, Event::Key("y".to_owned()))));
}

#[test]
fn keys_that_come_too_early_are_counted_and_keep_the_dialog_no_longer_deaf() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    tell(&mut state, Event::Painted(7));
    tell(&mut state, Event::Key("y".to_owned()));
    tell(&mut state, Event::Key("y".to_owned()));
    let Some(Layer::Run(layer)) = state.layers.last() else {
        panic!("the dialog is open")
    };
    assert!(layer.complaint.as_ref().unwrap().starts_with("2 keys ignored"));
    tell(&mut state, Event::Painted(8));
    tell(&mut state, Event::Seen(7));
    assert!(executes(&tell(&mut state, Event::Key("y".to_owned()))));
}

#[test]
fn on_a_screen_too_small_to_show_it_nothing_is_started_or_confirmed() {
    let mut state = unsealed();
    tell(&mut state, Event::Resize(Size { width: 38, height: 9 }));
    assert!(press(&mut state, "r").is_empty());
    assert!(state.runs.is_empty());
    tell(
        &mut state,
        Event::Resize(Size {
            width: 80,
            height: 24,
        }),
    );
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    show(&mut state);
    tell(&mut state, Event::Resize(Size { width: 38, height: 9 }));
    assert!(!executes(&press(&mut state, "y")), "it can't be seen any more");
    tell(
        &mut state,
        Event::Resize(Size {
            width: 80,
            height: 24,
        }),
    );
    assert!(executes(&press(&mut state, "y")));
}

#[test]
fn the_target_is_frozen_when_the_key_is_pressed() {
    let mut state = unsealed();
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
fn a_plan_that_comes_after_its_run_was_cancelled_finds_no_other_run() {
    let mut state = unsealed();
    press(&mut state, "r");
    let late = plan_for(&state, Tier::Contained);
    press(&mut state, "esc");
    press(&mut state, "j X");
    assert_ne!(state.runs[0].id, "#1", "an id is never used again");
    tell(
        &mut state,
        Event::Planned("#1".to_owned(), Ok(Box::new(late.clone()))),
    );
    assert_eq!(state.runs[0].phase, Phase::Planning);
    let id = state.runs[0].id.clone();
    let plan = plan_for(&state, Tier::Contained);
    tell(&mut state, Event::Planned(id.clone(), Ok(Box::new(plan))));
    press(&mut state, "y");
    assert_eq!(state.runs[0].phase, Phase::Running);
    tell(&mut state, Event::Planned(id, Ok(Box::new(late))));
    assert_eq!(state.runs[0].phase, Phase::Running, "a second plan stops nothing");
}

#[test]
fn nothing_moves_behind_an_open_dialog_but_what_was_never_shown_is_filled() {
    let mut state = unsealed();
    press(&mut state, "1");
    let before = state.findings();
    press(&mut state, ":");
    let sealed = fixtures::sealed(0);
    tell(&mut state, Event::Link(Backend::Vault, sealed));
    assert_eq!(state.findings(), before, "no finding comes above the others now");
    let later = Timed {
        at: now() + chrono::Duration::hours(30),
        event: Event::Minute,
    };
    update(&mut state, later, &mut Vec::new());
    assert_eq!(state.shown_at(), now(), "ages and order are those of then");
    press(&mut state, "esc");
    assert_ne!(state.findings(), before);
    // A list that is still empty is filled, dialog or not.
    press(&mut state, "3 ?");
    let query = Query::Agents(Default::default());
    state.data.remove(&query);
    let effects = tell(&mut state, Event::Minute);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask { query: asked, .. } if *asked == query))
    );
}

/// A plan of `id` on all rows of the open list.
fn plan_on_all(state: &mut State, key: &str) -> Plan {
    let effects = press(state, &format!("ctrl-a {key}"));
    let planned = effects.into_iter().find_map(|effect| match effect {
        Effect::Plan { run, action, on, .. } => Some((run, action, on)),
        _ => None,
    });
    let (run, action, on) = planned.unwrap();
    let harm = cmp_console::actions::harm(cmp_console::actions::find(action).unwrap());
    let step = |target| PlannedStep {
        step: action.to_owned(),
        title: action.to_owned(),
        target,
        harm,
        hosts: vec![format!("host-{}", target % 14)],
        args: serde_json::json!({}),
        command: String::new(),
    };
    let plan = Plan {
        title: action.to_owned(),
        steps: (0..on.len()).map(step).collect(),
        targets: on,
        ..Plan::new(action, now())
    };
    tell(state, Event::Planned(run, Ok(Box::new(plan.clone()))));
    plan
}

#[test]
fn one_letter_never_replaces_every_key_of_a_platform() {
    let mut state = unsealed();
    let one = fixtures::certificates()[0].clone();
    let rows = (0..77).map(|n| cmp_console::domain::certificate::Certificate {
        id: format!("crt_9{n:03}"),
        ..one.clone()
    });
    let window = Window {
        total: 77,
        rows: rows.collect(),
    };
    fixtures::answer(
        &mut state,
        Query::Certificates(Default::default()),
        Answer::Certificates(window),
    );
    let plan = plan_on_all(&mut state, "r");
    assert_eq!(plan.targets.len(), 77);
    assert!(!executes(&press(&mut state, "y")));
    assert!(!executes(&press(&mut state, "backspace enter")));
    assert!(!executes(&press(&mut state, "7 7 p r enter")), "another context");
    assert!(
        executes(&press(&mut state, "d e m o enter")),
        "spaces don't count"
    );
}

#[test]
fn all_agents_are_woken_only_after_a_plan_and_a_few_at_once() {
    let mut state = unsealed();
    press(&mut state, "3");
    let one = fixtures::agents()[0].clone();
    let rows = (0..15).map(|n| cmp_console::domain::agent::Agent {
        id: format!("agt_9{n:03}"),
        ..one.clone()
    });
    let window = Window {
        total: 15,
        rows: rows.collect(),
    };
    fixtures::answer(
        &mut state,
        Query::Agents(Default::default()),
        Answer::Agents(window),
    );
    plan_on_all(&mut state, "c");
    assert!(!state.runs[0].is_running());
    assert!(drawn(&state).contains("15 agents"), "the dialog says how many");
    assert!(executes(&press(&mut state, "y")));

    let mut state = unsealed();
    press(&mut state, "3 c");
    assert!(state.layers.is_empty(), "one is woken without a question");
    assert!(executes(&planned(&mut state, Tier::Harmless)));
}

#[test]
fn a_protected_context_asks_for_its_name_and_even_a_harmless_thing_is_asked() {
    let protected = || {
        let mut state = unsealed();
        state.context.name = "prod-eu".to_owned();
        state.context.protected = true;
        state
    };
    let mut state = protected();
    press(&mut state, "3 c");
    assert!(!executes(&planned(&mut state, Tier::Harmless)));
    assert!(executes(&press(&mut state, "y")));

    let mut state = protected();
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    assert!(!executes(&press(&mut state, "y")));
    assert!(executes(&press(&mut state, "backspace 1 p r o d - e u enter")));

    let mut state = protected();
    press(&mut state, "X");
    planned(&mut state, Tier::Irreversible);
    assert!(!executes(&press(&mut state, "8 4 0 1 enter")));
    assert!(executes(&press(&mut state, "p r o d - e u enter")));
}

/// Keys, with those that could confirm something more often than the rest.
fn any_key() -> impl Strategy<Value = String> {
    let keys = "j k g G tab backtab enter enter enter esc / space s S y y y 1 2 3 4 5 6 7 @ ? : X X r r i c u ctrl-d ctrl-u ctrl-r backspace 8 4 0 1 left right";
    proptest::sample::select(keys.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever is pressed, nothing is carried out that was not planned, shown and confirmed by its
    /// tier's own rule with the key before; nothing panics, and every screen can be drawn.
    #[test]
    fn only_what_was_planned_and_confirmed_is_carried_out(keys in proptest::collection::vec(any_key(), 0..80)) {
        let mut state = unsealed();
        let mut shown: Option<Tier> = None;
        for key in keys {
            let typed = match state.layers.last() {
                Some(Layer::Run(layer)) => cmp_console::state::layer::line(&layer.typed),
                _ => String::new(),
            };
            show(&mut state);
            let effects = tell(&mut state, Event::Key(key.clone()));
            for effect in effects {
                match effect {
                    Effect::Execute { confirmed, .. } => {
                        let tier = confirmed.plan().tier();
                        prop_assert_eq!(Some(tier), shown);
                        let counted = format!("{}demo", confirmed.plan().targets.len());
                        match tier {
                            Tier::Harmless | Tier::Shares => {}
                            Tier::Contained => prop_assert_eq!(&key, "y"),
                            Tier::Backward | Tier::Irreversible => prop_assert!(key == "enter" && typed == "8401", "{} {}", key, typed),
                            Tier::Sweeping => prop_assert!(key == "enter" && typed == counted, "{} {}", key, typed),
                        }
                    }
                    Effect::Plan { run, action, on, .. } => {
                        let action = cmp_console::actions::find(action).unwrap();
                        let harm = cmp_console::actions::harm(action);
                        let step = |target| PlannedStep {
                            step: "revoke".to_owned(),
                            title: "revoke".to_owned(),
                            target,
                            harm,
                            hosts: vec!["web-01".to_owned()],
                            args: serde_json::json!({}),
                            command: String::new(),
                        };
                        let plan = Plan {
                            steps: (0..on.len()).map(step).collect(),
                            targets: on,
                            phrase: "8401".to_owned(),
                            ..Plan::new(action.spec().id, now())
                        };
                        shown = Some(plan.tier());
                        if harm == Harm::Shares {
                            continue;
                        }
                        tell(&mut state, Event::Planned(run, Ok(Box::new(plan))));
                    }
                    _ => {}
                }
            }
            for (width, height) in [(80, 24), (40, 10), (7, 3)] {
                let area = ratatui::layout::Rect::new(0, 0, width, height);
                let mut buffer = ratatui::buffer::Buffer::empty(area);
                cmp_console::views::draw(&state, area, &mut buffer);
            }
            let runs = state.layers.iter().filter(|layer| matches!(layer, Layer::Run(_))).count();
            prop_assert!(runs <= 1);
        }
    }
}

#[test]
fn a_plan_says_that_the_database_takes_no_changes() {
    let mut state = unsealed();
    press(&mut state, "X");
    let why = "the primary is set read-only";
    let link = fixtures::link(LinkState::Degraded, Some(why));
    tell(&mut state, Event::Link(Backend::Database, link));
    planned(&mut state, Tier::Irreversible);
    let drawn = drawn(&state);
    let way = drawn.find("in the way").expect("the part of the plan");
    let said = &drawn[way..];
    assert!(said.contains(why) && !said.contains("Nothing known."), "{drawn}");
}

#[test]
fn a_plan_says_that_it_is_not_of_what_is_typed_until_it_is_made_anew() {
    let mut state = unsealed();
    press(&mut state, "i");
    let mut plan = plan_for(&state, Tier::Contained);
    plan.fields.push(Field {
        name: "path".to_owned(),
        label: "Path".to_owned(),
        value: "/etc/a".to_owned(),
        options: Vec::new(),
    });
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    show(&mut state);
    let says = "This plan is for path /etc/a; enter makes it anew for what is typed.";
    assert!(drawn(&state).contains("press y"));
    press(&mut state, "tab x");
    let screen = drawn(&state);
    assert!(screen.contains(says) && !screen.contains("press y"), "{screen}");

    press(&mut state, "backspace");
    assert!(!drawn(&state).contains(says));
    press(&mut state, "y");
    let effects = press(&mut state, "enter");
    let again =
        |effect: &Effect| matches!(effect, Effect::Plan { inputs, .. } if inputs["path"] == "/etc/ay");
    assert!(effects.iter().any(again), "{effects:?}");
}
