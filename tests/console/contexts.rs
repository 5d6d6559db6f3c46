//! The screen of all contexts: who is asked and when, what it opens with, and where Enter leads.

use cmp_console::problem::Problem;
use cmp_console::state::contexts::Configured;
use cmp_console::state::figures::Figures;

use crate::hands::*;

fn with_others() -> State {
    let mut state = unsealed();
    state.contexts = ["demo", "other", "prod"]
        .map(|name| Configured {
            name: name.to_owned(),
            protected: name == "prod",
            ..Configured::default()
        })
        .to_vec();
    state
}

/// The questions to other contexts among the effects.
fn asked(effects: &[Effect]) -> Vec<Query> {
    let asks = effects.iter().filter_map(|effect| match effect {
        Effect::Ask { query, .. } => Some(query.clone()),
        _ => None,
    });
    asks.filter(|query| query.neighbour().is_some()).collect()
}

fn figures(name: &str) -> Query {
    Query::FiguresOf(name.to_owned())
}

fn answer(state: &mut State, name: &str, result: Result<Figures, Problem>) -> Vec<Effect> {
    let query = figures(name);
    let result = result.map(Answer::Figures);
    reply(state, query, result)
}

/// Its while is over.
fn again(state: &mut State, name: &str) -> Vec<Effect> {
    let query = figures(name);
    let asked = state.data[&query].asked;
    tell(state, Event::AskAgain { query, asked })
}

#[test]
fn the_others_are_asked_while_they_are_shown_and_no_longer() {
    let mut state = with_others();
    assert_eq!(asked(&tell(&mut state, Event::StreamBack)), []);
    let effects = press(&mut state, "9");
    let wanted = ["other", "prod"].map(|name| [Query::LinksOf(name.to_owned()), figures(name)]);
    assert_eq!(asked(&effects), wanted.concat());
    for result in [Ok(Figures::default()), Err(Problem::unavailable("away"))] {
        let effects = answer(&mut state, "other", result);
        let later =
            |effect: &Effect| matches!(effect, Effect::AskLater { query, .. } if *query == figures("other"));
        assert!(effects.iter().any(later));
        assert_eq!(asked(&effects), [], "it has its while");
        assert_eq!(asked(&again(&mut state, "other")), [figures("other")]);
    }
    answer(&mut state, "other", Ok(Figures::default()));
    press(&mut state, "1");
    assert_eq!(asked(&again(&mut state, "other")), [], "nobody sees it");
    assert_eq!(asked(&press(&mut state, "9")), [figures("other")]);
}

#[test]
fn one_that_does_not_answer_keeps_no_other_waiting() {
    let mut state = with_others();
    press(&mut state, "9");
    for _ in 0..3 {
        answer(&mut state, "prod", Ok(Figures::default()));
        assert_eq!(asked(&again(&mut state, "prod")), [figures("prod")]);
    }
    assert!(state.data[&figures("other")].waiting);
}

#[test]
fn what_happens_here_asks_nobody_there() {
    let mut state = with_others();
    press(&mut state, "9");
    for name in ["other", "prod"] {
        answer(&mut state, name, Ok(Figures::default()));
        let query = Query::LinksOf(name.to_owned());
        let result = Ok(Answer::Links(state.links.clone()));
        let asked = state.data[&query].asked;
        tell(
            &mut state,
            Event::Answer {
                query,
                asked,
                from: None,
                result,
            },
        );
    }
    for event in [Event::StreamBack, Event::StreamLost, Event::Minute] {
        assert_eq!(asked(&tell(&mut state, event)), []);
    }
    assert_eq!(
        asked(&press(&mut state, "ctrl-r")).len(),
        4,
        "unless somebody wants it"
    );
}

#[test]
fn a_token_that_is_refused_there_is_no_trouble_of_this_one() {
    let mut state = with_others();
    press(&mut state, "9");
    let refused = Problem::new(
        cmp_console::problem::ProblemKind::NotAuthenticated,
        "the token is not known",
    );
    let effects = answer(&mut state, "other", Err(refused));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::CheckLinks)));
}

#[test]
fn it_opens_by_its_key_and_by_its_names() {
    for line in ["contexts", "context"] {
        let mut state = with_others();
        run_line(&mut state, line);
        assert_eq!(state.place().view, ViewId::Contexts, "{line}");
    }
    let mut state = with_others();
    press(&mut state, "9");
    assert_eq!(state.place().view, ViewId::Contexts);
}

#[test]
fn enter_goes_on_there_once_nothing_is_under_way() {
    let mut state = with_others();
    press(&mut state, "9");
    // Nothing is known of it, and production comes first; the cursor stays with what it was on.
    let rows = || ["demo", "other", "prod"];
    let go_to = |state: &mut State, name: &str| {
        press(state, "g");
        for _ in rows() {
            let found = cmp_console::views::focused_rows(state);
            let screen = state.screen();
            if found.ids()[screen.cursor_index(0, found.ids())] == name {
                return;
            }
            drop(found);
            press(state, "j");
        }
        panic!("there is no row {name}");
    };
    go_to(&mut state, "prod");
    let run = state.begin_run("checkin", Vec::new());
    state.run_mut(&run).unwrap().begin(now());
    press(&mut state, "enter");
    assert!(!state.quit);
    let said = state.toast.as_ref().map(|toast| toast.text.clone());
    assert!(said.unwrap().contains("its end comes first"));
    state.runs.clear();
    go_to(&mut state, "demo");
    press(&mut state, "enter");
    assert_eq!((state.place().view, state.quit), (ViewId::Triage, false));
    press(&mut state, "9");
    go_to(&mut state, "prod");
    press(&mut state, "enter");
    assert_eq!((state.next_context.as_deref(), state.quit), (Some("prod"), true));
}

#[test]
fn what_is_counted_here_is_what_the_lists_count() {
    let mut state = night(120, 40);
    press(&mut state, "9");
    let total = |state: &State, query: Query| state.answer(&query).and_then(Answer::total);
    let list = |q: &str| ListQuery {
        q: q.to_owned(),
        ..ListQuery::default()
    };
    let expiring = total(&state, Query::Certificates(list("status:expiring")));
    let failed = total(&state, Query::Requests(list("status:failed")));
    assert_eq!(
        (expiring, failed),
        (Some(4), Some(1)),
        "the night has one that has expired, too"
    );
    let sights = cmp_console::state::contexts::sights(&state);
    let open = sights.iter().find(|sight| sight.is_open).unwrap();
    let figures = open.figures.unwrap();
    assert_eq!((Some(figures.expiring), Some(figures.failed)), (expiring, failed));
}

/// Another context's Vault is unsealed there: a key that means the open one's isn't offered on its row.
#[test]
fn unseal_is_offered_on_the_row_of_the_open_context_alone() {
    let mut state = with_others();
    tell(&mut state, Event::Link(Backend::Vault, fixtures::sealed(0)));
    press(&mut state, "9");
    let offers = |state: &State| drawn(state).contains("u unseal");
    let rows = cmp_console::views::focused_rows(&state);
    let open = rows.ids().iter().position(|id| id.as_ref() == "demo").unwrap();
    drop(rows);
    press(&mut state, "g");
    for at in 0..3 {
        // The offered keys follow the cursor once it rests.
        tell(&mut state, Event::Rested);
        assert_eq!(offers(&state), at == open, "{}", drawn(&state));
        press(&mut state, "j");
    }
}
