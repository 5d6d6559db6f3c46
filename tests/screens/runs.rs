//! Runs: under way, ended, and all those of this console.

use super::*;

#[test]
fn runs() {
    let begin = |state: &mut State| {
        open_run(state, "revoke", plan(Tier::Irreversible));
        state.runs[0].begin(now());
        state.runs[0].take(RunEvent::StepStarted(0));
    };
    snapshot("run_running", |state| {
        begin(state);
        state.runs[0].take(RunEvent::StepNote(
            0,
            "accepted by the CA, not in its CRL yet".to_owned(),
        ));
    });
    snapshot("run_proven", |state| {
        begin(state);
        let proven = Outcome::Proven("serial 39:dd is in the CRL #4".to_owned());
        state.runs[0].take(RunEvent::StepEnded(0, proven.clone()));
        state.runs[0].take(RunEvent::Ended(proven));
    });
    let ended = |state: &mut State, outcome: Outcome| {
        begin(state);
        state.runs[0].take(RunEvent::StepEnded(0, outcome.clone()));
        state.runs[0].take(RunEvent::ThingEnded(0, outcome.clone()));
        state.runs[0].take(RunEvent::Ended(outcome));
    };
    snapshot("run_failed", |state| {
        let why = Problem::refused("the CA refused: serial is unknown to it").hint("look at the CA's log");
        ended(state, Outcome::Failed(why));
    });
    snapshot("run_unknown", |state| {
        let why = Problem::no_answer("not proven within 60 s: accepted by the CA, not in its CRL yet");
        ended(state, Outcome::Unknown(why));
    });
    snapshot("run_mixed", |state| {
        open_run(state, "reissue", wide_plan(12));
        state.runs[0].begin(now());
        for target in 0..12 {
            let end = match target {
                3 => Outcome::Refused(
                    Problem::refused(
                        "no certificate is issued for key cac29f37: it is compromised since 08:24Z",
                    )
                    .hint("ask for a new key"),
                ),
                7 => Outcome::Unknown(
                    Problem::no_answer("not proven within 90 s: waits for the agent's key and CSR")
                        .hint("it may still finish; check the certificate before you retry"),
                ),
                9 => Outcome::Waiting(
                    "asked, waits for the agent: request req_9 goes on when vpn-01 is back".to_owned(),
                ),
                _ => Outcome::Proven("web-01:443 serves the new certificate".to_owned()),
            };
            state.runs[0].take(RunEvent::ThingEnded(target, end));
        }
        let whole = state.runs[0].named_ends().whole();
        state.runs[0].take(RunEvent::Ended(whole));
        state.runs[0].ended_at = Some(now());
    });
    // All was seen to be done, and the records deny it.
    snapshot("run_denied", |state| {
        open_run(state, "reissue", wide_plan(3));
        state.runs[0].begin(now());
        for target in 0..3 {
            let end = Outcome::Proven("web-01:443 serves the new certificate".to_owned());
            state.runs[0].take(RunEvent::ThingEnded(target, end));
        }
        let denied = "3 proven; but run `run_1` is not done: request `req_1` is issued, and the installation of its \
                      certificate failed";
        let why = Problem::no_answer(denied).hint("check the certificate before you retry");
        state.runs[0].take(RunEvent::Ended(Outcome::Unknown(why)));
        assert_eq!(state.runs[0].state(), "unknown");
    });
    snapshot("run_unseal", |state| {
        let mut plan = plan(Tier::Shares);
        plan.title = "Unseal Vault".to_owned();
        plan.changes =
            vec!["Vault opens after 3 of 5 shares; `vault operator seal` closes it again.".to_owned()];
        plan.steps[0].step = "enter_shares".to_owned();
        plan.steps[0].title = "enter shares".to_owned();
        open_run(state, "unseal", plan);
        state.runs[0].begin(now());
        state.runs[0].take(RunEvent::StepStarted(0));
        state.runs[0].take(RunEvent::StepNote(0, "sealed, 1 of 3 shares".to_owned()));
        if let Some(Layer::Run(layer)) = state.layers.last_mut() {
            layer.secret_typed = 44;
        }
    });
}

#[test]
fn runs_of_this_console() {
    snapshot("runs", |state| {
        go(state, ViewId::Runs, None);
        let ends = [
            Some(Outcome::Proven("serial 4f:2a is in the CRL #7".to_owned())),
            Some(Outcome::Failed(Problem::refused("connect failed: refused"))),
            None,
        ];
        for end in ends {
            let id = state.begin_run("revoke", Vec::new());
            let plan = plan(Tier::Irreversible);
            let run = state.run_mut(&id).unwrap();
            run.plan = Some(Box::new(plan));
            run.begin(run.opened_at);
            run.phase = end.map_or(Phase::Running, Phase::Ended);
        }
    });
}

/// Lines out of a dialog's sight are counted and can be reached, and a larger screen shows them.
#[test]
fn a_result_shows_every_step_or_says_how_many_are_out_of_sight() {
    let steps = |n: usize| {
        let mut plan = plan(Tier::Contained);
        plan.steps = (0..n)
            .map(|n| PlannedStep {
                title: format!("step {n} of it"),
                ..plan.steps[0].clone()
            })
            .collect();
        plan
    };
    let ended = |height: u16, n: usize| {
        let mut state = night(80, height);
        open_run(&mut state, "revoke", steps(n));
        let run = &mut state.runs[0];
        run.begin(run.opened_at);
        for index in 0..n {
            let proven = Outcome::Proven(format!(
                "seen {index}, in words that go on for longer than a line has room for them"
            ));
            run.take(RunEvent::StepEnded(index, proven));
        }
        run.take(RunEvent::Ended(Outcome::Proven("all of it is seen".to_owned())));
        state
    };
    let small = text(&ended(24, 3));
    assert!(
        small.contains("├ steps ─────────────────────────────────────────────────────────────────── 3 ─┤"),
        "{small}"
    );
    assert!(
        (0..3).all(|n| small.contains(&format!("step {n} of it"))),
        "{small}"
    );
    let mut state = ended(24, 12);
    let first = text(&state);
    assert!(
        first.contains("1-9 of 12  ↓ 3") && first.contains("ctrl-d scrolls"),
        "{first}"
    );
    let mut seen = first;
    for _ in 0..3 {
        let event = Event::Key("ctrl-d".to_owned());
        update(&mut state, Timed { at: now(), event }, &mut Vec::new());
        seen.push_str(&text(&state));
    }
    assert!(
        (0..12).all(|n| seen.contains(&format!("step {n} of it"))),
        "{seen}"
    );
    assert!(seen.contains("↑ "), "{seen}");
    let large = text(&ended(40, 12));
    assert!(
        (0..12).all(|n| large.contains(&format!("step {n} of it"))) && !large.contains("scrolls"),
        "{large}"
    );
}
