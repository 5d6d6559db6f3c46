//! Getting about: marks and ranges, back and forward, what a row touches, what can be copied, saved views,
//! used filters, sorting and contexts. Driven by keys through the real `update` without a backend.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/fixtures.rs"]
mod fixtures;
#[path = "moving/hands.rs"]
mod hands;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/keys.rs"]
mod keys;

use cmp_console::plan::guard::Guard;
use cmp_console::problem::Problem;
use cmp_console::state::State;
use cmp_console::state::contexts::Configured;
use cmp_console::state::effect::Effect;
use cmp_console::state::event::Event;
use cmp_console::state::layer::{Layer, line};
use cmp_console::state::palette::candidates;
use cmp_console::state::query::{Answer, ListQuery, Query};
use cmp_console::state::screen::ViewId;
use cmp_console::wire::certs::CertificateDetail;
use fixtures::{night, now};
use keys::{said, tell, typing};

fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    let keys = keys.split(' ').map(|key| Event::Key(key.to_owned()));
    keys.flat_map(|key| tell(state, key)).collect()
}

/// Types a line on the command line and runs it.
fn run(state: &mut State, text: &str) -> Vec<Effect> {
    press(state, &format!(": {} enter", typing(text)))
}

fn certificates() -> State {
    let mut state = night(120, 40);
    tell(&mut state, Event::Minute);
    press(&mut state, "2");
    let query = Query::Certificates(ListQuery::default());
    let rows = fixtures::certificates();
    let total = i64::try_from(rows.len()).unwrap() + 40;
    let window = cmp_console::state::query::Window { rows, total };
    fixtures::answer(&mut state, query, Answer::Certificates(window));
    state
}

fn copied(effects: &[Effect]) -> Option<&str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.as_str()),
        _ => None,
    })
}

#[test]
fn a_range_is_marked_from_the_last_mark_to_the_cursor_in_both_directions() {
    let mut state = certificates();
    press(&mut state, "j space j v");
    assert_eq!(state.screen().marks.len(), 3);
    press(&mut state, "\\ G space k k k v");
    assert_eq!(state.screen().marks.len(), 4);
    press(&mut state, "\\ ctrl-a");
    assert_eq!(state.screen().marks.len(), fixtures::certificates().len());
    assert!(said(&state).contains("G loads the others"), "{}", said(&state));
}

#[test]
fn back_and_forward_lead_through_screens_and_filters() {
    let mut state = certificates();
    press(&mut state, "/ s h o p enter");
    press(&mut state, "3");
    press(&mut state, "4");
    press(&mut state, "[ [");
    assert_eq!(state.place().view, ViewId::Certificates);
    assert_eq!(state.screen().list.q, "shop");
    press(&mut state, "[");
    assert_eq!(state.screen().list.q, "");
    press(&mut state, "] ] ]");
    assert_eq!(state.place().view, ViewId::Requests);
    press(&mut state, "]");
    assert_eq!(said(&state), "there is nothing further that way");
}

#[test]
fn from_a_certificate_everything_that_it_touches_is_one_key_away() {
    let first = fixtures::certificates().remove(0);
    for (key, view, filter) in [
        ("k", ViewId::Key, String::new()),
        ("a", ViewId::Agents, format!("cert:{}", first.id)),
        ("r", ViewId::Requests, format!("cert:{}", first.id)),
        ("u", ViewId::Audit, format!("entity:{}", first.id)),
    ] {
        let mut state = certificates();
        press(&mut state, "o");
        assert!(matches!(state.layers.last(), Some(Layer::Menu(_))));
        press(&mut state, key);
        assert_eq!(
            (state.place().view, state.screen().list.q.as_str()),
            (view, filter.as_str()),
            "{key}"
        );
        // And back to where one came from.
        press(&mut state, "[");
        assert_eq!(state.place().view, ViewId::Certificates, "{key}");
    }
    let mut state = certificates();
    press(&mut state, "1 backtab o e");
    assert_ne!(
        state.place().view,
        ViewId::Triage,
        "an audit row leads to its thing"
    );
    press(&mut state, "1 tab o");
    assert!(
        matches!(state.layers.last(), Some(Layer::Menu(_))),
        "a finding does too"
    );
}

#[test]
fn what_is_copied_is_chosen_by_one_key() {
    let first = fixtures::certificates().remove(0);
    for (keys, text) in [
        ("y y", first.serial.clone()),
        ("y s", first.serial.clone()),
        ("y f", first.fingerprint_sha256.clone()),
        ("y i", first.id.clone()),
        ("y enter", first.serial.clone()),
    ] {
        let mut state = certificates();
        assert_eq!(copied(&press(&mut state, keys)), Some(text.as_str()), "{keys}");
    }
    let mut state = certificates();
    state.context.api = "http://api:8082".to_owned();
    let effects = press(&mut state, "y c");
    let command = copied(&effects).unwrap();
    assert!(
        command.ends_with(&format!("http://api:8082/api/v1/certs/{}", first.id)),
        "{command}"
    );

    let effects = press(&mut state, "y p");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::FetchPem(id) if *id == first.id))
    );
    let pem = "-----BEGIN CERTIFICATE-----".to_owned();
    assert_eq!(
        copied(&tell(&mut state, Event::Pem(Ok(pem.clone())))),
        Some(pem.as_str())
    );
    let away = Problem::unavailable("the API is away");
    assert_eq!(copied(&tell(&mut state, Event::Pem(Err(away)))), None);
    assert!(said(&state).contains("the API is away"));
    assert_eq!(
        copied(&tell(&mut state, Event::Pem(Ok("x".repeat(60_000))))),
        None
    );
    assert!(
        said(&state).contains("too much for a terminal's clipboard"),
        "{}",
        said(&state)
    );
    press(&mut state, "y esc");
    assert!(state.layers.is_empty());
}

#[test]
fn a_view_is_saved_found_again_and_forgotten() {
    let mut state = certificates();
    press(&mut state, "/ ! a g e n t : c d n enter S");
    let list = state.screen().list;
    let effects = run(&mut state, "save week");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::KeepViews(views) if views.contains_key("week")))
    );
    press(&mut state, "1");
    // By its name, or as anything else on the command line.
    assert!(
        candidates(&state, "wee")
            .iter()
            .any(|found| found.name == "view week")
    );
    run(&mut state, "view week");
    assert_eq!(
        (state.place().view, state.screen().list),
        (ViewId::Certificates, list)
    );
    run(&mut state, "view month");
    assert!(said(&state).contains("there are: week"), "{}", said(&state));
    run(&mut state, "forget week");
    assert!(state.saved.is_empty());
    press(&mut state, "1");
    run(&mut state, "save home");
    assert!(
        state.saved.is_empty() && said(&state).contains("only a list"),
        "{}",
        said(&state)
    );
}

#[test]
fn filters_that_were_used_come_back() {
    let mut state = certificates();
    press(&mut state, "/ o n e enter");
    press(&mut state, "/ backspace backspace backspace t w o enter");
    press(&mut state, "/ up up");
    let Some(Layer::Filter(layer)) = state.layers.last() else {
        panic!("the filter is open")
    };
    assert_eq!(line(&layer.typed), "one");
    press(&mut state, "down enter");
    assert_eq!(state.screen().list.q, "two");
}

#[test]
fn a_list_is_sorted_by_any_of_its_columns() {
    let mut state = certificates();
    run(&mut state, "sort -serial");
    assert_eq!(state.screen().list.sort, "-serial");
    run(&mut state, "sort certificate");
    assert_eq!(state.screen().list.sort, "subject");
    run(&mut state, "sort colour");
    assert!(
        said(&state).contains("it has: ends, certificate"),
        "{}",
        said(&state)
    );
    assert_eq!(state.screen().list.sort, "subject");
}

#[test]
fn another_context_is_gone_on_in_when_nothing_is_under_way() {
    let mut state = certificates();
    state.contexts = ["demo", "prod-eu"]
        .map(|name| Configured {
            name: name.to_owned(),
            ..Configured::default()
        })
        .to_vec();
    run(&mut state, "context prod");
    assert_eq!(
        state.next_context.as_deref(),
        None,
        "half a name is none, unless it is picked"
    );
    assert!(
        candidates(&state, "prod")
            .iter()
            .any(|found| found.name == "context prod-eu")
    );
    let id = state.begin_run("checkin", Vec::new());
    state.run_mut(&id).unwrap().begin(now());
    run(&mut state, "context prod-eu");
    assert!(
        !state.quit && said(&state).contains("is under way"),
        "{}",
        said(&state)
    );
    state.runs.clear();
    run(&mut state, "context prod-eu");
    assert!(state.quit);
    assert_eq!(state.next_context.as_deref(), Some("prod-eu"));
}

#[test]
fn verify_looks_for_itself_at_every_name_and_at_the_list_and_needs_no_permission() {
    let mut state = certificates();
    state.guard = Guard::of(true, false);
    let detail = fixtures::certificate_detail();
    let id = detail.certificate.id.clone();
    let mut elsewhere = detail.installations[0].clone();
    elsewhere.id = "ins_other".to_owned();
    elsewhere.subject = "CN=other.example.com".to_owned();
    let detail = CertificateDetail {
        installations: vec![detail.installations[0].clone(), elsewhere],
        ..detail
    };
    let rows = fixtures::certificates();
    let at = rows.iter().position(|row| row.id == id).unwrap();
    press(&mut state, &vec!["j"; at].join(" "));
    fixtures::answer(
        &mut state,
        Query::Certificate(id.clone()),
        Answer::Certificate(Box::new(detail)),
    );
    let asked = |effects: Vec<Effect>| {
        let names = effects.into_iter().filter_map(|effect| match effect {
            Effect::Handshake(endpoint) => Some(endpoint.name),
            _ => None,
        });
        names.collect::<Vec<_>>()
    };
    let effects = press(&mut state, "V");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::FetchCrl)));
    assert_eq!(state.place().subject.as_deref(), Some(id.as_str()));
    // One address may serve another certificate for every name.
    assert_eq!(asked(effects).len(), 2);
    assert_eq!(asked(tell(&mut state, Event::Minute)).len(), 0, "none twice");
    assert_eq!(asked(press(&mut state, "V")).len(), 2, "until somebody asks");
}
