//! Lists: filters, their end, clues that lead to them, and coming back.

use crate::hands::*;

#[test]
fn a_filter_that_means_nothing_is_told_and_stays_open() {
    let mut state = unsealed();
    let typed = |text: &str| text.chars().map(|c| c.to_string()).collect::<Vec<_>>().join(" ");
    press(&mut state, "/");
    press(&mut state, &typed("expires:soon"));
    press(&mut state, "enter");
    assert!(
        state
            .toast
            .as_ref()
            .is_some_and(|toast| toast.text.contains("expires:<7d"))
    );
    assert!(matches!(state.layers.last(), Some(Layer::Filter(_))) && state.screen().list.q.is_empty());
    press(&mut state, "backspace backspace backspace backspace 7 d enter");
    assert_eq!(state.screen().list.q, "expires:7d");
}

#[test]
fn the_end_of_a_list_is_its_last_row_and_not_the_last_that_is_known() {
    let mut state = unsealed();
    let effects = press(&mut state, "G");
    // 64 at the server, 5 known so far.
    assert!(effects.is_empty(), "200 were asked for already");
    let query = Query::Certificates(Default::default());
    let mut rows = fixtures::certificates();
    let window = |rows: Vec<_>, total| Answer::Certificates(Window { total, rows });
    fixtures::answer(&mut state, query.clone(), window(rows.clone(), 900));
    let effects = press(&mut state, "G");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask { rows: 900, .. }))
    );
    let mut last = rows[0].clone();
    last.id = "crt_last".to_owned();
    rows.push(last);
    let result = Ok(window(rows, 900));
    reply(&mut state, query, result);
    let effects = press(&mut state, "enter");
    assert!(effects.iter().any(
        |effect| matches!(effect, Effect::Ask { query: Query::Certificate(id), .. } if id == "crt_last")
    ));
}

/// It is trouble wherever it stands, also where it ends late and is replaced.
#[test]
fn the_next_row_in_trouble_is_the_one_with_a_leaked_key() {
    let mut state = unsealed();
    press(&mut state, "2");
    let list = state.screen().list;
    let mut rows: Vec<_> = (0..6)
        .map(|n| fixtures::certificate(n, &format!("web-{n}.example.com"), chrono::Duration::days(80)))
        .collect();
    rows[2].is_key_compromised = true;
    rows[4].is_key_compromised = true;
    rows[4].is_replaced = true;
    rows[5].is_replaced = true;
    let window = Window { rows, total: 6 };
    fixtures::answer(
        &mut state,
        Query::Certificates(list),
        Answer::Certificates(window),
    );
    let leaked = |state: &State| {
        let screen: Vec<char> = drawn(state).chars().collect();
        let lines = screen.chunks(120).map(|line| line.iter().collect::<String>());
        let line = lines.into_iter().find(|line| line.starts_with('>')).unwrap();
        (line.contains(" leaked "), line)
    };
    press(&mut state, "g");
    for name in ["web-2.", "web-4.", "web-2."] {
        press(&mut state, "n");
        let (is_leaked, line) = leaked(&state);
        assert!(is_leaked && line.contains(name), "{name}: {line}");
    }
    let wrapped = state
        .toast
        .as_ref()
        .is_some_and(|toast| toast.text.contains("wrapped around"));
    assert!(wrapped, "two are in trouble, and no other one: {:?}", state.toast);
    press(&mut state, "N");
    assert!(leaked(&state).1.contains("web-4."), "{}", leaked(&state).1);
}

#[test]
fn a_list_that_was_gone_on_from_is_as_it_was_when_one_comes_back() {
    let mut state = unsealed();
    press(&mut state, "2 / s h o p enter");
    run_line(&mut state, "sort -serial");
    let list = state.screen().list;
    let rows = fixtures::certificates();
    let window = Window { rows, total: 5 };
    fixtures::answer(
        &mut state,
        Query::Certificates(list.clone()),
        Answer::Certificates(window),
    );
    press(&mut state, "o u");
    assert_eq!(state.place().view, ViewId::Audit);
    press(&mut state, "esc esc");
    assert_eq!(
        (state.place().view, state.screen().list),
        (ViewId::Certificates, list)
    );
}

#[test]
fn any_clue_leads_to_its_certificates() {
    let mut state = unsealed();
    let filter = |state: &State| (state.place().view, state.screen().list.q);
    press(&mut state, ":");
    tell(&mut state, Event::Paste("find 4F2A 0011 2233 4455".to_owned()));
    press(&mut state, "enter");
    let shown = (ViewId::Certificates, "4f:2a:00:11:22:33:44:55".to_owned());
    assert_eq!(filter(&state), shown);
    // A private key: only its public half's hash gets this far.
    press(&mut state, ":");
    tell(&mut state, Event::PastedKey(Some("cd".repeat(32))));
    press(&mut state, "enter");
    assert_eq!(filter(&state), (ViewId::Certificates, "cd".repeat(32)));
    press(&mut state, ":");
    tell(&mut state, Event::Paste("find web-01:443".to_owned()));
    let effects = press(&mut state, "enter");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Probe(address) if address == "web-01:443"))
    );
    tell(
        &mut state,
        Event::Probed(
            "web-01:443".to_owned(),
            Ok(ServedThere {
                fingerprint_sha256: "ef".repeat(32),
                spki_sha256: "0a".repeat(32),
            }),
        ),
    );
    assert_eq!(state.place(), Place::of_key("0a".repeat(32)));
    run_line(&mut state, "find web-01:443");
    tell(
        &mut state,
        Event::Probed("web-01:443".to_owned(), Err("refused".to_owned())),
    );
    assert_eq!(filter(&state).1, "web-01:443");
    // A clue that turns out to be about one key leads to what that key reaches.
    run_line(&mut state, "find pay.example.com");
    let one = fixtures::certificates().remove(0);
    let query = Query::Certificates(state.screen().list);
    let result = Ok(Answer::Certificates(Window {
        rows: vec![one.clone()],
        total: 1,
    }));
    reply(&mut state, query, result);
    assert_eq!(state.place(), Place::of_key(one.spki_sha256));
    press(&mut state, "esc");
    assert_eq!(
        filter(&state).1,
        "pay.example.com",
        "and back to the list, to stay"
    );
}

#[test]
fn a_late_handshake_takes_nobody_away_from_where_they_are() {
    let mut state = unsealed();
    run_line(&mut state, "find web-01:443");
    press(&mut state, "3");
    let place = state.place();
    let served = Ok(ServedThere {
        fingerprint_sha256: "ef".repeat(32),
        spki_sha256: "0a".repeat(32),
    });
    tell(&mut state, Event::Probed("web-01:443".to_owned(), served));
    assert_eq!(state.place(), place);
    assert!(state.toast.unwrap().text.contains(&"0a".repeat(32)));
}

/// Every screen by its keys from triage, as far as the fixtures have it.
const SCREENS: &[&str] = &[
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "@",
    "2 j enter",
    "3 enter",
    "4 enter",
    "5 enter",
];

#[test]
fn where_there_is_nothing_to_filter_letters_behind_the_slash_are_no_keys() {
    let mut refused = 0;
    for keys in SCREENS {
        for ends in ["enter", "esc"] {
            let mut state = unsealed();
            press(&mut state, keys);
            let place = state.place();
            let view = cmp_console::views::find(place.view);
            if view.is_filtered() {
                continue;
            }
            refused += 1;
            press(&mut state, "/");
            let screen = drawn(&state);
            assert!(
                screen.contains("nothing to filter here: keys do nothing until enter or esc"),
                "{keys}:\n{screen}"
            );
            let effects = press(&mut state, "r X c u x q w e b - 0 1 space f :");
            assert!(state.runs.is_empty(), "{keys}");
            assert!(
                !effects
                    .iter()
                    .any(|it| matches!(it, Effect::Plan { .. } | Effect::Execute { .. })),
                "{keys}"
            );
            assert!(
                !state.quit && state.frozen.is_none() && state.screen().marks.is_empty(),
                "{keys}"
            );
            assert_eq!(state.place(), place, "{keys}");
            press(&mut state, ends);
            assert_eq!(
                (state.layers.len(), state.place()),
                (0, place),
                "{keys}: {ends} ends it and nothing else"
            );
        }
    }
    assert!(refused > 12, "{refused}");
}

/// An empty list would say that nobody has it.
#[test]
fn what_can_be_no_certificate_is_refused_in_the_filters_line() {
    for (screen, filter, wanted) in [
        ("3", "cert:agt_01k9000000", "a certificate's name"),
        ("4", "cert:req_01k9000000", "a certificate's name"),
        ("2", "key:press.example.com", "a key's hash"),
        ("5", "run:press.example.com", "a run's id"),
    ] {
        let mut state = unsealed();
        press(&mut state, &format!("{screen} /"));
        let typed: Vec<String> = filter.chars().map(String::from).collect();
        press(&mut state, &format!("{} enter", typed.join(" ")));
        assert!(matches!(state.layers.last(), Some(Layer::Filter(_))), "{filter}");
        let screen = drawn(&state);
        assert!(screen.contains(wanted), "{filter}: {screen}");
    }
}

#[test]
fn a_list_without_a_row_says_where_its_word_was_looked_for() {
    for (view, title, into) in [
        ("2", "no certificate matches", "not in status, ends, key or owner"),
        (
            "3",
            "no agent matches",
            "not in health, silent, last check-in or on",
        ),
        ("4", "no request matches", "what went wrong, not in status"),
        (
            "5",
            "no audit row matches",
            "the names of things (entity: finds them)",
        ),
    ] {
        let mut state = unsealed();
        for (filter, says) in [("q q q", true), ("! q q q", false)] {
            press(&mut state, &format!("{view} / {filter} enter"));
            let list = state.screen().list;
            let (query, none) = match view {
                "2" => (
                    Query::Certificates(list),
                    Answer::Certificates(Window {
                        rows: Vec::new(),
                        total: 0,
                    }),
                ),
                "3" => (
                    Query::Agents(list),
                    Answer::Agents(Window {
                        rows: Vec::new(),
                        total: 0,
                    }),
                ),
                "4" => (
                    Query::Requests(list),
                    Answer::Requests(Window {
                        rows: Vec::new(),
                        total: 0,
                    }),
                ),
                _ => (
                    Query::Audit(list),
                    Answer::Audit(Window {
                        rows: Vec::new(),
                        total: 0,
                    }),
                ),
            };
            fixtures::answer(&mut state, query, none);
            let screen = drawn(&state);
            let lines: Vec<char> = screen.chars().collect();
            let lines: Vec<String> = lines.chunks(120).map(|line| line.iter().collect()).collect();
            let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            let words = words.join(" ");
            assert!(words.contains(title), "{view} {filter}: {words}");
            assert_eq!(words.contains(into), says, "{view} {filter}: {words}");
        }
    }
}

#[test]
fn a_list_by_ends_says_what_it_leaves_out() {
    let mut state = unsealed();
    press(&mut state, "2");
    for (filter, says) in [
        ("expires:<7d", true),
        ("!expires:<7d agent:web", true),
        ("status:any expires:<7d", false),
        ("shop expires:<7d", false),
    ] {
        let typed: Vec<String> = filter
            .chars()
            .map(|c| {
                if c == ' ' {
                    "space".to_owned()
                } else {
                    c.to_string()
                }
            })
            .collect();
        press(&mut state, &format!("/ {} enter", typed.join(" ")));
        let list = state.screen().list;
        assert_eq!(list.q, filter);
        let rows = fixtures::certificates();
        let window = Window { rows, total: 5 };
        fixtures::answer(
            &mut state,
            Query::Certificates(list),
            Answer::Certificates(window),
        );
        let screen = drawn(&state);
        let told = "replaced and revoked hidden: status:any shows them";
        assert_eq!(screen.contains(told), says, "{filter}: {screen}");
    }
}
