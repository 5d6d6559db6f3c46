//! What is typed and pasted: into fields, as a secret, and into nothing.

use crate::hands::*;

#[test]
fn a_paste_outside_a_field_does_nothing() {
    let mut state = unsealed();
    let effects = tell(&mut state, Event::Paste("X\ny\nq".to_owned()));
    assert!(state.runs.is_empty() && !state.quit);
    assert!(!executes(&effects));
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    show(&mut state);
    assert!(!executes(&tell(&mut state, Event::Paste("y\n".to_owned()))));
}

#[test]
fn unsealing_takes_characters_as_a_secret_only_while_a_share_is_wanted() {
    let mut state = night(120, 40);
    press(&mut state, "u");
    let mut plan = plan_for(&state, Tier::Shares);
    assert_eq!(plan.targets[0].kind, EntityKind::Vault);
    plan.steps[0].step = "enter_shares".to_owned();
    let effects = tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    assert!(executes(&effects), "nothing but shares is typed");
    assert!(!wants_secret(&state), "nobody has seen the prompt");
    tell(&mut state, Event::Run("#1".to_owned(), RunEvent::StepStarted(0)));
    show(&mut state);
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
fn what_is_typed_when_the_last_share_was_another_ones_is_no_command() {
    let mut state = night(120, 40);
    press(&mut state, "u");
    let mut plan = plan_for(&state, Tier::Shares);
    plan.steps[0].step = "enter_shares".to_owned();
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    tell(&mut state, Event::Run("#1".to_owned(), RunEvent::StepStarted(0)));
    let ended = Outcome::Proven("unsealed".to_owned());
    tell(
        &mut state,
        Event::Run("#1".to_owned(), RunEvent::StepEnded(0, ended.clone())),
    );
    tell(&mut state, Event::Run("#1".to_owned(), RunEvent::Ended(ended)));
    press(&mut state, "f q 2 / S E C R E T enter ? c");
    assert!(
        matches!(state.layers.as_slice(), [Layer::Run(_)]),
        "the dialog stays and nothing else opened"
    );
    assert_eq!(state.runs.len(), 1);
    press(&mut state, "esc");
    assert!(state.layers.is_empty());
}

#[test]
fn a_demos_shares_are_taken_one_after_the_other_and_begin_anew_with_the_attempt() {
    let mut state = night(120, 40);
    press(&mut state, "u");
    let mut plan = plan_for(&state, Tier::Shares);
    plan.steps[0].step = "enter_shares".to_owned();
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    tell(&mut state, Event::Run("#1".to_owned(), RunEvent::StepStarted(0)));
    show(&mut state);
    assert!(
        drawn(&state).contains("tab takes the next one"),
        "{}",
        drawn(&state)
    );
    let taken = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::TakeShare(at) => Some(at),
            _ => None,
        })
    };
    assert_eq!(taken(press(&mut state, "tab")), Some(0));
    assert_eq!(taken(press(&mut state, "enter tab")), Some(1));
    assert_eq!(taken(press(&mut state, "ctrl-r tab")), Some(0));
    // Opened anew, it goes on behind those that Vault has.
    tell(&mut state, Event::Link(Backend::Vault, fixtures::sealed(2)));
    if let Some(Layer::Run(layer)) = state.layers.last_mut() {
        layer.shares_taken = 0;
    }
    assert_eq!(taken(press(&mut state, "tab")), Some(2));
    // A real platform has no such file.
    state.context.shares_in = None;
    assert_eq!(taken(press(&mut state, "tab")), None);
}

#[test]
fn a_confirmation_is_typed_and_a_private_key_is_pasted_nowhere() {
    let mut state = unsealed();
    press(&mut state, "X");
    planned(&mut state, Tier::Irreversible);
    show(&mut state);
    tell(&mut state, Event::Paste("8401".to_owned()));
    assert!(!executes(&press(&mut state, "enter")));
    press(&mut state, "tab");
    tell(&mut state, Event::PastedKey(Some("ab".repeat(32))));
    assert!(
        state
            .toast
            .as_ref()
            .is_some_and(|toast| toast.text.contains("dropped"))
    );
    tell(&mut state, Event::Paste("it leaked".to_owned()));
    assert!(format!("{:?}", state.layers).contains("it leaked"));
}

#[test]
fn what_fills_a_field_is_edited_at_its_end() {
    let mut state = unsealed();
    press(&mut state, "/ w e b enter / up x enter");
    assert_eq!(state.screen().list.q, "webx");
}

/// Text of the open filter line.
fn line_of(state: &State) -> String {
    match state.layers.last() {
        Some(Layer::Filter(filter)) => filter.typed.lines()[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_filter_begins_with_an_empty_line_and_the_former_ones_are_keys_away() {
    let mut state = unsealed();
    press(&mut state, "2 / w e b enter");
    let effects = press(&mut state, "/");
    assert_eq!(
        (line_of(&state).as_str(), state.screen().list.q.as_str()),
        ("", "web")
    );
    // The timer of what was typed into the line before.
    let late = tell(&mut state, Event::TypingPaused);
    assert!(
        !effects
            .iter()
            .chain(&late)
            .any(|effect| matches!(effect, Effect::Ask { .. })),
        "{late:?}"
    );
    assert!(
        drawn(&state).contains("shown: web; up edits it, enter shows all, esc leaves it"),
        "{}",
        drawn(&state)
    );
    press(&mut state, "esc");
    assert_eq!(state.screen().list.q, "web");
    press(&mut state, "/ x enter");
    assert_eq!(
        state.screen().list.q,
        "x",
        "nothing goes on at the former one's end"
    );
    press(&mut state, "/ up");
    assert_eq!(line_of(&state), "x");
    press(&mut state, "up");
    assert_eq!(line_of(&state), "web");
    press(&mut state, "up down down");
    assert_eq!(line_of(&state), "");
    press(&mut state, "enter");
    assert_eq!(state.screen().list.q, "", "an empty line is no filter");
    press(&mut state, "/");
    assert!(drawn(&state).contains("up earlier filters"), "{}", drawn(&state));
}

#[test]
fn a_filter_that_nobody_typed_comes_back_first() {
    let mut state = unsealed();
    press(&mut state, "2 / w e b enter");
    state.screen_mut().list.q = "expires:<0h".to_owned();
    press(&mut state, "/ up");
    assert_eq!(line_of(&state), "expires:<0h");
    press(&mut state, "up");
    assert_eq!(line_of(&state), "web");
}

#[test]
fn ctrl_u_clears_the_line_of_a_filter_and_of_a_command() {
    for open in ["/", ":"] {
        let mut state = night(80, 24);
        if open == "/" {
            press(&mut state, "2");
        }
        press(&mut state, open);
        press(&mut state, "w e b ctrl-u x y");
        let typed = match state.layers.last() {
            Some(Layer::Filter(line)) => line.typed.lines()[0].clone(),
            Some(Layer::CommandLine(line)) => line.typed.lines()[0].clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(typed, "xy", "{open}");
    }
}
