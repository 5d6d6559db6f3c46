//! What is marked: acted on together, never out of sight, and for one run only.

use crate::hands::*;

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
fn marks_that_can_not_be_seen_stop_every_action() {
    let mut state = unsealed();
    press(&mut state, "space");
    state.screen_mut().marks.insert("crt_gone".to_owned());
    let effects = press(&mut state, "X");
    assert!(effects.is_empty() && state.runs.is_empty());
    assert!(
        state
            .toast
            .as_ref()
            .is_some_and(|toast| toast.text.contains("1 of 2 marked rows are hidden by the filter"))
    );
    press(&mut state, "\\");
    assert!(!press(&mut state, "X").is_empty());
}

#[test]
fn what_is_marked_twice_is_one_thing_and_is_unmarked_once_it_is_under_way() {
    let mut state = unsealed();
    press(&mut state, "space space");
    let twice: Vec<_> = cmp_console::views::selected(&state)
        .into_iter()
        .chain(cmp_console::views::selected(&state))
        .collect();
    assert_eq!(twice.len(), 4);
    let action = cmp_console::actions::find("reissue").unwrap();
    assert_eq!(state.targets_for(action, &twice).len(), 2);
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    press(&mut state, "y");
    assert!(state.screen().marks.is_empty());
}

#[test]
fn a_run_without_a_dialog_takes_no_marks_of_another_screen() {
    let mut state = unsealed();
    press(&mut state, "3 c");
    assert_eq!(state.runs.len(), 1, "{:?}", state.toast);
    press(&mut state, "2");
    state.screen_mut().marks.insert("crt_other".to_owned());
    planned(&mut state, Tier::Harmless);
    assert!(state.runs[0].is_running());
    assert!(state.screen().marks.contains("crt_other"));
}

/// Marks of several kinds: what an action can't take is said before, and stays marked.
#[test]
fn what_is_marked_and_does_not_fit_is_said_before_and_stays_marked() {
    let mut state = night(120, 40);
    press(&mut state, "1");
    let effects = press(&mut state, "ctrl-a c");
    let planned_for: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Plan { on, .. } => Some(on.clone()),
            _ => None,
        })
        .collect();
    let n_marked = state.screen().marks.len();
    match planned_for.as_slice() {
        // No finding of this night is about an agent.
        [] => {
            let said = state.toast.as_ref().unwrap().text.clone();
            assert!(said.contains("select an agent first"), "{said}");
        }
        other => panic!("{other:?}"),
    }
    // Two of three are certificates, Vault is none.
    let effects = press(&mut state, "r");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Plan { on, .. } if on.len() == 2))
    );
    assert!(
        matches!(state.layers.last(), Some(Layer::Run(_))),
        "its dialog is open"
    );
    planned(&mut state, Tier::Contained);
    let screen = drawn(&state);
    assert!(screen.contains("Left out: Vault (no certificate)."), "{screen}");
    press(&mut state, "y");
    assert!(state.runs[0].is_running());
    assert_eq!(
        state.screen().marks.len(),
        n_marked - 2,
        "what was left out stays marked"
    );
}

/// An action that needs no yes by itself needs one where something that was marked is left out.
#[test]
fn a_harmless_action_waits_for_a_yes_where_marks_are_left_out() {
    let mut state = unsealed();
    press(&mut state, "3 ctrl-a");
    press(&mut state, "\\ space space c");
    planned(&mut state, Tier::Harmless);
    assert!(state.runs[0].is_running(), "nothing is left out");
    let mut state = unsealed();
    press(&mut state, "3 c");
    let mut plan = plan_for(&state, Tier::Harmless);
    plan.left_out.push(cmp_console::plan::plan::LeftOut {
        name: "vpn-01".to_owned(),
        why: "banned".to_owned(),
    });
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    assert!(!state.runs[0].is_running());
    assert!(drawn(&state).contains("Left out: vpn-01 (banned)."));
    press(&mut state, "y");
    assert!(state.runs[0].is_running());
}

/// With rows marked that it can't be done to, an action never falls on the row that has the cursor.
#[test]
fn marks_that_do_not_fit_send_no_action_to_the_cursor() {
    let mut state = night(120, 40);
    press(&mut state, "1");
    let vault = {
        let rows = cmp_console::views::focused_rows(&state);
        rows.get(0).unwrap()
    };
    assert!(
        vault
            .targets
            .iter()
            .all(|target| target.kind == EntityKind::Vault)
    );
    press(&mut state, "space r");
    assert!(state.runs.is_empty(), "{:?}", state.runs);
}

/// Otherwise the same key, pressed twice, acts on a thing that nobody chose.
#[test]
fn after_an_action_the_next_key_never_falls_on_another_row() {
    let mut state = unsealed();
    press(&mut state, "3");
    let agents = fixtures::agents();
    let list = |rows: Vec<cmp_console::domain::agent::Agent>| {
        let total = i64::try_from(rows.len()).unwrap();
        Answer::Agents(Window { total, rows })
    };
    let query = Query::Agents(Default::default());
    fixtures::answer(&mut state, query.clone(), list(agents.clone()));
    press(&mut state, "c");
    let acted = state.runs[0].on[0].id.clone();
    planned(&mut state, Tier::Harmless);
    let ended = RunEvent::Ended(Outcome::Proven("it checked in".to_owned()));
    tell(&mut state, Event::Run("#1".to_owned(), ended));
    // What was cured has left the list.
    let left: Vec<_> = agents.into_iter().filter(|agent| agent.id != acted).collect();
    fixtures::answer(&mut state, query, list(left.clone()));
    tell(&mut state, Event::Minute);
    let effects = press(&mut state, "c");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })));
    let toast = state.toast.as_ref().unwrap();
    assert!(
        toast.text.contains("is not under the cursor any more"),
        "{toast:?}"
    );
    press(&mut state, "j k c");
    assert_eq!(state.runs.len(), 2, "after a move it is meant");
}
