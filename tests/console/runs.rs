//! Runs under way: they go on without their dialog, and are found again.

use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::state::typed::Format;
use cmp_console::views::export::export;

use crate::hands::*;

#[test]
fn a_run_goes_on_when_its_dialog_is_closed_and_its_end_is_told() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
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

/// What was said here is not so: the record that the run was handed over to has another end.
#[test]
fn the_end_that_is_on_record_takes_the_place_of_the_one_that_was_said() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    press(&mut state, "y esc");
    let ended = RunEvent::Ended(Outcome::Proven("web-01 serves it".to_owned()));
    tell(&mut state, Event::Run("#1".to_owned(), ended));
    let id = state.run("#1").unwrap().record_id().unwrap().to_owned();
    let denied = Problem::no_answer("web-01 serves it; but run is not done: the installation failed");
    let denied = Outcome::Unknown(denied);
    tell(
        &mut state,
        Event::OnRecord("run_of_another".to_owned(), denied.clone()),
    );
    assert_eq!(state.run("#1").unwrap().state(), "done");
    tell(&mut state, Event::OnRecord(id, denied));
    assert_eq!(state.run("#1").unwrap().state(), "unknown");
    let said = state.toast.clone().map(|toast| toast.text).unwrap_or_default();
    assert!(said.contains("is not done"), "{said}");
    press(&mut state, "7");
    let screen = drawn(&state);
    assert!(
        screen.contains("unknown") && !screen.contains("done  "),
        "{screen}"
    );
}

/// It would take the keys of whatever is done meanwhile.
#[test]
fn no_dialog_opens_by_itself_when_a_run_ends_after_it_was_closed() {
    let waits = Outcome::Waiting("waits for the agent".to_owned());
    let fails = Outcome::Failed(Problem::new(ProblemKind::BackendFailed, "the reload failed"));
    for later in [waits, fails] {
        let mut state = unsealed();
        press(&mut state, "r");
        planned(&mut state, Tier::Contained);
        press(&mut state, "y esc");
        let words = later.what().to_owned();
        tell(&mut state, Event::Run("#1".to_owned(), RunEvent::Ended(later)));
        assert!(state.layers.is_empty(), "{words}");
        let said = state.toast.map(|toast| toast.text).unwrap_or_default();
        assert!(said.contains(&words) && said.contains("shows it"), "{said}");
    }
}

/// A check-in has no dialog before it: its failure opens one for who waits for it, and for nobody else.
#[test]
fn the_failure_of_what_had_no_dialog_opens_one_for_who_did_nothing_else_since() {
    for (keys, opens) in [(None, true), (Some("2"), false)] {
        let mut state = unsealed();
        press(&mut state, "3 c");
        planned(&mut state, Tier::Harmless);
        assert!(state.layers.is_empty());
        if let Some(keys) = keys {
            press(&mut state, keys);
        }
        let fails = Outcome::Failed(Problem::new(ProblemKind::BackendFailed, "connect failed"));
        tell(&mut state, Event::Run("#1".to_owned(), RunEvent::Ended(fails)));
        assert_eq!(state.layers.len(), usize::from(opens), "{keys:?}");
        let said = state.toast.map(|toast| toast.text).unwrap_or_default();
        assert_eq!(said.contains("shows it"), !opens, "{said}");
    }
}

#[test]
fn a_run_whose_token_is_refused_marks_the_token_at_once() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    press(&mut state, "y");
    let refused = Problem::new(ProblemKind::NotAuthenticated, "the token was taken back");
    let ended = RunEvent::Ended(Outcome::NotSent(refused));
    tell(&mut state, Event::Run("#1".to_owned(), ended));
    assert!(state.token_refused.is_some());
    press(&mut state, "esc");
    let screen = drawn(&state);
    assert!(screen.contains("TOKEN REFUSED"), "{screen}");
}

#[test]
fn quitting_with_a_run_under_way_is_asked_twice_in_a_row() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    press(&mut state, "y esc q");
    assert!(!state.quit);
    press(&mut state, "j q");
    assert!(!state.quit, "another key in between takes it back");
    press(&mut state, "q");
    assert!(state.quit);
}

#[test]
fn a_closed_run_is_found_again() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    press(&mut state, "y esc 7 enter");
    assert!(matches!(state.layers.last(), Some(Layer::Run(layer)) if layer.run == "#1"));
}

#[test]
fn a_run_was_asked_for_when_somebody_said_yes_and_not_when_its_dialog_was_opened() {
    let mut state = unsealed();
    press(&mut state, "X");
    planned(&mut state, Tier::Contained);
    show(&mut state);
    let opened = state.runs[0].opened_at;
    let yes = opened + chrono::Duration::minutes(17);
    let mut effects = Vec::new();
    let event = Event::Key("y".to_owned());
    update(&mut state, Timed { at: yes, event }, &mut effects);
    assert!(
        effects.iter().any(|it| matches!(it, Effect::Execute { .. })),
        "{effects:?}"
    );
    assert_eq!(state.runs[0].asked_at(), yes);
    press(&mut state, "esc 7");
    let screen = drawn(&state);
    assert!(screen.contains(&yes.format("%H:%M").to_string()), "{screen}");
    let export = export(&state, Format::Timeline).files.remove(0).1;
    assert!(
        export.contains(&format!("- {} **", yes.format("%Y-%m-%dT%H:%M:%SZ"))),
        "{export}"
    );
}

#[test]
fn a_result_is_closed_by_each_key_that_closes() {
    for key in ["q", "enter", "esc", "?"] {
        let mut state = unsealed();
        press(&mut state, "X");
        planned(&mut state, Tier::Contained);
        press(&mut state, "y");
        let run = state.runs[0].id.clone();
        let ended = RunEvent::Ended(Outcome::Proven("it is in the CRL".to_owned()));
        tell(&mut state, Event::Run(run, ended));
        assert_eq!(state.layers.len(), 1, "its result is shown");
        press(&mut state, key);
        assert!(state.layers.is_empty() && !state.quit, "{key}");
    }
}

/// Whoever comes to the runs looks for what was begun last, wherever the cursor was before.
#[test]
fn runs_open_at_the_newest() {
    let mut state = unsealed();
    for n in 1..=12 {
        state.begin_run("revoke", Vec::new());
        state.runs[n - 1].opened_at = now() + chrono::Duration::minutes(n as i64);
    }
    press(&mut state, "7 G");
    let at = |state: &State| {
        let rows = cmp_console::views::focused_rows(state);
        state.screen().cursor_index(0, rows.ids())
    };
    assert_eq!(at(&state), 11, "at the oldest");
    press(&mut state, "1");
    let newest = state.begin_run("reissue", Vec::new());
    press(&mut state, "7");
    assert_eq!(at(&state), 0);
    let rows = cmp_console::views::focused_rows(&state);
    assert_eq!(rows.ids()[0], newest);
}

/// A reissue whose installation failed has its certificate: another one would be a third.
#[test]
fn the_key_behind_a_failed_run_does_what_its_next_step_says() {
    for (remedy, hint, action, on) in [
        (Some("install"), "R installs it", "install", "crt_new"),
        (None, "R retries it", "reissue", ""),
    ] {
        let mut state = unsealed();
        press(&mut state, "r");
        planned(&mut state, Tier::Contained);
        press(&mut state, "y");
        let problem =
            Problem::new(ProblemKind::BackendFailed, "web-01:443: the reload failed").hint("mend the cause");
        let problem = match remedy {
            Some(action) => problem.remedy(action, "crt_new"),
            None => problem,
        };
        let ended = Outcome::Failed(problem);
        tell(
            &mut state,
            Event::Run("#1".to_owned(), RunEvent::ThingEnded(0, ended.clone())),
        );
        tell(&mut state, Event::Run("#1".to_owned(), RunEvent::Ended(ended)));
        show(&mut state);
        assert!(drawn(&state).contains(hint), "{}", drawn(&state));
        let effects = press(&mut state, "R");
        let planned = effects.iter().find_map(|effect| match effect {
            Effect::Plan { action, on, .. } => Some((*action, on)),
            _ => None,
        });
        let (began, targets) = planned.unwrap_or_else(|| panic!("{effects:?}"));
        assert_eq!((began, targets.len()), (action, 1));
        assert!(on.is_empty() || targets[0].id == on, "{targets:?}");
    }
}
