//! The command line runs what is named in full and nothing that is near, and says what is wrong; so do keys.

use crate::hands::*;

fn run(line: &str) -> (State, Vec<Effect>) {
    let mut state = unsealed();
    let effects = press(&mut state, &format!(": {} enter", typing(line)));
    (state, effects)
}

fn error(state: &State) -> String {
    match state.layers.last() {
        Some(Layer::CommandLine(layer)) => layer.error.clone().unwrap_or_default(),
        _ => String::new(),
    }
}

#[test]
fn what_editors_quit_with_quits() {
    for line in ["q", "q!", "quit", "wq", "x", "exit", "qa!"] {
        assert!(run(line).0.quit, ":{line}");
    }
    assert_eq!(run("cert").0.place().view, ViewId::Certificates);
    assert_eq!(run("log").0.place().view, ViewId::Logs);
}

#[test]
fn nothing_is_run_for_letters_of_its_description_or_the_beginning_of_its_name() {
    for line in [
        "restart", "kill", "reiss", "rev", "next", "delete", "reboot", "w", "stop",
    ] {
        let (state, effects) = run(line);
        assert!(!state.quit && state.runs.is_empty(), ":{line}");
        assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })),
            ":{line}"
        );
        assert_eq!(state.place().view, ViewId::Certificates, ":{line}");
        assert!(
            error(&state).starts_with(&format!("no such command: {line}")),
            ":{line} {}",
            error(&state)
        );
    }
    // What is near is named, with its key.
    assert!(
        error(&run("reisue").0).contains("reissue (r)"),
        "{}",
        error(&run("reisue").0)
    );
    let (state, _) = run("");
    assert!(
        state.layers.is_empty() && state.runs.is_empty(),
        "an empty line is no command"
    );
}

#[test]
fn what_is_wrong_stands_over_the_list_until_the_next_letter() {
    let (mut state, _) = run("export pdf");
    assert!(error(&state).starts_with("usage: export"), "{}", error(&state));
    assert!(
        drawn(&state).contains("error: usage: export"),
        "{}",
        drawn(&state)
    );
    press(&mut state, "x");
    assert_eq!(error(&state), "");
}

#[test]
fn a_key_that_does_nothing_says_so() {
    let mut state = unsealed();
    for key in ["Z", "ctrl-x", "0", "!"] {
        press(&mut state, key);
        let said = state.toast.clone().map(|toast| toast.text).unwrap_or_default();
        assert!(said.starts_with(&format!("{key} does nothing here")), "{said}");
    }
    press(&mut state, "V");
    let said = state.toast.clone().map(|toast| toast.text).unwrap_or_default();
    assert!(said.starts_with("looking now"), "{said}");
}

fn answered(state: &mut State, names: &[&str]) {
    let query = Query::Certificates(state.screen().list);
    let all = fixtures::certificates();
    let rows: Vec<_> = all.into_iter().filter(|it| names.contains(&it.name())).collect();
    let total = i64::try_from(rows.len()).unwrap();
    let result = Ok(Answer::Certificates(Window { total, rows }));
    reply(state, query, result);
}

#[test]
fn a_clue_is_read_in_every_way_until_one_leads_somewhere_and_that_is_said() {
    let mut state = unsealed();
    let thumbprint = "ab".repeat(20);
    run_line(&mut state, &format!("find {thumbprint}"));
    assert_eq!(state.screen().list.q, thumbprint, "as a thumbprint first");
    answered(&mut state, &[]);
    assert_eq!(
        state.screen().list.q,
        vec!["ab"; 20].join(":"),
        "then as a serial"
    );
    answered(&mut state, &["pay.example.com", "shop.example.com"]);
    assert_eq!(said(&state), "read as a serial; not as a SHA-1 thumbprint");
    // A name under a wildcard.
    run_line(&mut state, "find a.shop.example.com");
    answered(&mut state, &[]);
    assert_eq!(state.screen().list.q, "*.shop.example.com");
    answered(&mut state, &[]);
    assert!(
        said(&state).starts_with("nothing of ours matches a.shop.example.com, read as a name"),
        "{}",
        said(&state)
    );
    // A host of hex letters is a host, and asked first.
    run_line(&mut state, "find db-01:5432");
    assert!(said(&state).contains("asking db-01:5432"), "{}", said(&state));
    tell(
        &mut state,
        Event::Probed("db-01:5432".to_owned(), Err("refused".to_owned())),
    );
    assert_eq!(state.screen().list.q, "db-01:5432");
    answered(&mut state, &[]);
    assert_eq!(state.screen().list.q, "db-01");
    answered(&mut state, &["pay.example.com", "shop.example.com"]);
    assert!(
        said(&state).starts_with("read as a name; not as an address (refused)"),
        "{}",
        said(&state)
    );
}

/// Two readings may lead to the same list, which is there already when the second one is asked for.
#[test]
fn a_clue_that_leads_nowhere_names_every_reading_when_the_last_list_is_known_already() {
    for clue in ["578133456789", "0011223344556677"] {
        let mut state = unsealed();
        run_line(&mut state, &format!("find {clue}"));
        for _ in 0..3 {
            assert!(!said(&state).contains("nothing of ours"), "{}", said(&state));
            answered(&mut state, &[]);
        }
        assert_eq!(
            said(&state),
            format!(
                "nothing of ours matches {clue}, read as a serial, a decimal serial, a name, a part of a serial"
            )
        );
    }
}

#[test]
fn what_is_not_understood_says_so_and_nothing_long_is_asked_for() {
    let mut state = unsealed();
    run_line(&mut state, &format!("find {}", "word ".repeat(60)));
    assert!(said(&state).starts_with("not understood"), "{}", said(&state));
    press(&mut state, "2 /");
    tell(&mut state, Event::Paste("words-".repeat(50)));
    press(&mut state, "enter");
    assert!(said(&state).contains("at most 200"), "{}", said(&state));
    assert_eq!(state.screen().list.q, "");
}
