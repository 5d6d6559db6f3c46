//! The console's rules, driven by keys through the real `update` without a backend: what is confirmed,
//! what is frozen, what is dropped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/fixtures.rs"]
mod fixtures;

use cmp_console::console::update::{update, wants_secret};
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::link::{Backend, LinkState};
use cmp_console::domain::plain::is_hidden;
use cmp_console::plan::executor::RunEvent;
use cmp_console::plan::guard::Guard;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::{Plan, PlannedStep};
use cmp_console::plan::tier::Tier;
use cmp_console::state::effect::Effect;
use cmp_console::state::event::{Event, ServedThere, Timed};
use cmp_console::state::layer::{Chosen, Layer, Menu, MenuItem};
use cmp_console::state::query::{Answer, ListQuery, Query, Window};
use cmp_console::state::run::Phase;
use cmp_console::state::screen::{Place, ViewId};
use cmp_console::state::{LoggedCommand, Size, State};
use fixtures::{night, now};
use proptest::prelude::*;

fn tell(state: &mut State, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    update(state, Timed { at: now(), event }, &mut effects);
    effects
}

/// What the state shows is on the person's screen.
fn show(state: &mut State) {
    tell(state, Event::Painted(1));
    tell(state, Event::Seen(1));
}

/// Presses keys; a dialog is painted before each, as on a real screen.
fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.split(' ') {
        show(state);
        effects.extend(tell(state, Event::Key(key.to_owned())));
    }
    effects
}

fn unsealed() -> State {
    let mut state = night(120, 40);
    state.links.insert(Backend::Vault, {
        let mut link = fixtures::sealed(3);
        link.state = LinkState::Up;
        link
    });
    press(&mut state, "2");
    state
}

fn plan_for(state: &State, tier: Tier) -> Plan {
    let run = &state.runs[0];
    Plan {
        run_id: "run_1".to_owned(),
        action: run.action.to_owned(),
        title: "Revoke".to_owned(),
        targets: run.on.clone(),
        tier,
        phrase: "8401".to_owned(),
        phrase_is: "the last four of the serial".to_owned(),
        fields: Vec::new(),
        changes: Vec::new(),
        breaks: Vec::new(),
        steps: vec![PlannedStep {
            step: "revoke".to_owned(),
            title: "revoke".to_owned(),
            target: 0,
            args: serde_json::json!({}),
            command: String::new(),
        }],
        works_without_api: false,
        made_at: now(),
    }
}

fn planned(state: &mut State, tier: Tier) -> Vec<Effect> {
    let plan = plan_for(state, tier);
    tell(state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))))
}

fn executes(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Execute { .. }))
}

#[test]
fn a_revocation_wants_its_phrase_and_never_a_bare_enter() {
    let mut state = unsealed();
    let effects = press(&mut state, "X");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Plan { action: "revoke", .. }))
    );
    planned(&mut state, Tier::Irreversible);
    assert!(!executes(&press(&mut state, "enter")));
    assert!(!executes(&press(&mut state, "y")));
    assert!(!executes(&press(&mut state, "X enter")));
    press(&mut state, "backspace backspace");
    assert!(!executes(&press(&mut state, "8 4 0 enter")));
    assert!(executes(&press(&mut state, "1 enter")));
    assert_eq!(state.runs[0].phase, Phase::Running);
}

#[test]
fn keys_typed_before_the_dialog_was_painted_do_not_count() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
    assert!(!executes(&tell(&mut state, Event::Key("y".to_owned()))));
    show(&mut state);
    assert!(executes(&tell(&mut state, Event::Key("y".to_owned()))));
}

#[test]
fn the_target_is_frozen_when_the_key_is_pressed() {
    let mut state = unsealed();
    press(&mut state, "j");
    press(&mut state, "X");
    let before = state.runs[0].on.clone();
    assert_eq!(before[0].id, "crt_0002");
    let mut rows = fixtures::certificates();
    rows.reverse();
    let query = Query::Certificates(Default::default());
    fixtures::answer(&mut state, query, Answer::Certificates(Window { total: 5, rows }));
    planned(&mut state, Tier::Irreversible);
    assert_eq!(state.runs[0].on, before);
}

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
fn a_disabled_action_says_why_and_starts_nothing() {
    let mut state = night(120, 40);
    press(&mut state, "2");
    let effects = press(&mut state, "X");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })));
    assert!(
        state
            .toast
            .as_ref()
            .is_some_and(|toast| toast.text.contains("Vault is sealed"))
    );
    state.guard = Guard::ReadOnly;
    for key in ["X", "r", "i", "c", "u"] {
        let effects = press(&mut state, key);
        assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })),
            "{key}"
        );
        assert!(
            state
                .toast
                .as_ref()
                .is_some_and(|toast| toast.text.contains("read-only")),
            "{key}"
        );
    }
}

/// Whatever way leads to an action, read-only stands before it, and says so; the executor refuses too
/// (tests/actions.rs).
#[test]
fn read_only_refuses_every_action_by_every_route() {
    for guard in [Guard::ReadOnly, Guard::Protected(None)] {
        for action in cmp_console::actions::ALL {
            let spec = action.spec();
            let typed = |name: &str| {
                let keys: Vec<String> = name.chars().map(String::from).collect();
                format!(": {} enter", keys.join(" "))
            };
            let half = spec.title.split(' ').next().unwrap().to_lowercase();
            let routes = [
                spec.key.to_owned(),
                typed(spec.id),
                typed(&half),
                format!("space space {}", spec.key),
                format!("enter {}", spec.key),
                format!("1 {}", spec.key),
                format!("6 {}", spec.key),
            ];
            for route in routes {
                let mut state = unsealed();
                state.guard = guard.clone();
                let effects = press(&mut state, &route);
                let acts = |effect: &Effect| matches!(effect, Effect::Plan { .. } | Effect::Execute { .. });
                assert!(!effects.iter().any(acts), "{} by `{route}`", spec.id);
                assert!(
                    state.runs.is_empty() && state.layers.is_empty(),
                    "{} by `{route}`",
                    spec.id
                );
                let toast = state.toast.as_ref().map_or("", |toast| toast.text.as_str());
                let why = guard.refuses(now()).unwrap();
                assert!(toast.contains(why), "{} by `{route}` says `{toast}`", spec.id);
            }
        }
    }
}

#[test]
fn a_run_goes_on_when_its_dialog_is_closed_and_its_end_is_told() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
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
fn a_paste_outside_a_field_does_nothing() {
    let mut state = unsealed();
    let effects = tell(&mut state, Event::Paste("X\ny\nq".to_owned()));
    assert!(state.runs.is_empty() && !state.quit);
    assert!(!executes(&effects));
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
    show(&mut state);
    assert!(!executes(&tell(&mut state, Event::Paste("y\n".to_owned()))));
}

#[test]
fn unsealing_takes_characters_as_a_secret_only_while_a_share_is_wanted() {
    let mut state = night(120, 40);
    press(&mut state, "u");
    let mut plan = plan_for(&state, Tier::Irreversible);
    assert_eq!(plan.targets[0].kind, EntityKind::Vault);
    plan.phrase = "unseal".to_owned();
    plan.steps[0].step = "enter_shares".to_owned();
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    assert!(!wants_secret(&state));
    assert!(executes(&press(&mut state, "u n s e a l enter")));
    tell(&mut state, Event::Run("#1".to_owned(), RunEvent::StepStarted(0)));
    show(&mut state);
    assert!(wants_secret(&state));
    let effects = press(&mut state, "enter");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::SubmitSecret(run) if run == "#1"))
    );
    let effects = press(&mut state, "esc");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::StopSecret(run) if run == "#1"))
    );
    tell(
        &mut state,
        Event::Run(
            "#1".to_owned(),
            RunEvent::StepEnded(0, Outcome::Proven("open".to_owned())),
        ),
    );
    assert!(!wants_secret(&state));
}

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
            result: Ok(old),
        },
    );
    assert!(matches!(state.answer(&query), Some(Answer::Requests(window)) if window.rows.len() == 2));
}

#[test]
fn a_plan_that_comes_after_its_run_was_cancelled_finds_no_other_run() {
    let mut state = unsealed();
    press(&mut state, "r");
    let late = plan_for(&state, Tier::Reversible);
    press(&mut state, "esc");
    press(&mut state, "j X");
    assert_ne!(state.runs[0].id, "#1", "an id is never used again");
    tell(
        &mut state,
        Event::Planned("#1".to_owned(), Ok(Box::new(late.clone()))),
    );
    assert_eq!(state.runs[0].phase, Phase::Planning);
    let id = state.runs[0].id.clone();
    let plan = plan_for(&state, Tier::Reversible);
    tell(&mut state, Event::Planned(id.clone(), Ok(Box::new(plan))));
    press(&mut state, "y");
    assert_eq!(state.runs[0].phase, Phase::Running);
    tell(&mut state, Event::Planned(id, Ok(Box::new(late))));
    assert_eq!(state.runs[0].phase, Phase::Running, "a second plan stops nothing");
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
            .is_some_and(|toast| toast.text.contains("1 of 2 marked rows"))
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
    planned(&mut state, Tier::Reversible);
    press(&mut state, "y");
    assert!(state.screen().marks.is_empty());
}

#[test]
fn quitting_with_a_run_under_way_is_asked_twice_in_a_row() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
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
    planned(&mut state, Tier::Reversible);
    press(&mut state, "y esc 7 enter");
    assert!(matches!(state.layers.last(), Some(Layer::Run(layer)) if layer.run == "#1"));
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
            result,
        },
    );
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::AskLater(again) if *again == query))
    );
    let effects = tell(&mut state, Event::AskAgain(query.clone()));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask { query: again, .. } if *again == query))
    );
}

#[test]
fn a_confirmation_is_typed_and_a_private_key_is_pasted_nowhere() {
    let mut state = unsealed();
    press(&mut state, "X");
    planned(&mut state, Tier::Irreversible);
    show(&mut state);
    tell(&mut state, Event::Paste("8401".to_owned()));
    assert!(!executes(&press(&mut state, "enter")));
    press(&mut state, "tab");
    tell(&mut state, Event::PastedKey(Some("ab".repeat(32))));
    assert!(
        state
            .toast
            .as_ref()
            .is_some_and(|toast| toast.text.contains("dropped"))
    );
    tell(&mut state, Event::Paste("it leaked".to_owned()));
    assert!(format!("{:?}", state.layers).contains("it leaked"));
}

#[test]
fn what_fills_a_field_is_edited_at_its_end() {
    let mut state = unsealed();
    press(&mut state, "/ w e b enter / x enter");
    assert_eq!(state.screen().list.q, "webx");
}

#[test]
fn the_command_line_runs_what_is_picked_by_the_same_rules_as_a_key() {
    let mut state = unsealed();
    let effects = press(&mut state, ": r e i s s enter");
    assert!(effects.iter().any(|effect| matches!(
        effect,
        Effect::Plan {
            action: "reissue",
            ..
        }
    )));
    press(&mut state, "esc");
    press(&mut state, ": a u d i t enter");
    assert_eq!(state.place().view, ViewId::Audit);
    // Anything that is known by its name.
    press(&mut state, ": w e b - 0 1 enter");
    assert_eq!(state.place().view, ViewId::Agent);
    press(&mut state, ": esc");
    assert!(state.layers.is_empty());
    state.guard = Guard::ReadOnly;
    press(&mut state, "2");
    for action in cmp_console::actions::ALL {
        let typed = action
            .spec()
            .id
            .chars()
            .map(|c| c.to_string())
            .collect::<Vec<_>>();
        let effects = press(&mut state, &format!(": {} enter", typed.join(" ")));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })));
        assert!(
            state
                .toast
                .as_ref()
                .is_some_and(|toast| toast.text.contains("read-only"))
        );
    }
}

#[test]
fn a_protected_context_is_unlocked_for_a_while_under_a_ticket() {
    let mut state = unsealed();
    state.guard = Guard::Protected(None);
    assert!(press(&mut state, "X").is_empty());
    assert!(
        state
            .toast
            .as_ref()
            .is_some_and(|toast| toast.text.contains(":unlock 15m TICKET"))
    );
    // Without its arguments the command is written down, and nothing is unlocked.
    press(&mut state, ": u n l o c k enter enter");
    assert_eq!(state.guard, Guard::Protected(None));
    let effects = press(&mut state, "1 5 m space I N C - 1 enter");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::SetGuard(Guard::Protected(Some(_)))))
    );
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
    let effects = press(&mut state, "y");
    let ticket = effects.iter().find_map(|effect| match effect {
        Effect::Execute { confirmed, .. } => confirmed.ticket(),
        _ => None,
    });
    assert_eq!(ticket, Some("INC-1"), "what is done is done under the ticket");
    press(&mut state, "esc : l o c k enter");
    assert_eq!(state.guard, Guard::Protected(None));
    let action = cmp_console::actions::find("reissue").unwrap();
    let selected = cmp_console::views::selected(&state);
    assert_ne!(
        state.availability(action, &selected),
        cmp_console::actions::Availability::Ready
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
    let asked = state.data[&query].asked;
    let result = Ok(Answer::Certificates(Window {
        rows: vec![one.clone()],
        total: 1,
    }));
    tell(&mut state, Event::Answer { query, asked, result });
    assert_eq!(state.place(), Place::of_key(one.spki_sha256));
    press(&mut state, "esc");
    assert_eq!(
        filter(&state).1,
        "pay.example.com",
        "and back to the list, to stay"
    );
}

fn run_line(state: &mut State, line: &str) {
    press(state, ":");
    tell(state, Event::Paste(line.to_owned()));
    press(state, "enter");
}

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
    let asked = state.data[&query].asked;
    let result = Ok(window(rows, 900));
    tell(&mut state, Event::Answer { query, asked, result });
    let effects = press(&mut state, "enter");
    assert!(effects.iter().any(
        |effect| matches!(effect, Effect::Ask { query: Query::Certificate(id), .. } if id == "crt_last")
    ));
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
        let titled = drawn(&state).contains("nobody answers: as of");
        assert_eq!(titled, is_titled, "{backend:?}");
        assert_eq!(
            asks(&tell(&mut state, Event::Link(backend, link))),
            0,
            "it is no news"
        );
    }
}

fn drawn(state: &State) -> String {
    let area = ratatui::layout::Rect::new(0, 0, 120, 40);
    let mut buffer = ratatui::buffer::Buffer::empty(area);
    cmp_console::views::draw(state, area, &mut buffer);
    buffer
        .content()
        .iter()
        .map(ratatui::buffer::Cell::symbol)
        .collect()
}

#[test]
fn what_is_copied_is_one_line_and_steers_no_terminal() {
    let mut state = unsealed();
    let item = MenuItem {
        key: 'e',
        what: "error".to_owned(),
        leads: Chosen::Copy("no\x1b[31m\nrm -rf x\u{202e}".to_owned()),
    };
    let menu = Menu::new("Copy", vec![item]);
    state.layers.push(Layer::Menu(Box::new(menu)));
    let effects = press(&mut state, "e");
    let copied = effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(copied, Some("no\u{fffd}[31m rm -rf x\u{fffd}"));
}

#[test]
fn what_others_wrote_steers_nothing_that_reads_an_export() {
    let mut state = unsealed();
    for loaded in state.data.values_mut() {
        if let Some(Answer::Certificates(window)) = &mut loaded.value {
            for row in &mut window.rows {
                row.subject = "=a\x1b]52;c;aWQ=\x07\u{202e}".to_owned();
                row.sans.clear();
            }
        }
    }
    state.log(LoggedCommand {
        at: now(),
        command: "curl \x1b]0;x\x07\nid".to_owned(),
        how: "no answer\x1b[2J".to_owned(),
        run: None,
    });
    for format in ["csv", "json", "text", "timeline"] {
        press(&mut state, ":");
        tell(&mut state, Event::Paste(format!("export {format}")));
        let effects = press(&mut state, "enter");
        let written = effects.iter().find_map(|effect| match effect {
            Effect::Export { content, .. } => Some(content),
            _ => None,
        });
        let content = written.unwrap();
        let steers = |c: char| !matches!(c, '\n' | '\r') && is_hidden(c);
        assert!(!content.contains(steers), "{format}: {content:?}");
        if format == "csv" {
            assert!(
                content.contains("\r\n'=a\u{fffd}]52;c;aWQ=\u{fffd}\u{fffd},"),
                "{content}"
            );
        }
    }
}

#[test]
fn what_is_on_screen_is_exported() {
    let mut state = unsealed();
    press(&mut state, ":");
    tell(&mut state, Event::Paste("export csv".to_owned()));
    let effects = press(&mut state, "enter");
    let written = effects.iter().find_map(|effect| match effect {
        Effect::Export { name, content } => Some((name, content)),
        _ => None,
    });
    let (name, content) = written.unwrap();
    assert!(
        name.starts_with("certificates-") && name.ends_with(".csv"),
        "{name}"
    );
    assert!(
        content.starts_with("certificate,status,ends,on,key,serial\r\npay.example.com,EXPIRED,"),
        "{content}"
    );
    assert_eq!(content.lines().count(), 6);
}

/// Keys, with those that could confirm something more often than the rest.
fn any_key() -> impl Strategy<Value = String> {
    let keys = "j k g G tab backtab enter enter enter esc / space s S y y y 1 2 3 4 5 6 7 @ ? : X X r r i c u ctrl-d ctrl-u ctrl-r backspace 8 4 0 1 left right";
    proptest::sample::select(keys.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever is pressed, nothing is carried out that was not planned, shown and confirmed by its
    /// tier's own rule with the key before; nothing panics, and every screen can be drawn.
    #[test]
    fn only_what_was_planned_and_confirmed_is_carried_out(keys in proptest::collection::vec(any_key(), 0..80)) {
        let mut state = unsealed();
        let mut shown: Option<Tier> = None;
        for key in keys {
            let typed = match state.layers.last() {
                Some(Layer::Run(layer)) => cmp_console::state::layer::line(&layer.typed),
                _ => String::new(),
            };
            show(&mut state);
            let effects = tell(&mut state, Event::Key(key.clone()));
            for effect in effects {
                match effect {
                    Effect::Execute { confirmed, .. } => {
                        let tier = confirmed.plan().tier;
                        prop_assert_eq!(Some(tier), shown);
                        match tier {
                            Tier::Reversible => prop_assert_eq!(&key, "y"),
                            Tier::Irreversible => prop_assert!(key == "enter" && typed == "8401", "{} {}", key, typed),
                            tier => prop_assert!(false, "{tier:?} was carried out by {key}"),
                        }
                    }
                    Effect::Plan { run, action, on, .. } => {
                        let spec = cmp_console::actions::find(action).unwrap().spec();
                        let tier = spec.tier.of_many(on.len());
                        if spec.tier == Tier::Harmless {
                            continue;
                        }
                        shown = Some(tier);
                        let mut plan = plan_for(&state, tier);
                        plan.targets = on;
                        tell(&mut state, Event::Planned(run, Ok(Box::new(plan))));
                    }
                    _ => {}
                }
            }
            for (width, height) in [(80, 24), (40, 10), (7, 3)] {
                let area = ratatui::layout::Rect::new(0, 0, width, height);
                let mut buffer = ratatui::buffer::Buffer::empty(area);
                cmp_console::views::draw(&state, area, &mut buffer);
            }
            let runs = state.layers.iter().filter(|layer| matches!(layer, Layer::Run(_))).count();
            prop_assert!(runs <= 1);
        }
    }
}

#[test]
fn nothing_moves_behind_an_open_dialog_but_what_was_never_shown_is_filled() {
    let mut state = unsealed();
    press(&mut state, "1");
    let before = state.findings();
    press(&mut state, ":");
    let sealed = fixtures::sealed(0);
    tell(&mut state, Event::Link(Backend::Vault, sealed));
    assert_eq!(state.findings(), before, "no finding comes above the others now");
    let later = Timed {
        at: now() + chrono::Duration::hours(30),
        event: Event::Minute,
    };
    update(&mut state, later, &mut Vec::new());
    assert_eq!(state.shown_at(), now(), "ages and order are those of then");
    press(&mut state, "esc");
    assert_ne!(state.findings(), before);
    // A list that is still empty is filled, dialog or not.
    press(&mut state, "3 ?");
    let query = Query::Agents(Default::default());
    state.data.remove(&query);
    let effects = tell(&mut state, Event::Minute);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask { query: asked, .. } if *asked == query))
    );
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
fn a_context_is_locked_again_the_moment_its_time_is_over() {
    let mut state = unsealed();
    state.guard = Guard::of(false, true);
    run_line(&mut state, "unlock 15m INC-1");
    let mut effects = Vec::new();
    let at = now() + chrono::Duration::minutes(15);
    let event = Event::Relocked;
    assert!(
        update(&mut state, Timed { at, event }, &mut effects),
        "it is told"
    );
    assert_eq!(state.guard, Guard::Protected(None));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::SetGuard(Guard::Protected(None))))
    );
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
    let effects = tell(&mut state, Event::Minute);
    let asks = |id: &str| {
        let wanted = Query::Certificate(id.to_owned());
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask { query, .. } if *query == wanted))
    };
    assert!(asks("crt_0001"), "it was never looked at");
    assert!(!asks("crt_0002"), "it is known");
    let lists = [Query::Certificates, Query::Agents, Query::Requests, Query::Audit];
    for list in lists.map(|list| list(ListQuery::default())) {
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

#[test]
fn nothing_is_planned_while_the_api_has_no_database() {
    let mut state = unsealed();
    let link = fixtures::link(LinkState::Down, Some("doesn't answer"));
    tell(&mut state, Event::Link(Backend::Database, link));
    press(&mut state, "2 X");
    let toast = state.toast.as_ref().unwrap();
    assert!(
        toast.text.contains("the API's database does not answer"),
        "{toast:?}"
    );
    assert!(state.runs.is_empty());
}

#[test]
fn on_a_screen_too_small_to_show_it_nothing_is_started_or_confirmed() {
    let mut state = unsealed();
    tell(&mut state, Event::Resize(Size { width: 38, height: 9 }));
    assert!(press(&mut state, "r").is_empty());
    assert!(state.runs.is_empty());
    tell(
        &mut state,
        Event::Resize(Size {
            width: 80,
            height: 24,
        }),
    );
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
    show(&mut state);
    tell(&mut state, Event::Resize(Size { width: 38, height: 9 }));
    assert!(!executes(&press(&mut state, "y")), "it can't be seen any more");
    tell(
        &mut state,
        Event::Resize(Size {
            width: 80,
            height: 24,
        }),
    );
    assert!(executes(&press(&mut state, "y")));
}

#[test]
fn what_is_typed_when_the_last_share_was_another_ones_is_no_command() {
    let mut state = night(120, 40);
    press(&mut state, "u");
    let mut plan = plan_for(&state, Tier::Irreversible);
    plan.phrase = "unseal".to_owned();
    plan.steps[0].step = "enter_shares".to_owned();
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    press(&mut state, "u n s e a l enter");
    tell(&mut state, Event::Run("#1".to_owned(), RunEvent::StepStarted(0)));
    let ended = Outcome::Proven("unsealed".to_owned());
    tell(
        &mut state,
        Event::Run("#1".to_owned(), RunEvent::StepEnded(0, ended.clone())),
    );
    tell(&mut state, Event::Run("#1".to_owned(), RunEvent::Ended(ended)));
    press(&mut state, "f q 2 / S E C R E T enter ? c");
    assert!(
        matches!(state.layers.as_slice(), [Layer::Run(_)]),
        "the dialog stays and nothing else opened"
    );
    assert_eq!(state.runs.len(), 1);
    press(&mut state, "esc");
    assert!(state.layers.is_empty());
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

#[test]
fn keys_that_come_too_early_are_counted_and_what_is_shown_then_is_asked_for_again() {
    let mut state = unsealed();
    press(&mut state, "r");
    planned(&mut state, Tier::Reversible);
    tell(&mut state, Event::Painted(7));
    tell(&mut state, Event::Key("y".to_owned()));
    tell(&mut state, Event::Key("y".to_owned()));
    let Some(Layer::Run(layer)) = state.layers.last() else {
        panic!("the dialog is open")
    };
    assert!(layer.complaint.as_ref().unwrap().starts_with("2 keys came"));
    tell(&mut state, Event::Seen(7));
    assert!(!executes(&tell(&mut state, Event::Key("y".to_owned()))));
    tell(&mut state, Event::Painted(8));
    tell(&mut state, Event::Seen(8));
    assert!(executes(&tell(&mut state, Event::Key("y".to_owned()))));
}
