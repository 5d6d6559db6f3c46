//! A filter that works while it is typed: what is in memory with each letter, what the server filters when typing
//! pauses, one question at a time; esc puts back what was there.

use cmp_console::state::query::LogLine;

use crate::hands::*;

/// The filters that the list of certificates was asked for.
fn asked(effects: &[Effect]) -> Vec<String> {
    let filters = effects.iter().filter_map(|effect| match effect {
        Effect::Ask {
            query: Query::Certificates(list),
            ..
        } => Some(list.q.clone()),
        _ => None,
    });
    filters.collect()
}

fn answer(state: &mut State, q: &str, rows: usize) -> Vec<Effect> {
    let list = ListQuery {
        q: q.to_owned(),
        ..ListQuery::default()
    };
    let query = Query::Certificates(list);
    let rows: Vec<_> = fixtures::certificates().into_iter().take(rows).collect();
    let total = i64::try_from(rows.len()).unwrap();
    let result = Ok(Answer::Certificates(Window { rows, total }));
    reply(state, query, result)
}

fn n_rows(state: &State) -> usize {
    cmp_console::views::focused_rows(state).len()
}

#[test]
fn the_server_is_asked_when_typing_pauses_and_the_list_stays_until_it_answers() {
    let mut state = unsealed();
    let mut effects = press(&mut state, "/ s h o");
    assert!(asked(&effects).is_empty(), "no question a key");
    assert_eq!(n_rows(&state), 5);
    effects = tell(&mut state, Event::TypingPaused);
    assert_eq!(asked(&effects), ["sho"]);
    assert_eq!(n_rows(&state), 5, "the list that was right stays");
    assert!(drawn(&state).contains("mail.example.com"));
    // Typed on while the answer is awaited: no second question beside it, and then the newest alone.
    effects = press(&mut state, "p");
    effects.extend(tell(&mut state, Event::TypingPaused));
    effects.extend(press(&mut state, "."));
    effects.extend(tell(&mut state, Event::TypingPaused));
    assert!(asked(&effects).is_empty(), "{:?}", asked(&effects));
    effects = answer(&mut state, "sho", 2);
    assert_eq!(n_rows(&state), 2, "what was answered is shown");
    assert_eq!(asked(&effects), ["shop."]);
    answer(&mut state, "shop.", 1);
    assert_eq!(n_rows(&state), 1);
    assert!(drawn(&state).contains("pay.example.com") && !drawn(&state).contains("mail.example.com"));
    // Enter keeps what is shown and asks for nothing again.
    let effects = press(&mut state, "enter");
    assert!(asked(&effects).is_empty());
    assert_eq!(state.screen().list.q, "shop.");
    assert!(state.layers.is_empty());
}

#[test]
fn esc_puts_back_what_was_there() {
    let mut state = unsealed();
    press(&mut state, "/ c d n enter");
    answer(&mut state, "cdn", 3);
    let before = state.screen().list.q.clone();
    assert_eq!(before, "cdn");
    press(&mut state, "/ up - 0 2");
    tell(&mut state, Event::TypingPaused);
    answer(&mut state, "cdn-02", 1);
    assert_eq!((n_rows(&state), state.screen().list.q.as_str()), (1, "cdn-02"));
    press(&mut state, "esc");
    assert_eq!((n_rows(&state), state.screen().list.q.as_str()), (3, "cdn"));
    // Nothing of what was only typed is a place to come back to, or among the filters that were used.
    assert_eq!(state.filters_used, ["cdn"]);
}

#[test]
fn words_that_are_not_right_are_told_and_the_last_list_stays() {
    let mut state = unsealed();
    press(&mut state, "/ s t a t u s : o l d");
    let effects = tell(&mut state, Event::TypingPaused);
    assert!(asked(&effects).is_empty());
    assert!(
        drawn(&state).contains("status is one of: active, expiring"),
        "{}",
        drawn(&state)
    );
    assert_eq!(n_rows(&state), 5);
    // The server's own no is told as well.
    press(&mut state, "ctrl-u x");
    tell(&mut state, Event::TypingPaused);
    let query = Query::Certificates(ListQuery {
        q: "x".to_owned(),
        ..ListQuery::default()
    });
    let result = Err(cmp_console::problem::Problem::unavailable(
        "the question took too long",
    ));
    reply(&mut state, query, result);
    assert!(
        drawn(&state).contains("the question took too long"),
        "{}",
        drawn(&state)
    );
    assert_eq!(n_rows(&state), 5);
}

#[test]
fn what_is_in_memory_is_filtered_with_each_letter() {
    let mut state = unsealed();
    press(&mut state, "L");
    let lines = [
        "INFO cmp: connected",
        "WARN cmp: the stream broke off",
        "INFO cmp: stopped",
    ];
    let lines = lines.iter().zip(0..).map(|(text, at)| LogLine {
        at,
        text: format!("2026-11-23T03:01:12.481516Z  {text}"),
    });
    fixtures::answer(&mut state, Query::Logs, Answer::Logs(lines.collect()));
    assert_eq!(n_rows(&state), 3);
    press(&mut state, "/ s t");
    assert_eq!(n_rows(&state), 2);
    press(&mut state, "r");
    assert_eq!(n_rows(&state), 1);
    press(&mut state, "backspace backspace backspace");
    assert_eq!(n_rows(&state), 3);
    press(&mut state, "b r o k e esc");
    assert_eq!(n_rows(&state), 3);
    press(&mut state, "/ b r o k e enter");
    assert_eq!(n_rows(&state), 1);
}
