//! Runs under way: they go on without their dialog, and are found again.

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
