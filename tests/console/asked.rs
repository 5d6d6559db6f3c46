//! What is asked of the backends and when, and what is kept of their answers.

use crate::hands::*;

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
            from: None,
            result: Ok(old),
        },
    );
    assert!(matches!(state.answer(&query), Some(Answer::Requests(window)) if window.rows.len() == 2));
}

#[test]
fn a_question_without_an_answer_is_asked_again_while_its_screen_is_open() {
    let mut state = unsealed();
    let query = Query::Certificates(Default::default());
    let asked = state.data[&query].asked;
    let result = Err(cmp_console::problem::Problem::unavailable("away"));
    let effects = tell(
        &mut state,
        Event::Answer {
            query: query.clone(),
            asked,
            from: None,
            result,
        },
    );
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::AskLater { query: again, .. } if *again == query))
    );
    let again = |asked| Event::AskAgain {
        query: query.clone(),
        asked,
    };
    let effects = tell(&mut state, again(asked + 1));
    assert_eq!(asks(&effects), 0, "that is about another question");
    let effects = tell(&mut state, again(asked));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask { query: again, .. } if *again == query))
    );
}

#[test]
fn a_frozen_screen_asks_nothing_and_shows_nothing_new_until_it_goes_on() {
    let mut state = unsealed();
    press(&mut state, "f");
    let query = Query::Certificates(Default::default());
    let asked = state.data[&query].asked;
    let result = Ok(Answer::Certificates(Window {
        total: 0,
        rows: Vec::new(),
    }));
    let effects = tell(
        &mut state,
        Event::Answer {
            query: query.clone(),
            asked,
            from: None,
            result,
        },
    );
    assert!(effects.is_empty());
    assert!(matches!(state.answer(&query), Some(Answer::Certificates(window)) if window.rows.len() == 5));
    assert!(tell(&mut state, Event::StreamBack).is_empty());
    let effects = press(&mut state, "f");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask { query: again, .. } if *again == query))
    );
}

fn asks(effects: &[Effect]) -> usize {
    let asks = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Ask { .. }));
    asks.count()
}

#[test]
fn what_is_told_no_more_is_asked_for() {
    let mut state = unsealed();
    assert_eq!(asks(&tell(&mut state, Event::Painted(9))), 0, "all is known");
    assert!(
        asks(&tell(&mut state, Event::StreamLost)) >= 2,
        "the list and what is around it"
    );
}

#[test]
fn what_can_be_read_no_more_is_marked_at_once() {
    for (backend, is_titled) in [(Backend::Api, true), (Backend::Database, false)] {
        let mut state = unsealed();
        let mut link = state.links[&backend].clone();
        link.state = LinkState::Down;
        let effects = tell(&mut state, Event::Link(backend, link.clone()));
        assert!(asks(&effects) >= 2, "{backend:?}");
        // The title has it before any of the questions has failed.
        let titled = drawn(&state).contains("API DOWN, showing data from");
        assert_eq!(titled, is_titled, "{backend:?}");
        assert_eq!(
            asks(&tell(&mut state, Event::Link(backend, link))),
            0,
            "it is no news"
        );
    }
}

#[test]
fn what_is_in_trouble_is_known_whole_before_nobody_answers() {
    let mut state = night(120, 40);
    assert!(
        tell(&mut state, Event::Minute)
            .iter()
            .all(|effect| !matches!(effect, Effect::KeepSnapshot(_)))
    );
    state.keeps_snapshot = true;
    let unopened = [Query::Agents, Query::Audit].map(|list| list(ListQuery::default()));
    state.data.retain(|query, _| !unopened.contains(query));
    let effects = tell(&mut state, Event::Minute);
    let asks = |id: &str| {
        let wanted = Query::Certificate(id.to_owned());
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask { query, .. } if *query == wanted))
    };
    assert!(asks("crt_0001"), "it was never looked at");
    assert!(!asks("crt_0002"), "it is known");
    for list in unopened {
        let is_asked = |effect: &Effect| matches!(effect, Effect::Ask { query, .. } if *query == list);
        assert!(effects.iter().any(is_asked), "{list:?} was never opened");
    }
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::KeepSnapshot(_)))
    );
    let again = tell(&mut state, Event::Minute);
    assert!(!again.iter().any(|effect| matches!(
        effect,
        Effect::Ask {
            query: Query::Certificate(_),
            ..
        }
    )));
}
